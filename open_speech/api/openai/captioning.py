"""Captions of a speech while it is sent: each piece is heard by our own recogniser as soon as its sound is complete."""

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
"""Pieces that are heard or wait for it; the speech waits while there are more, so that their sound does not fill the memory."""

Recognize = Callable[[Audio], Awaitable[list[Word]]]


def recognizer_for(recognition: Recognition, registry: Registry, voice: ResolvedVoice, field: str) -> Recognize:
    """Choose the model that times the words of a voice. Raises UnsupportedValue naming `field` if there is none."""
    language = _language(voice)
    options = TranscribeOptions(language=language, word_times=True, beam_size=1)
    request = RecognitionRequest(_model(registry, language, field).id, options)

    async def recognize(audio: Audio) -> list[Word]:
        pcm = await asyncio.to_thread(to_pcm16, audio)
        transcript = await recognition.transcribe(pcm, replace(request, raw_rate=audio.rate))
        return [word for segment in transcript.segments for word in segment.words]

    return recognize


def _language(voice: ResolvedVoice) -> str | None:
    """Return the ISO-639-1 code of the language that is spoken; None if it is not known."""
    # A blend begins with its first voice, and a speaker of a voice with the voice.
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
    """Takes a speech as it is narrated, gives its pieces with the times of their words, in order."""

    def __init__(self, recognize: Recognize) -> None:
        self._recognize = recognize
        self._cues: deque[Cue] = deque()
        """Pieces whose sound is not complete."""
        self._sound: list[Audio] = []
        """What was said since the first of them began, at `_start` seconds."""
        self._start = self._end = 0.0
        self._tasks: deque[asyncio.Task[Segment]] = deque()

    async def feed(self, item: Cue | Audio) -> None:
        """Take the next of what `narrated` gives; waits while too much is to be heard."""
        if isinstance(item, Cue):
            if not item.is_mark:
                self._cues.append(item)
            return
        self._sound.append(item)
        self._end += item.seconds
        while len(self._cues) > 1 and self._end >= self._cues[1].at_s + REACH_S:
            self._cut()
        if len(self._tasks) > WAITING:
            await asyncio.wait({self._tasks[-WAITING]})

    def ready(self) -> list[Segment]:
        """Take the pieces that are done, each with its words. Raises what the recogniser raised."""
        done = []
        while self._tasks and self._tasks[0].done():
            done.append(self._tasks.popleft().result())
        return done

    async def finish(self) -> list[Segment]:
        """Take the rest: the speech is over."""
        while len(self._cues) > 1:
            self._cut()
        if self._cues and self._sound:
            self._begin(self._cues.popleft(), concat(self._sound, self._sound[0].rate))
        return [await task for task in self._tasks]

    async def aclose(self) -> None:
        """Stop what is still being heard."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cut(self) -> None:
        """Part the sound of the first piece from that of the second, in the pause between them."""
        cue = self._cues.popleft()
        rate = self._sound[0].rate
        sound = concat(self._sound, rate)
        at_s = max(0.0, self._cues[0].at_s - self._start)
        here = round(quiet_joint(sound, at_s, reach_s=min(REACH_S, at_s / 2)) * rate)
        self._begin(cue, Audio(sound.samples[:here], rate))
        self._sound = [Audio(sound.samples[here:], rate)]
        self._start += here / rate

    def _begin(self, cue: Cue, sound: Audio) -> None:
        self._tasks.append(asyncio.create_task(self._timed(cue.text, sound, self._start)))

    async def _timed(self, text: str, sound: Audio, start: float) -> Segment:
        heard = await self._recognize(sound)
        words = await asyncio.to_thread(align, text, heard, sound.seconds)
        placed = tuple(Word(f" {word.text}", start + word.start, start + word.end) for word in words)
        return Segment(start, start + sound.seconds, text, placed)
