"""Comparison of transcripts by their words: the punctuation varies between CPUs and batches, with the last bits of the numbers."""

from __future__ import annotations

import re

import jiwer

ALLOWED_ERRORS = 0.17
"""Word error rate that tests with real weights allow: two words of twelve. Without AVX-512, Whisper recognizes "Never tried" for "Ever
tried", which is one word of twelve."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def word_errors(reference: str, found: str) -> float:
    """Return the word error rate of a transcript, 0 for the same words; `reference` must have at least one word."""
    return float(jiwer.wer(" ".join(words(reference)), " ".join(words(found))))
