"""Conversion of a transducer's tokens with their times to words and sentences. Pure.

NeMo's recognizers return the start of each token, but not its end, and no words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from open_speech.transcript import Segment, Token, Word

LONGEST_TOKEN_S = 0.32
"""Maximum seconds of a token: four frames of 80 ms, the longest step of a token-and-duration transducer."""
PAUSE_S = 1.0
"""Seconds between two words above which they belong to two segments, regardless of the punctuation."""
_ENDS = (".", "?", "!", "…")
_CLOSING = frozenset(".,?!:;…%)]}»”")


@dataclass(frozen=True, slots=True)
class Spoken:
    """One word and its tokens."""

    word: Word
    tokens: tuple[Token, ...]


def spoken_words(tokens: Sequence[Token], starts: Sequence[float], seconds: float) -> list[Spoken]:
    """Join tokens into words, each with its leading space; a word starts with a token that begins with a space.

    `starts` are seconds in ascending order, one per token; `seconds` is the length of the audio. A mark such as `.` belongs to the word
    before it, but does not determine the end of that word.
    """
    groups: list[list[int]] = []
    for index, token in enumerate(tokens):
        mark = all(letter in _CLOSING for letter in token.text.strip()) and token.text.strip() != ""
        alone = bool(groups) and "".join(tokens[at].text for at in groups[-1]).strip() == ""
        if not groups or (token.text.startswith(" ") and not mark and not alone):
            groups.append([])
        groups[-1].append(index)
    bounds = [*starts, seconds]
    return [_spoken([tokens[at] for at in group], [(bounds[at], bounds[at + 1]) for at in group], seconds) for group in groups]


def _spoken(tokens: Sequence[Token], times: Sequence[tuple[float, float]], seconds: float) -> Spoken:
    voiced = [time for token, time in zip(tokens, times, strict=True) if not set(token.text.strip()) <= _CLOSING] or [times[0]]
    begins, (last, until) = min(voiced[0][0], seconds), voiced[-1]
    end = max(begins, min(until, last + LONGEST_TOKEN_S, seconds))
    text = " " + "".join(token.text.strip() for token in tokens)
    return Spoken(Word(text, begins, end, probability(tokens)), tuple(tokens))


def probability(tokens: Sequence[Token]) -> float:
    """Return the geometric mean of the tokens' probabilities; 1.0 for no tokens."""
    return math.exp(mean_logprob(tokens))


def mean_logprob(tokens: Sequence[Token]) -> float:
    """Return the mean of the tokens' log-probabilities, at most 0.0; 0.0 for no tokens."""
    return min(0.0, sum(token.logprob for token in tokens) / len(tokens)) if tokens else 0.0


def sentences(words: Sequence[Spoken], *, word_times: bool, logprobs: bool) -> tuple[Segment, ...]:
    """Return segments that end with a sentence or before a pause, with words and log-probabilities only if requested."""
    found: list[list[Spoken]] = []
    for spoken in words:
        before = found[-1][-1].word if found else None
        if before is None or before.text.endswith(_ENDS) or spoken.word.start - before.end > PAUSE_S:
            found.append([])
        found[-1].append(spoken)
    return tuple(_segment(group, word_times=word_times, logprobs=logprobs) for group in found)


def _segment(group: Sequence[Spoken], *, word_times: bool, logprobs: bool) -> Segment:
    words = tuple(spoken.word for spoken in group)
    tokens = tuple(token for spoken in group for token in spoken.tokens)
    return Segment(
        start=words[0].start,
        end=words[-1].end,
        text="".join(word.text for word in words),
        words=words if word_times else (),
        avg_logprob=mean_logprob(tokens),
        logprobs=tokens if logprobs else (),
    )
