"""Creates the speaker trackers of live sessions: finds a runner for voiceprints, and computes those of known speakers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, ModelEntry, Task, Vad
from open_speech.dispatch.frames import LIVE
from open_speech.dispatch.pool import RunnerPool
from open_speech.errors import SpeechError, UnsupportedValue
from open_speech.recognition.live.speaker_tracker import SpeakerTracker, Speech
from open_speech.recognition.live.speakers import MOST_SPEAKERS, NO_BACKEND, SessionSpeakers
from open_speech.recognition.live.turn_detection import FRAME_S
from open_speech.recognition.vad import SpeechModel
from open_speech.recognition.windows import cuts_of

log = logging.getLogger("open_speech.speakers")

_LONGEST_S = 60.0
"""Seconds of speech in one window; references are shorter."""


class SpeakerTrackers:
    """Creates the speaker trackers of one server."""

    def __init__(self, pool: RunnerPool, speech: Callable[[], SpeechModel]) -> None:
        """`speech` opens the speech detector; it blocks."""
        self._pool = pool
        self._speech = speech
        self._loading: set[asyncio.Task[None]] = set()

    async def tracker(self, how: DiarizeOptions, *, keeps_words: bool = False) -> SpeakerTracker:
        """Return a tracker for one session. Its model is loaded in the background, or first if there are known speakers.

        `how.min_speakers` is not used: nobody is a speaker before having spoken. Raises UnsupportedValue naming `diarize` if no backend
        computes voiceprints, PullNotAllowed, and what SpeakerTracker.enroll raises.
        """
        entry = self._entry()
        self._pool.permit(entry)
        await self._pool.client(entry).require(entry.id)
        tracker = SpeakerTracker(
            partial(self._prints, entry),
            SessionSpeakers(most=how.max_speakers or MOST_SPEAKERS),
            partial(self._admitted, entry.backend),
            self._speech_in,
            keeps_words=keeps_words,
        )
        if how.references:
            await tracker.enroll(how.references)
        else:
            self._load(entry)
        return tracker

    @property
    def is_available(self) -> bool:
        """Whether a backend of this server computes voiceprints."""
        return self._find() is not None

    def _find(self) -> ModelEntry | None:
        registry = self._pool.registry
        return next((model for model in registry.models(Task.DIARIZE) if registry.backends[model.backend].voiceprints), None)

    def _entry(self) -> ModelEntry:
        entry = self._find()
        if entry is None:
            raise UnsupportedValue(NO_BACKEND, param="diarize")
        return entry

    @contextmanager
    def _admitted(self, backend: str) -> Iterator[None]:
        with self._pool.admission.ticket(backend, answers=0, live=True) as ticket, ticket.waiting():
            yield

    def _speech_in(self, audio: Audio) -> Speech:
        probabilities = self._speech().stream().feed(audio.samples, last=True)
        cuts = cuts_of(probabilities, Vad(), FRAME_S, longest_s=_LONGEST_S)
        return tuple((span.start, min(span.end, audio.seconds)) for cut in cuts for span in cut.spans)

    async def _prints(self, entry: ModelEntry, audio: Audio, windows: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        return await self._pool.client(entry).voiceprints(entry.id, audio, windows, urgency=LIVE)

    def _load(self, entry: ModelEntry) -> None:
        """Load the model in the background, so that it is ready for the first text."""

        async def load() -> None:
            try:
                await self._pool.client(entry).load(entry.id)
            except SpeechError as error:
                log.warning("the model %s is not ready: %s", entry.id, error.message)

        loading = asyncio.create_task(load())
        self._loading.add(loading)
        loading.add_done_callback(self._loading.discard)
