"""Captions of speech while it is sent: each piece is transcribed by a recognizer of this server as soon as its audio is complete."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from open_speech.audio import Audio, concat, to_pcm16
from open_speech.backends import ModelEntry, Task, TranscribeOptions
from open_speech.errors import UnsupportedValue
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.service import Recognition
from open_speech.registry import Registry
from open_speech.synthesis.alignment import REACH_S, align, quiet_joint
from open_speech.synthesis.stream import Cue
from open_speech.transcript import Segment, Word
from open_speech.voices import ResolvedVoice

WAITING = 4
"""Pieces that are being transcribed or wait for it. The synthesis waits while there are more, so that their audio does not fill memory."""

Recognize = Callable[[Audio], Awaitable[list[Word]]]


def recognizer_for(recognition: Recognition, registry: Registry, voice: ResolvedVoice, field: str) -> Recognize:
    """Return a recognizer that provides word timestamps for a voice. Raises UnsupportedValue naming `field` if there is none."""
    language = _language(voice)
    options = TranscribeOptions(language=language, word_times=True, beam_size=1)
    request = RecognitionRequest(_model(registry, language, field).id, options)

    async def recognize(audio: Audio) -> list[Word]:
        pcm = await asyncio.to_thread(to_pcm16, audio)
        transcript = await recognition.transcribe(pcm, replace(request, raw_rate=audio.rate))
        return [word for segment in transcript.segments for word in segment.words]

    return recognize


def _language(voice: ResolvedVoice) -> str | None:
    """Return the ISO-639-1 code of the spoken language; None if it is unknown."""
    # The name of a blend begins with its first voice, and the name of a speaker begins with its voice.
    own = next((known.language for known in voice.model.voices if voice.voice.startswith(known.id)), None)
    language = voice.language or own
    return language.lower().replace("_", "-").partition("-")[0] if language else None


def _model(registry: Registry, language: str | None, field: str) -> ModelEntry:
    models = [model for model in registry.models(Task.STT) if model.word_times]
    models.sort(key=lambda model: model.id != registry.defaults.stt_model)
    for model in models:
        if language is None or not model.languages or language in model.languages:
            return model
    raise UnsupportedValue(
        f"`{field}` requires a model with word timestamps{f' for `{language}`' if language else ''}, and this server has none.",
        param=field,
    )


class Captioner:
    """Receives audio and cues of a speech, and returns its pieces with word timestamps, in order."""

    def __init__(self, recognize: Recognize) -> None:
        self._recognize = recognize
        self._cues: deque[Cue] = deque()
        """Pieces whose audio is not complete."""
        self._audio: list[Audio] = []
        """Audio since the first of these pieces began, at `_start` seconds."""
        self._start = self._end = 0.0
        self._tasks: deque[asyncio.Task[Segment]] = deque()

    async def feed(self, item: Cue | Audio) -> None:
        """Add the next item of `narrated`; waits while too many pieces wait for transcription."""
        if isinstance(item, Cue):
            if not item.is_mark:
                self._cues.append(item)
            return
        self._audio.append(item)
        self._end += item.seconds
        while len(self._cues) > 1 and self._end >= self._cues[1].at_s + REACH_S:
            self._cut()
        if len(self._tasks) > WAITING:
            await asyncio.wait({self._tasks[-WAITING]})

    def ready(self) -> list[Segment]:
        """Return the pieces that are done, each with its words. Raises the errors of the recognizer."""
        done = []
        while self._tasks and self._tasks[0].done():
            done.append(self._tasks.popleft().result())
        return done

    async def finish(self) -> list[Segment]:
        """Return the remaining pieces at the end of the speech."""
        while len(self._cues) > 1:
            self._cut()
        if self._cues and self._audio:
            self._begin(self._cues.popleft(), concat(self._audio, self._audio[0].rate))
        return [await task for task in self._tasks]

    async def aclose(self) -> None:
        """Cancel the transcriptions in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        """Split the audio of the first piece from that of the second, in the pause between them."""
        cue = self._cues.popleft()
        rate = self._audio[0].rate
        audio = concat(self._audio, rate)
        at_s = max(0.0, self._cues[0].at_s - self._start)
        split = round(quiet_joint(audio, at_s, reach_s=min(REACH_S, at_s / 2)) * rate)
        self._begin(cue, Audio(audio.samples[:split], rate))
        self._audio = [Audio(audio.samples[split:], rate)]
        self._start += split / rate

    def _begin(self, cue: Cue, audio: Audio) -> None:
        self._tasks.append(asyncio.create_task(self._timed(cue.text, audio, self._start)))

    async def _timed(self, text: str, audio: Audio, start: float) -> Segment:
        recognized = await self._recognize(audio)
        words = await asyncio.to_thread(align, text, recognized, audio.seconds)
        placed = tuple(Word(f" {word.text}", start + word.start, start + word.end) for word in words)
        return Segment(start, start + audio.seconds, text, placed)
