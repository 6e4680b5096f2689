"""Speaker labels: assigns names to turns, and turns to words. Pure.

A diarizer analyses voices, not words: its turns are accurate to a few tenths of a second, and a recognizer's segments do not follow them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, groupby, product
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import Turn
from open_speech.transcript import Segment, Token, Transcript, Word

Voiceprint = NDArray[np.float32]
"""Shape (n,): the embedding of a voice; two embeddings of the same voice point in the same direction."""

SLACK_S = 0.6
"""Seconds by which a change of speaker may be moved to the end of a sentence: engines locate it to about half a second."""
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")


def assign(transcript: Transcript, turns: Sequence[Turn]) -> Transcript:
    """Assign a speaker to each segment: the one it overlaps most, or the nearest one if it overlaps none.

    A segment with word times is split where the speaker changes; the texts of its parts, joined, are its text. `turns` are in order of
    time and do not overlap; without turns the transcript is returned unchanged.
    """
    if not turns:
        return transcript
    finder = _SpeakerFinder(turns)
    words = [word for segment in transcript.segments for word in segment.words]
    speakers = iter(_at_sentences(words, [finder.speaker(word.start, word.end) for word in words]))
    segments: list[Segment] = []
    for segment in transcript.segments:
        if segment.words:
            segments += _split(segment, [next(speakers) for _ in segment.words])
        else:
            segments.append(replace(segment, speaker=finder.speaker(segment.start, segment.end)))
    return replace(transcript, segments=tuple(segments))


class _SpeakerFinder:
    """Finds the speaker of a time interval, in O(log n)."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._ends = [turn.end for turn in turns]

    def speaker(self, start: float, end: float) -> str:
        first = bisect_right(self._ends, start)
        shares: dict[str, float] = {}
        for at in range(first, len(self._turns)):
            turn = self._turns[at]
            if turn.start >= end:
                break
            shares[turn.speaker] = shares.get(turn.speaker, 0.0) + min(turn.end, end) - max(turn.start, start)
        if shares:
            return max(shares, key=shares.__getitem__)
        near = self._turns[max(first - 1, 0) : first + 1]
        return min(near, key=lambda turn: max(turn.start - end, start - turn.end)).speaker


def _at_sentences(words: Sequence[Word], speakers: list[str]) -> list[str]:
    """Move each change of speaker to the nearest end of a sentence within SLACK_S, if there is one."""
    moved = list(speakers)
    changes = [at for at in range(1, len(words)) if speakers[at] != speakers[at - 1]]
    before = 0
    for change, after in zip(changes, [*changes[1:], len(words)], strict=False):
        time = _gap(words, change)
        # Only between the previous change (as moved) and the next one, so that no turn loses all its words.
        ends = [at for at in range(before + 1, after) if words[at - 1].text.rstrip().endswith(_SENTENCE_ENDS)]
        best = min(ends, key=lambda at: abs(_gap(words, at) - time), default=change)
        if abs(_gap(words, best) - time) <= SLACK_S:
            for at in range(min(best, change), max(best, change)):
                moved[at] = speakers[change] if best < change else speakers[change - 1]
            change = best
        before = change
    return moved


def _gap(words: Sequence[Word], at: int) -> float:
    """Return the middle, in seconds, of the gap before a word."""
    return (words[at - 1].end + words[at].start) / 2


def _split(segment: Segment, speakers: Sequence[str]) -> Iterator[Segment]:
    """Split a segment where the speaker of its words changes; the texts of the parts, joined, are its text."""
    runs = [(speaker, len(list(run))) for speaker, run in groupby(speakers)]
    if len(runs) == 1:
        yield replace(segment, speaker=speakers[0])
        return
    begins = [*_word_starts(segment.text, segment.words), len(segment.text)]
    at = 0
    for speaker, length in runs:
        words = segment.words[at : at + length]
        left, right = 0 if at == 0 else begins[at], begins[at + length]
        yield replace(
            segment,
            start=segment.start if at == 0 else words[0].start,
            end=segment.end if at + length == len(segment.words) else words[-1].end,
            text=segment.text[left:right],
            words=words,
            tokens=(),  # it is not known which tokens belong to which words
            logprobs=tuple(_tokens_between(segment.logprobs, left, right)),
            speaker=speaker,
        )
        at += length


