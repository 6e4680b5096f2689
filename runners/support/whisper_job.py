"""The decoding of one window with Whisper, as values: the window, the decoder's result, and the segments built from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import STT_RATE, TranscribeOptions
from open_speech.transcript import Segment, Token, Word
from runners.support.whisper_checks import Figures
from runners.support.whisper_options import Piece

if TYPE_CHECKING:
    from faster_whisper.tokenizer import Tokenizer  # noqa: TID251 - for the type checker

BEFORE = "\"'“¿([{-"
AFTER = "\"'.。,，!！?？:：”)]}、"
"""Marks that belong to the next word (BEFORE) and to the previous word (AFTER)."""
BRIEF_S = 2.0
"""Seconds of speech below which a window is decoded in Whisper's own 30 seconds. In a short context, a lone word or two is misheard, or
written several times. 168 commands of seven voices had 53 word errors in 392, and 21 in 30 seconds (the library alone: 20), for two to
three times the CPU. 100 others, by which nothing was chosen: 48 in 215, then 34 (35)."""


@dataclass
class Job:
    """One window to decode, and its results."""

    at: int
    samples: NDArray[np.float32]
    options: TranscribeOptions
    language: str | None
    features: NDArray[np.float32]
    prompt: list[int] | None
    hotwords: str | None
    offset: float = 0.0
    probability: float = 1.0
    speech: tuple[tuple[float, float], ...] = ()
    """Start and end of each speech segment; empty without speech detection."""
    is_sparse: bool = False
    """Whether the text is too short for the speech."""
    segments: list[Segment] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Length of the window in seconds."""
        return len(self.samples) / STT_RATE

    @property
    def is_brief(self) -> bool:
        """Whether the window has too little speech for a short context. A draft is replaced within a second, and may be wrong."""
        spoken = sum(end - start for start, end in self.speech) if self.speech else self.seconds
        return spoken < BRIEF_S and not self.options.draft

    @property
    def group(self) -> tuple[Any, ...]:
        """Key of the jobs that are decoded together."""
        options = self.options
        aligned = options.word_times or options.logprobs
        alone = self.at if aligned and self.language is None else -1
        text = len(self.prompt or ()), len(self.hotwords or "") and self.hotwords
        return (*text, self.is_brief, options.beam_size, options.temperatures[0], options.detect_only, aligned and self.language, alone)


@dataclass
class Read:
    """The parsed result of one decoding, from which segments are built."""

    job: Job
    tokenizer: Tokenizer
    pieces: list[Piece]
    encoded: Any
    """The encoder output of a second decoding; None for the first one."""
    figures: Figures
    words: list[tuple[Word, ...]] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)

    def raw(self) -> list[dict[str, Any]]:
        """Return the pieces in the format of faster-whisper's aligner, which adds the words to them."""
        return [{"seek": 0, "start": piece.start, "end": piece.end, "tokens": piece.tokens} for piece in self.pieces]

    def segments(self) -> list[Segment]:
        """Return the segments."""
        told = iter(self.probabilities)
        return [self._segment(piece, self.words[at] if self.words else (), told) for at, piece in enumerate(self.pieces)]

    def _segment(self, piece: Piece, words: tuple[Word, ...], told: Iterator[float]) -> Segment:
        logprobs = [token_of(self.tokenizer, token, probability) for token, probability in zip(piece.tokens, told)]  # noqa: B905
        return Segment(
            start=words[0].start if words else piece.start,
            end=words[-1].end if words else piece.end,
            text=self.tokenizer.decode(piece.tokens),
            words=words,
            tokens=tuple(piece.tokens),
            temperature=self.figures.temperature,
            avg_logprob=self.figures.logprob,
            compression_ratio=self.figures.compression,
            no_speech_prob=self.figures.no_speech,
            logprobs=tuple(logprobs),
        )


def words_of(raw: Sequence[dict[str, Any]], seconds: float) -> tuple[Word, ...]:
    """Convert aligned words, with their times ascending and within the window."""
    words: list[Word] = []
    last = 0.0
    for word in raw:
        start = min(max(float(word["start"]), last), seconds)
        last = min(max(float(word["end"]), start), seconds)
        words.append(Word(word["word"], start, last, float(word["probability"])))
    return tuple(words)


class Tokens(Protocol):
    """The part of a tokenizer's interface for the text of tokens."""

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens."""
        ...


def token_of(tokenizer: Tokens, token: int, probability: float) -> Token:
    """Return a Token for one of the model's tokens and its probability."""
    return Token(tokenizer.decode([token]), math.log(max(probability, 1e-10)))


def moved(segment: Segment, by: float) -> Segment:
    """Return a segment whose times, and those of its words, are moved by `by` seconds."""
    words = tuple(replace(word, start=word.start + by, end=word.end + by) for word in segment.words)
    return replace(segment, start=segment.start + by, end=segment.end + by, words=words)
