"""Labels the speakers of a live session: voiceprints from a runner while the text is recognized, then a speaker for each segment."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.errors import InvalidValue, SpeechError
from open_speech.recognition.diarization import Voiceprint, assign
from open_speech.recognition.live.speakers import Print, SessionSpeakers, unit
from open_speech.recognition.live.voice_windows import VoiceWindow, turns_of, voice_windows
from open_speech.transcript import Segment, Transcript, Word

log = logging.getLogger("open_speech.speakers")

LABEL_WAIT_S = 0.5
"""Seconds that a final text waits for its speakers; after that it is sent without."""
_WORD = re.compile(r"\s*\S+")

Speech = tuple[tuple[float, float], ...]


class Extractor(Protocol):
    """Computes voiceprints: the client of a runner, with its model."""

    def __call__(self, audio: Audio, windows: Sequence[tuple[float, float]], /) -> Awaitable[NDArray[np.float32]]:
        """Return the voiceprint of each window (start and end in seconds), shape (windows, n). Raises SpeechError's children."""
        ...


@dataclass(frozen=True, slots=True)
class Voices:
    """The voiceprints in the audio of one window of the recognizer."""

    speech: Speech
    windows: tuple[VoiceWindow, ...]
    prints: NDArray[np.float32]
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a window, and its voices: None without a tracker, without text, and if they did not arrive in time."""

    transcript: Transcript
    voices: Voices | None = None


class SpeakerTracker:
    """The speakers of one live session. Without the runner, the session goes on, and its text has no speakers."""

    def __init__(
        self,
        extract: Extractor,
        speakers: SessionSpeakers,
        admitted: Callable[[], AbstractContextManager[object]],
        speech_in: Callable[[Audio], Speech],
        *,
        keeps_words: bool = False,
    ) -> None:
        """`admitted` is entered for each call of `extract`; it raises SpeechError's children if the runner has too much to do.
        `speech_in` detects the speech in a reference; it blocks.

        Word times are removed from the text, unless `keeps_words`: they serve to place a change of speaker.
        """
        self._extract = extract
        self._speakers = speakers
        self._admitted = admitted
        self._speech_in = speech_in
        self._keeps_words = keeps_words
        self._is_failing = False

    async def enroll(self, references: Sequence[tuple[str, Audio]]) -> None:
        """Add known speakers: names, and recordings at STT_RATE. Their speech gets the name from now on.

        Raises InvalidValue naming `known_speaker_references` if a recording contains no speech, and what the runner raises.
        """
        voices = [await self._reference(name, audio) for name, audio in references]
        for (name, _), voice in zip(references, voices, strict=True):
            self._speakers.know(name, voice)

    async def decoded(self, audio: Audio, speech: Speech, transcribing: Awaitable[Transcript]) -> Decoded:
        """Await the text of a window, and compute its voiceprints meanwhile. Changes no state: the result may be dropped.

        `speech` are the (start, end) of speech in the audio, in seconds.
        """
        listening = asyncio.ensure_future(self._voices(audio, speech))
        try:
            transcript = await transcribing
            if not transcript.segments:
                return Decoded(transcript)
            await asyncio.wait({listening}, timeout=LABEL_WAIT_S)
            if not listening.done():
                self._failed(f"the voiceprints took {LABEL_WAIT_S:g} s longer than the text")
                return Decoded(transcript)
            return Decoded(transcript, listening.result())
        finally:
            listening.cancel()

    def labelled(self, decoded: Decoded) -> Transcript:
        """Return the text of the next window with a speaker in each segment, None where it is not known. Called in order of time."""
        transcript, voices = decoded.transcript, decoded.voices
        if voices is not None:
            found = zip(voices.windows, voices.prints, strict=True)
            labels = self._speakers.label([Print(window.start, window.end, print) for window, print in found])
            transcript = assign(with_words(transcript, voices.speech), turns_of(voices.speech, voices.windows, labels, voices.samples))
        if self._keeps_words:
            return transcript
        return replace(transcript, segments=tuple(replace(segment, words=()) for segment in transcript.segments))

    async def _reference(self, name: str, audio: Audio) -> Voiceprint:
        windows = voice_windows(await asyncio.to_thread(self._speech_in, audio))
        if not windows:
            raise InvalidValue(f"The reference recording of `{name}` contains no speech.", param="known_speaker_references")
        with self._admitted():
            prints = await self._extract(audio, [(window.start, window.end) for window in windows])
        return np.asarray(np.sum([unit(one) for one in prints], axis=0), np.float32)

    async def _voices(self, audio: Audio, speech: Speech) -> Voices | None:
        windows = tuple(voice_windows(speech))
        prints = np.zeros((0, 0), np.float32)
        try:
            if windows:
                with self._admitted():
                    prints = await self._extract(audio, [(window.start, window.end) for window in windows])
        except SpeechError as error:
            self._failed(error.message)
            return None
        if self._is_failing:
            self._is_failing = False
            log.info("the speakers of a live session are labelled again")
        return Voices(speech, windows, prints, audio.samples)

    def _failed(self, why: str) -> None:
        """Log the first of several failures in a row."""
        if not self._is_failing:
            self._is_failing = True
            log.warning("the speakers of a live session are not labelled: %s", why)


async def decoded(tracker: SpeakerTracker | None, audio: Audio, speech: Speech, transcribing: Awaitable[Transcript]) -> Decoded:
    """Await the text of a window, with the voices in it if there is a tracker."""
    return Decoded(await transcribing) if tracker is None else await tracker.decoded(audio, speech, transcribing)


def labelled(tracker: SpeakerTracker | None, decoded: Decoded) -> Transcript:
    """Return the text of the next window, with speakers if there is a tracker."""
    return decoded.transcript if tracker is None else tracker.labelled(decoded)


def with_words(transcript: Transcript, speech: Speech) -> Transcript:
    """Estimate the times of the words in segments without word times: each letter takes the same share of the speech in the segment."""
    return replace(transcript, segments=tuple(one if one.words else _estimated(one, speech) for one in transcript.segments))


def _estimated(segment: Segment, speech: Speech) -> Segment:
    inside = [(max(start, segment.start), min(end, segment.end)) for start, end in speech if end > segment.start and start < segment.end]
    texts = _WORD.findall(segment.text)
    if not inside or not texts:
        return segment
    seconds = np.cumsum([0.0, *(end - start for start, end in inside)])
    letters = np.cumsum([0, *(len(text.strip()) for text in texts)])
    places = letters / letters[-1] * seconds[-1]
    starts = np.array([start for start, _ in inside])

    def time(place: float, *, is_end: bool) -> float:
        at = int(np.searchsorted(seconds[1:-1], place, side="left" if is_end else "right"))
        return float(starts[at] + place - seconds[at])

    words = [
        Word(text, time(begin, is_end=False), time(end, is_end=True)) for text, begin, end in zip(texts, places, places[1:], strict=False)
    ]
    return replace(segment, words=tuple(words))
