"""The words of a spoken text -> the times at which they are heard, by what a recogniser heard of the sound. Pure.

The text is known; only its times are asked. So what the recogniser wrote is laid beside it, word by word, at the least cost. Words that
it wrote otherwise (`twenty three` as `23`) share the time of what stands beside them; a word that it did not write shares its neighbour's.
"""

from __future__ import annotations

import itertools
import os.path
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from open_speech.audio import Audio
from open_speech.transcript import Word

_WIDE = "\u3040-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Japanese and Chinese script, which is written without spaces: each character is a word here."""
_CLINGING = "、。，．！？：；」』）】〉》”’…ー"
_WORD = re.compile(rf"[{_WIDE}][{_CLINGING}]*|[^\s{_WIDE}]+")
_UNLIKE, _ALIKE = 1.0, 0.1
_MISSING = 0.75
"""Cost of a word that stands beside nothing: two of them cost more than one pair that is unlike."""
_STRANGE = 0.7
"""From this cost on, two words beside each other are no pair but what happens to be there: `twenty three` beside `23`."""
_FRAME_S = 0.02
REACH_S = 0.4
"""Seconds around a joint within which its silence is looked for: what trims a speech at its beginning moves what comes after."""
_QUIET = 0.1
"""Share of the loudest frame nearby below which a frame counts as silence."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """A stretch of the text that has one time."""

    words: list[str]
    start: float
    end: float


def words_of(text: str) -> list[str]:
    """Cut a text into words; a dash or the like between two of them stays with the one before it."""
    words: list[str] = []
    for found in _WORD.finditer(text):
        if words and not _plain(found[0]):
            words[-1] = f"{words[-1]} {found[0]}" if text[found.start() - 1].isspace() else words[-1] + found[0]
        else:
            words.append(found[0])
    return words


def align(text: str, heard: Iterable[Word], seconds: float) -> list[Word]:
    """Give every word of `text` a time within `seconds` of sound, by the words that were heard in it.

    One Word for each of `words_of(text)`, in order; times never go back. With nothing heard, the words share the whole time by length.
    """
    words = words_of(text)
    known = [_within(word, seconds) for whole in heard for word in _parts(whole)]
    if not words:
        return []
    if not known:
        return list(_shared(_Spot(words, 0.0, seconds)))
    timed: list[Word] = []
    for spot in _spots(words, known, _pairs([_plain(w) for w in words], [_plain(w.text) for w in known])):
        start = max(spot.start, timed[-1].end if timed else 0.0)
        timed += _shared(_Spot(spot.words, start, max(start, spot.end)))
    return timed


def quiet_joint(sound: Audio, at_s: float, *, reach_s: float = REACH_S) -> float:
    """Find the pause near `at_s` at which one piece ends and the next begins, in seconds; `at_s` itself where there is none."""
    frame = max(1, round(_FRAME_S * sound.rate))
    first = max(0, round((at_s - reach_s) * sound.rate) // frame)
    near = np.abs(sound.samples[first * frame : round((at_s + reach_s) * sound.rate)])
    count = len(near) // frame
    loud = near[: count * frame].reshape(count, frame).max(axis=1)
    silent = np.concatenate([[False], loud <= _QUIET * loud.max(initial=0.0), [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8))).reshape(-1, 2)
    if not len(edges):
        return min(at_s, sound.seconds)
    # Within a word there are silences too, before a `t` or a `p`; they are shorter.
    begin, end = edges[np.diff(edges, axis=1).argmax()]
    return float((first + (begin + end) / 2) * frame / sound.rate)


def _plain(word: str) -> str:
    """Reduce a word to what is heard of it."""
    return "".join(char for char in word.casefold() if char.isalnum())


def _parts(word: Word) -> Iterator[Word]:
    """Cut what was heard as `words_of` cuts the text, each part with its share of the time."""
    texts = [text for text in words_of(word.text) if _plain(text)]
    return _shared(_Spot(texts, word.start, word.end))


def _within(word: Word, seconds: float) -> Word:
    start = min(max(word.start, 0.0), seconds)
    return Word(word.text, start, min(max(word.end, start), seconds))


def _pairs(text: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Lay two lists of words beside each other at the least cost; give the pairs that stand together, in order."""
    costs = [[_MISSING * (i + j) if not i or not j else 0.0 for j in range(len(heard) + 1)] for i in range(len(text) + 1)]
    for i, word in enumerate(text, 1):
        row, above = costs[i], costs[i - 1]
        for j, other in enumerate(heard, 1):
            row[j] = min(above[j - 1] + _cost(word, other), above[j] + _MISSING, row[j - 1] + _MISSING)
    pairs = []
    i, j = len(text), len(heard)
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + _cost(text[i - 1], heard[j - 1]):
            i, j = i - 1, j - 1
            if _cost(text[i], heard[j]) < _STRANGE:
                pairs.append((i, j))
        elif costs[i][j] == costs[i - 1][j] + _MISSING:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _cost(word: str, other: str) -> float:
    if word == other:
        return 0.0
    same = len(os.path.commonprefix((word, other)))
    return _UNLIKE - (_UNLIKE - _ALIKE) * same / max(len(word), len(other))


def _spots(words: list[str], heard: list[Word], pairs: list[tuple[int, int]]) -> Iterator[_Spot]:
    """Give each pair's time to its word. Words without a partner have the time of what was heard in their place, or else share the time
    of the pair before them, or of the first one.
    """
    done = 0
    for (i, j), (next_i, next_j) in itertools.pairwise([(-1, -1), *pairs, (len(words), len(heard))]):
        between = heard[j + 1 : next_j]
        if i >= 0:
            end = i + 1 if between else next_i
            yield _Spot(words[done:end], heard[j].start, heard[j].end)
            done = end
        if between and done < next_i:
            yield _Spot(words[done:next_i], between[0].start, between[-1].end)
            done = next_i


def _shared(spot: _Spot) -> Iterator[Word]:
    """Share a time among words by their length."""
    total = sum(len(word) for word in spot.words)
    start, said = spot.start, 0
    for word in spot.words:
        said += len(word)
        end = spot.start + (spot.end - spot.start) * said / total
        yield Word(word, start, end)
        start = end
