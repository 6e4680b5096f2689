"""Word times of a synthesized text, from the word times of a transcript of its audio. Pure.

The text is known; only its times are needed. The transcript is therefore aligned with the text, word by word, at the lowest cost. Words
that the recognizer wrote differently (`twenty three` as `23`) share the time of their counterpart; a missing word shares its neighbour's.
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
"""Japanese and Chinese characters, which are written without spaces: each character counts as a word."""
_TRAILING = "、。，．！？：；」』）】〉》”’…ー"
_WORD = re.compile(rf"[{_WIDE}][{_TRAILING}]*|[^\s{_WIDE}]+")
_UNLIKE, _ALIKE = 1.0, 0.1
_MISSING = 0.75
"""Cost of a word without a counterpart: two of them cost more than one pair of different words."""
_UNRELATED = 0.7
"""Cost from which two aligned words do not count as a pair: `twenty three` and `23`."""
_FRAME_S = 0.02
REACH_S = 0.4
"""Seconds around a joint that are searched for its silence: trimming the start of the audio shifts everything after it."""
_QUIET = 0.1
"""Fraction of the loudest frame nearby below which a frame counts as silence."""


@dataclass(frozen=True, slots=True)
class _TimedWords:
    """Consecutive words of the text that share one time interval."""

    words: list[str]
    start: float
    end: float


def words_of(text: str) -> list[str]:
    """Split a text into words; punctuation between two words, such as a dash, belongs to the word before it."""
    words: list[str] = []
    for found in _WORD.finditer(text):
        if words and not _plain(found[0]):
            words[-1] = f"{words[-1]} {found[0]}" if text[found.start() - 1].isspace() else words[-1] + found[0]
        else:
            words.append(found[0])
    return words


def align(text: str, transcribed: Iterable[Word], seconds: float) -> list[Word]:
    """Return every word of `text` with its time within `seconds` of audio, by the words that were transcribed from it.

    One Word for each of `words_of(text)`, in order; times never decrease. Without transcribed words, all words share the time by length.
    """
    words = words_of(text)
    known = [_within(word, seconds) for whole in transcribed for word in _parts(whole)]
    if not words:
        return []
    if not known:
        return list(_shared(_TimedWords(words, 0.0, seconds)))
    timed: list[Word] = []
    for group in _groups(words, known, _pairs([_plain(w) for w in words], [_plain(w.text) for w in known])):
        start = max(group.start, timed[-1].end if timed else 0.0)
        timed += _shared(_TimedWords(group.words, start, max(start, group.end)))
    return timed


def quiet_joint(audio: Audio, at_s: float, *, reach_s: float = REACH_S) -> float:
    """Return the time, in seconds, of the pause near `at_s` between two pieces; `at_s` itself if there is none."""
    frame = max(1, round(_FRAME_S * audio.rate))
    first = max(0, round((at_s - reach_s) * audio.rate) // frame)
    near = np.abs(audio.samples[first * frame : round((at_s + reach_s) * audio.rate)])
    count = len(near) // frame
    loud = near[: count * frame].reshape(count, frame).max(axis=1)
    silent = np.concatenate([[False], loud <= _QUIET * loud.max(initial=0.0), [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8))).reshape(-1, 2)
    if not len(edges):
        return min(at_s, audio.seconds)
    # Words contain silences too, before a `t` or a `p`; they are shorter.
    begin, end = edges[np.diff(edges, axis=1).argmax()]
    return float((first + (begin + end) / 2) * frame / audio.rate)


def _plain(word: str) -> str:
    """Return the letters and digits of a word in lower case."""
    return "".join(char for char in word.casefold() if char.isalnum())


def _parts(word: Word) -> Iterator[Word]:
    """Split a transcribed word as `words_of` splits the text, each part with its share of the time."""
    texts = [text for text in words_of(word.text) if _plain(text)]
    return _shared(_TimedWords(texts, word.start, word.end))


def _within(word: Word, seconds: float) -> Word:
    start = min(max(word.start, 0.0), seconds)
    return Word(word.text, start, min(max(word.end, start), seconds))


def _pairs(text: Sequence[str], known: Sequence[str]) -> list[tuple[int, int]]:
    """Align two lists of words at the lowest cost; return the positions of the pairs, in order."""
    costs = [[_MISSING * (i + j) if not i or not j else 0.0 for j in range(len(known) + 1)] for i in range(len(text) + 1)]
    for i, word in enumerate(text, 1):
        row, above = costs[i], costs[i - 1]
        for j, other in enumerate(known, 1):
            row[j] = min(above[j - 1] + _cost(word, other), above[j] + _MISSING, row[j - 1] + _MISSING)
    pairs = []
    i, j = len(text), len(known)
    while i and j:
        if costs[i][j] == costs[i - 1][j - 1] + _cost(text[i - 1], known[j - 1]):
            i, j = i - 1, j - 1
            if _cost(text[i], known[j]) < _UNRELATED:
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


def _groups(words: list[str], known: list[Word], pairs: list[tuple[int, int]]) -> Iterator[_TimedWords]:
    """Assign the time of each pair to its word. Words without a pair have the time of the transcribed words in their place, or else share
    the time of the pair before them, or of the first pair.
    """
    done = 0
    for (i, j), (next_i, next_j) in itertools.pairwise([(-1, -1), *pairs, (len(words), len(known))]):
        between = known[j + 1 : next_j]
        if i >= 0:
            end = i + 1 if between else next_i
            yield _TimedWords(words[done:end], known[j].start, known[j].end)
            done = end
        if between and done < next_i:
            yield _TimedWords(words[done:next_i], between[0].start, between[-1].end)
            done = next_i


def _shared(group: _TimedWords) -> Iterator[Word]:
    """Divide the time of a group among its words by their length."""
    total = sum(len(word) for word in group.words)
    start, chars = group.start, 0
    for word in group.words:
        chars += len(word)
        end = group.start + (group.end - group.start) * chars / total
        yield Word(word, start, end)
        start = end