def _word_starts(text: str, words: Sequence[Word]) -> Iterator[int]:
    """Yield the position at which each word begins in the text, its leading space included."""
    at = 0
    for word in words:
        bare = word.text.strip()
        found = max(text.find(bare, at), at)
        yield at + len(text[at:found].rstrip())
        at = found + len(bare)


def _tokens_between(tokens: Sequence[Token], left: int, right: int) -> Iterator[Token]:
    """Yield the tokens whose text begins between two positions of the text."""
    at = 0
    for token in tokens:
        if left <= at < right:
            yield token
        at += len(token.text)


def within(turns: Sequence[Turn], speech: Sequence[tuple[float, float]]) -> list[Turn]:
    """Clip turns to speech. Both are in order of time; `speech` are (start, end) in seconds."""
    kept = []
    at = 0
    for turn in turns:
        while at < len(speech) and speech[at][1] <= turn.start:
            at += 1
        for next_one in range(at, len(speech)):
            start, end = speech[next_one]
            if start >= turn.end:
                break
            kept.append(Turn(max(turn.start, start), min(turn.end, end), turn.speaker))
    return kept


def joined(turns: Sequence[Turn], gap_s: float) -> list[Turn]:
    """Merge consecutive turns of the same speaker with at most `gap_s` seconds between them."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].speaker == turn.speaker and turn.start - merged[-1].end <= gap_s:
            merged[-1] = replace(merged[-1], end=max(merged[-1].end, turn.end))
        else:
            merged.append(turn)
    return merged


def recognised(voices: Mapping[str, Voiceprint], known: Sequence[tuple[str, Voiceprint]], least: float) -> dict[str, str]:
    """Return the known name of each detected voice: the most similar one, if the cosine similarity is at least `least`.

    Two detected voices may get the same name: engines more often split a voice that changes its microphone than they merge two voices.
    """
    names = {}
    for label, voice in voices.items():
        alike = max(known, key=lambda pair: likeness(voice, pair[1]), default=None)
        if alike is not None and likeness(voice, alike[1]) >= least:
            names[label] = alike[0]
    return names


def fewer(turns: Sequence[Turn], voices: Mapping[str, Voiceprint], most: int) -> list[Turn]:
    """Keep the `most` speakers who speak longest; turns of other speakers are assigned to the kept speaker with the most similar voice."""
    seconds: dict[str, float] = {}
    for turn in turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end - turn.start
    kept = sorted(seconds, key=seconds.__getitem__, reverse=True)[:most]

    def nearest(label: str) -> str:
        return label if label in kept else max(kept, key=lambda one: likeness(voices[label], voices[one]))

    return [replace(turn, speaker=nearest(turn.speaker)) for turn in turns]


def likeness(one: Voiceprint, other: Voiceprint) -> float:
    """Return the cosine similarity of two voiceprints, in [-1, 1]; 0 if one is all zeros."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def named(turns: Sequence[Turn], names: Mapping[str, str]) -> list[Turn]:
    """Give turns their final labels: the name in `names` for the engine's label, or else the next free letter.

    Letters follow the order of the first turns: A to Z, then AA, AB and so on; a letter that is in use as a name is skipped.
    """
    labels = dict(names)
    free = (letter for letter in letters() if letter not in labels.values())
    for turn in turns:
        if turn.speaker not in labels:
            labels[turn.speaker] = next(free)
    return [replace(turn, speaker=labels[turn.speaker]) for turn in turns]


def letters() -> Iterator[str]:
    """Return the labels of speakers without a name: A to Z, then AA, AB and so on."""
    return ("".join(letters) for length in count(1) for letters in product(ascii_uppercase, repeat=length))
