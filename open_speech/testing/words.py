"""The words of a transcript: numbers differ in their last bits from CPU to CPU and from batch to batch, and punctuation with them."""

from __future__ import annotations

import re

import jiwer

ALLOWED_ERRORS = 0.17
"""Word error rate that tests with real weights allow: without AVX-512 Whisper hears "Never tried" for "Ever tried", which is one word of
twelve. Two may differ."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def word_errors(reference: str, found: str) -> float:
    """Return the word error rate of a transcript, 0 for the same words; `reference` must have words."""
    return float(jiwer.wer(" ".join(words(reference)), " ".join(words(found))))
