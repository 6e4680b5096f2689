"""Quality checks of Whisper's texts, by the values of its decoder and the detected speech of the window. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from open_speech.transcript import Segment
from runners.support.whisper_options import Piece

MOST_COMPRESSION, LEAST_LOGPROB = 2.4, -1.0
"""OpenAI's own thresholds."""
LOOP_TOKENS, LOOP_TIMES = 12, 4
SPARSE = 2.2
"""Tokens per second of speech below which words are probably missing. Slow readers have 2.5 and more; an unnecessary second decoding
costs time but no words, as only a longer text replaces the first."""
SPARSE_FROM_S = 1.2
"""Minimum seconds of speech for a judgment by its tokens per second."""
REPEATED, REPEATED_LOGPROB, SENTENCE_TOKENS = 5.5, -0.6, 5
"""Maximum tokens per second of speech, and minimum log-probability, at which a repeated sentence is accepted; its minimum tokens."""
DENSE = 7.0
"""Tokens per second of speech above which a repeated sentence was probably spoken once."""
DOUBLED_TOKENS = 2
"""Minimum length, in tokens, of a sentence that counts as repeated."""
LEFT_OUT_S, LEFT_OUT_WITHIN_S = 0.6, 0.2
"""Minimum seconds of untranscribed speech after the end of a text, and the accuracy of the time of that end."""
LONGER = 1.15
"""Ratio of tokens from which a text that is sparse, too, replaces a sparse text."""

LESS_SURE, FAR_LONGER, FAR_LESS_SURE = 0.1, 1.5, 0.4
"""Allowed loss of log-probability for a longer text; the ratio of tokens for a far longer text, and the allowed loss for that one."""
APART_S, PART_S = 0.3, 1.5
"""Minimum seconds of silence at which a window is split into parts, and minimum seconds of speech in each part."""

Speech = Sequence[tuple[float, float]]
"""Start and end of each speech segment in a window, in seconds."""


class Flaw(IntEnum):
    """The flaw of a text."""

    NONE = 0
    SPARSE = 1
    """Words seem to be missing."""
    BAD = 2
    """The text is improbable, repetitive or too long."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Decoder values of one window: temperature, mean log-probability, compression ratio and no-speech probability."""

    temperature: float
    logprob: float
    compression: float
    no_speech: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one decoding of a window."""

    pieces: tuple[Piece, ...]
    figures: Figures
    flaw: Flaw
    encoded: Any = None
    """The encoder output of this decoding, if it is not the first one."""

    @property
    def length(self) -> int:
        """Number of tokens of text."""
        return sum(len(piece.tokens) for piece in self.pieces)


def better(one: Attempt, other: Attempt) -> Attempt:
    """Return the better of two decodings of a window, of which the first has a flaw."""
    if other.flaw is Flaw.BAD:
        return max(one, other, key=_credibility) if one.flaw is Flaw.BAD else one
    if one.flaw is Flaw.BAD:
        return other
    enough = one.length if other.flaw is Flaw.NONE else LONGER * one.length
    return other if other.length > enough and _as_sure(other.figures.logprob, one.figures.logprob, other.length, one.length) else one


def says_more(parts: Sequence[Segment], whole: Sequence[Segment]) -> bool:
    """Return whether a window decoded in parts has clearly more tokens than the whole, with a similar log-probability."""
    more, less = (sum(len(segment.tokens) for segment in segments) for segments in (parts, whole))
    if more <= LONGER * less:
        return False
    return _as_sure(_logprob(parts), _logprob(whole), more, less)


def _logprob(segments: Sequence[Segment]) -> float:
    tokens = sum(len(segment.tokens) for segment in segments)
    return sum(segment.avg_logprob * len(segment.tokens) for segment in segments) / tokens if tokens else LEAST_LOGPROB


def _as_sure(logprob: float, than: float, length: int, than_length: int) -> bool:
    return logprob >= than - (LESS_SURE if length < FAR_LONGER * than_length else FAR_LESS_SURE)


def _credibility(attempt: Attempt) -> tuple[bool, float]:
    return attempt.figures.compression <= MOST_COMPRESSION, attempt.figures.logprob


def stretches(speech: Speech, seconds: float, *, apart_s: float = APART_S, part_s: float = PART_S) -> list[tuple[float, float]]:
    """Split a window of `seconds` in the middle of its silences of at least `apart_s`, with speech of at least `part_s` in each part.

    Returns the start and end of each part.
    """
    places, since = [0.0], 0.0
    for (_, end), (start, _) in zip(speech, speech[1:], strict=False):
        enough = spoken_s(speech, since, end) >= part_s and spoken_s(speech, start, seconds) >= part_s
        if start - end >= apart_s and enough:
            since = (end + start) / 2
            places.append(since)
    return list(zip(places, [*places[1:], seconds], strict=True))


def looks_bad(tokens: Sequence[int], end_of_text: int, logprob: float, compression: float, speech: Speech = ()) -> bool:
    """Return whether a result should be decoded again: too improbable, too repetitive, or ending in a loop of a few tokens.

    A text with repeated sentences is accepted if it is probable and its length fits the speech, because people do repeat sentences.
    """
    if logprob < LEAST_LOGPROB:
        return True
    text = [token for token in tokens if token < end_of_text]
    said = sum(end - start for start, end in speech)
    if logprob >= REPEATED_LOGPROB and len(text) <= REPEATED * said:
        return ends_in_loop(text, longest=SENTENCE_TOKENS - 1)
    return compression > MOST_COMPRESSION or ends_in_loop(text)


def ends_in_loop(tokens: Sequence[int], *, longest: int = LOOP_TOKENS) -> bool:
    """Return whether the tokens end in a sequence of one to `longest` tokens that occurs four times in a row."""
    for length in range(1, min(longest, len(tokens) // LOOP_TIMES) + 1):
        last = list(tokens[-length:])
        if all(list(tokens[-length * n : len(tokens) - length * (n - 1)]) == last for n in range(1, LOOP_TIMES + 1)):
            return True
    return False


def is_sparse(pieces: Sequence[Piece], speech: Speech) -> bool:
    """Return whether a piece of text is far too short for the speech in its time, or there is speech without any text.

    Without `speech` (no speech detection) the result is False.
    """
    if any((said := spoken_s(speech, piece.start, piece.end)) >= SPARSE_FROM_S and len(piece.tokens) < SPARSE * said for piece in pieces):
        return True
    return not pieces and sum(end - start for start, end in speech) >= SPARSE_FROM_S


def left_out(speech: Speech, heard_s: float) -> float | None:
    """Return the time from which speech after the end of a text, at `heard_s`, is not transcribed; None if there is little or none."""
    rest = [(start, end) for start, end in speech if start > heard_s - LEFT_OUT_WITHIN_S]
    return max(0.0, rest[0][0] - LEFT_OUT_WITHIN_S) if sum(end - start for start, end in rest) >= LEFT_OUT_S else None


def is_doubled(tokens: Sequence[int], speech: Speech) -> bool:
    """Return whether a text ends in a repeated sentence, and is too long for its speech."""
    said = sum(end - start for start, end in speech)
    if not said or len(tokens) < DENSE * said:
        return False
    lengths = range(DOUBLED_TOKENS, len(tokens) // 2 + 1)
    return any(list(tokens[-length:]) == list(tokens[-2 * length : -length]) for length in lengths)


def spoken_s(speech: Speech, start: float, end: float) -> float:
    """Return the seconds of speech between two times."""
    return sum(max(0.0, min(end, until) - max(start, since)) for since, until in speech)
