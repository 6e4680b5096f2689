"""The speakers of a live session: voiceprints in, labels out, and a label that was given is never changed. Pure.

The voiceprints of one window of the recognizer (up to 15 s) are labelled together. They are first clustered among themselves, so that a
change of speaker does not depend on what was said before, and each cluster is then compared with the speakers of the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from open_speech.recognition.diarization import Voiceprint, letters, likeness
from open_speech.recognition.live.voice_windows import WINDOW_S

SHORTEST_S = 0.4
"""Seconds of speech below which a voiceprint says too little: it takes the most similar speaker, with an advantage for a neighbor."""
SAME_LONG, SAME_SHORT = 0.50, 0.22
"""Cosine similarity from which two voiceprints are of the same speaker: with WINDOW_S seconds or more, and with SHORTEST_S. In between it
rises linearly."""
NEW_S = 0.6
"""Seconds of speech that a cluster needs to become a new speaker; with less, it takes the label of the most similar one."""
MERGE = 0.70
"""Cosine similarity of two speakers of the session from which they are one: the later label is no longer given."""
NEAR_S, NEAR = 0.6, 0.12
"""Seconds within which a short stretch follows or precedes a speaker, and the similarity that this is worth."""
MOST_SPEAKERS = 15
"""Default for the maximum number of speakers of a session; the diarizer of files has the same."""
NO_BACKEND = (
    "This server has no backend that labels speakers in live sessions. Set STT_DIARIZE_BACKENDS=campplus, or start the server with "
    "`make serve DIARIZE=1`."
)
"""The error of a session that requests speakers."""
KNOWN_S = 10.0
"""Seconds of speech that the reference of a known speaker counts as."""


@dataclass(frozen=True, slots=True)
class Print:
    """The voiceprint of a window of speech, and its time in seconds."""

    start: float
    end: float
    voice: Voiceprint

    @property
    def seconds(self) -> float:
        """The length of the window in seconds."""
        return self.end - self.start


@dataclass(slots=True, eq=False)
class _Speaker:
    label: str
    voice: Voiceprint
    """Sum of voiceprints of length 1, weighted by their seconds."""
    is_known: bool = False
    seconds: float = 0.0
    replaced_by: _Speaker | None = field(default=None, repr=False)


class SessionSpeakers:
    """The speakers of one session. Labels are names of known speakers, or else `A`, `B` and so on in the order of their first speech."""

    def __init__(self, known: Sequence[tuple[str, Voiceprint]] = (), *, most: int = MOST_SPEAKERS) -> None:
        """`known` are as in `know`; `most` is the maximum number of speakers who get a label."""
        self._known: list[_Speaker] = []
        self._heard: list[_Speaker] = []
        """Speakers with a label that was given, and that may be given again."""
        self._most = most
        self._letters = letters()
        for name, voice in known:
            self.know(name, voice)

    def know(self, name: str, voice: Voiceprint) -> None:
        """Add a known speaker, or more speech of one. Labels that were given before stay as they are."""
        for speaker in self._known:
            if speaker.label == name:
                speaker.voice = speaker.voice + unit(voice) * np.float32(KNOWN_S)
                return
        self._known.append(_Speaker(name, unit(voice) * np.float32(KNOWN_S), is_known=True))

    def label(self, prints: Sequence[Print]) -> list[str | None]:
        """Return the label of each voiceprint of the next window. None: too little speech so far to decide.

        Called once for each window, in order of time.
        """
        prints = [Print(one.start, one.end, unit(one.voice)) for one in prints]
        speakers: list[_Speaker | None] = [None] * len(prints)
        long = [at for at, one in enumerate(prints) if one.seconds >= SHORTEST_S]
        groups = [[long[at] for at in cluster] for cluster in clustered(_affinities([prints[at] for at in long]))]
        covered = [_covered([prints[at] for at in group]) for group in groups]
        for group, seconds in sorted(zip(groups, covered, strict=True), key=lambda pair: -pair[1]):
            voice = _sum([prints[at] for at in group])
            speaker = self._speaker(voice, seconds)
            for at in group:
                speakers[at] = speaker
        for at in (at for at, one in enumerate(prints) if one.seconds < SHORTEST_S):
            speakers[at] = self._of_short(prints, speakers, at)
        self._merge_alike()
        labelled = [None if one is None else _current(one) for one in speakers]
        for speaker in labelled:
            if speaker is not None and not speaker.label:
                speaker.label = self._free_letter()
        return [None if one is None else one.label for one in labelled]

    def _speaker(self, voice: Voiceprint, seconds: float) -> _Speaker | None:
        """Return the speaker of a cluster: one of the session, a known one, or a new one."""
        candidates = [*self._heard, *(one for one in self._known if one not in self._heard)]
        if len(self._heard) >= self._most:
            candidates = self._heard
        best = max(candidates, key=lambda one: likeness(one.voice, voice), default=None)
        alike = best is not None and likeness(best.voice, voice) >= same(seconds)
        if not alike and seconds >= NEW_S and len(self._heard) < self._most:
            best = _Speaker("", np.zeros_like(voice))
            alike = True
        elif not alike:
            # Too short to be somebody new: somebody who has spoken, but whose voiceprint stays as it is.
            return max(self._heard, key=lambda one: likeness(one.voice, voice), default=None)
        assert best is not None
        best.voice = best.voice + voice
        best.seconds += seconds
        if best not in self._heard:
            self._heard.append(best)
        return best

    def _free_letter(self) -> str:
        names = {speaker.label for speaker in self._known}
        return next(letter for letter in self._letters if letter not in names)

    def _of_short(self, prints: Sequence[Print], speakers: Sequence[_Speaker | None], at: int) -> _Speaker | None:
        """Return the speaker of a short stretch: the most similar one, with an advantage for those who speak right before or after it."""
        near = {
            id(speakers[other])
            for other in (at - 1, at + 1)
            if 0 <= other < len(prints) and max(prints[other].start - prints[at].end, prints[at].start - prints[other].end) <= NEAR_S
        }
        return max(self._heard, key=lambda one: likeness(one.voice, prints[at].voice) + (NEAR if id(one) in near else 0.0), default=None)

    def _merge_alike(self) -> None:
        """Merge speakers whose voiceprints have become alike; the earlier label stays, or that of a known speaker."""
        for one in list(self._heard):
            for other in self._heard[self._heard.index(one) + 1 :] if one in self._heard else ():
                if likeness(one.voice, other.voice) < MERGE or (one.is_known and other.is_known):
                    continue
                kept, dropped = (other, one) if other.is_known else (one, other)
                kept.voice = kept.voice + dropped.voice
                dropped.replaced_by = kept
                self._heard.remove(dropped)
                if dropped is one:
                    break


def unit(voice: Voiceprint) -> Voiceprint:
    """Return a voiceprint with length 1; zeros stay zeros."""
    length = float(np.linalg.norm(voice))
    return np.asarray(voice / length if length else voice, np.float32)


def same(seconds: float) -> float:
    """Return the cosine similarity from which a voiceprint of so many seconds of speech is that of a speaker."""
    return float(np.interp(seconds, (SHORTEST_S, WINDOW_S), (SAME_SHORT, SAME_LONG)))


def _affinities(prints: Sequence[Print]) -> NDArray[np.float32]:
    """Return for each pair of voiceprints how much their similarity exceeds that from which they are the same speaker, shape (n, n)."""
    if not prints:
        return np.zeros((0, 0), np.float32)
    voices = np.stack([one.voice for one in prints])
    least = np.array([same(one.seconds) for one in prints], np.float32)
    return np.asarray(voices @ voices.T - np.minimum(least[:, None], least), np.float32)


def clustered(affinities: NDArray[np.float32]) -> list[list[int]]:
    """Return clusters of the rows of a symmetric matrix: average linkage, while the mean affinity of two clusters is not negative."""
    clusters = [[at] for at in range(len(affinities))]
    sums = np.array(affinities, np.float64)
    sizes = np.ones(len(clusters))
    while len(clusters) > 1:
        means = sums / np.outer(sizes, sizes)
        np.fill_diagonal(means, -np.inf)
        one, other = sorted(divmod(int(np.argmax(means)), len(clusters)))
        if means[one, other] < 0:
            break
        clusters[one] += clusters.pop(other)
        sums[one] += sums[other]
        sums[:, one] += sums[:, other]
        sizes[one] += sizes[other]
        sums, sizes = np.delete(np.delete(sums, other, 0), other, 1), np.delete(sizes, other)
    return [sorted(cluster) for cluster in clusters]


def _covered(prints: Sequence[Print]) -> float:
    """Return the seconds of speech in windows that may overlap, in order of time."""
    seconds, end = 0.0, 0.0
    for one in prints:
        seconds += max(0.0, one.end - max(one.start, end))
        end = max(end, one.end)
    return seconds


def _sum(prints: Sequence[Print]) -> Voiceprint:
    weighted = [one.voice * np.float32(one.seconds) for one in prints]
    return np.asarray(np.sum(weighted, axis=0), np.float32)


def _current(speaker: _Speaker) -> _Speaker:
    return speaker if speaker.replaced_by is None else _current(speaker.replaced_by)
