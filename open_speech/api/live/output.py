"""The output track of a Live session: one continuous signal, with the words that leave with it. Pure.

An answer is synthesized faster than it is played, so its audio waits here. Only what has left was heard: an interruption drops the rest.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

import numpy as np

from open_speech.api.live.effects import Samples

WORD = re.compile(r"(\s*)(\S{1,16})")
"""A word and the space before it. Text without spaces is divided after 16 characters."""
OPEN_CHARS_PER_S = 20.0
"""Fastest pace at which words leave while the length of their sentence is not known yet: faster than anybody speaks."""


@dataclass(slots=True)
class _Piece:
    """A part of the text, usually a sentence, and the sample at which its audio begins."""

    words: deque[str]
    start: int
    chars: int
    """Characters of all words."""


class Speech:
    """One answer: its audio that waits, and its text."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._blocks: deque[Samples] = deque()
        self._total = self._played = 0
        self._pieces: deque[_Piece] = deque()
        self._said_chars = 0
        """Characters of the first piece that have left."""
        self._ended = False
        self._space = True
        """Whether a space precedes the next word."""
        self.heard = ""
        """The words that have left."""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait."""
        return (self._total - self._played) / self._rate

    @property
    def played_s(self) -> float:
        """Seconds of audio that have left."""
        return self._played / self._rate

    @property
    def has_begun(self) -> bool:
        """Whether audio has left."""
        return self._played > 0

    @property
    def has_audio(self) -> bool:
        """Whether there is audio, played or not."""
        return self._total > 0

    @property
    def is_over(self) -> bool:
        """Whether everything has left."""
        return self._ended and self._played >= self._total

    def add_text(self, text: str, at_s: float) -> None:
        """Add the next part of the text, whose audio begins at `at_s` seconds."""
        words: deque[str] = deque()
        for space, word in WORD.findall(text):
            words.append(" " + word if space or self._space else word)
            self._space = False
        self._space = self._space or text[-1:].isspace()
        if words:
            self._pieces.append(_Piece(words, round(at_s * self._rate), sum(map(len, words))))

    def add_audio(self, samples: Samples) -> None:
        """Add the next part of the audio."""
        if len(samples):
            self._blocks.append(samples)
            self._total += len(samples)

    def end(self) -> None:
        """Report that nothing more will be added."""
        self._ended = True

    def take(self, count: int) -> Samples:
        """Take the next `count` samples, or fewer if fewer wait."""
        taken: list[Samples] = [np.zeros(0, np.float32)]
        while count and self._blocks:
            block = self._blocks.popleft()
            taken.append(block[:count])
            if len(block) > count:
                self._blocks.appendleft(block[count:])
            count -= len(taken[-1])
        samples = np.concatenate(taken)
        self._played += len(samples)
        return samples

    def words(self) -> str:
        """Take the words whose audio has begun to leave."""
        text = ""
        while self._pieces and (found := self._due()) is not None:
            text += found
        self.heard += text
        return text

    def _due(self) -> str | None:
        piece = self._pieces[0]
        following = self._pieces[1].start if len(self._pieces) > 1 else None
        end = self._total if following is None else following
        at = piece.start + (end - piece.start) * self._said_chars / piece.chars
        if following is None and not self._ended:
            at = max(at, piece.start + self._said_chars * self._rate / OPEN_CHARS_PER_S)
        if at >= self._played and not (self.is_over and self._total):
            return None
        word = piece.words.popleft()
        self._said_chars += len(word)
        if not piece.words:
            self._pieces.popleft()
            self._said_chars = 0
        return word


class OutputTrack:
    """What the client hears: the speech of the current answer, a fixture, or silence."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.speech: Speech | None = None
        """The current answer."""
        self.is_paused = False
        """Whether the speech is held back while it is not clear if the user interrupts it."""
        self._fixture: Samples = np.zeros(0, np.float32)
        self._words = ""
        """Words that have left and were not taken yet."""

    @property
    def is_playing_fixture(self) -> bool:
        """Whether a fixture is not played completely."""
        return len(self._fixture) > 0

    @property
    def is_audible(self) -> bool:
        """Whether the user has heard a part of the current answer, and more is to come."""
        return self.speech is not None and self.speech.has_begun and not self.speech.is_over

    @property
    def waiting_s(self) -> float:
        """Seconds of speech that wait to be played."""
        return self.speech.waiting_s if self.speech else 0.0

    def begin(self) -> Speech:
        """Start the next answer."""
        self.speech = Speech(self._rate)
        return self.speech

    def finish(self) -> None:
        """End the current answer, all of whose audio has left."""
        self._collect()
        self.drop()

    def drop(self) -> str:
        """Drop the rest of the current answer; return what was heard of it."""
        speech, self.speech, self.is_paused = self.speech, None, False
        return speech.heard if speech else ""

    def play_fixture(self, samples: Samples) -> None:
        """Play a fixture; the speech goes on after it."""
        self._fixture = samples

    def take(self, count: int) -> Samples:
        """Take the next `count` samples: silence where there is nothing to play."""
        if self.is_playing_fixture:
            taken, self._fixture = self._fixture[:count], self._fixture[count:]
        elif self.speech is not None and not self.is_paused:
            taken = self.speech.take(count)
            self._collect()
        else:
            taken = self._fixture
        if len(taken) == count:
            return taken
        return np.concatenate([taken, np.zeros(count - len(taken), np.float32)])

    def words(self) -> str:
        """Take the words that have left since the last call."""
        words, self._words = self._words, ""
        return words

    def _collect(self) -> None:
        if self.speech is not None:
            self._words += self.speech.words()
