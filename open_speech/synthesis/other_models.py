"""Models beside the model of a request, which speak the parts of its text that it cannot read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

import numpy as np

from open_speech.audio import Audio, StreamResampler
from open_speech.backends import ModelEntry, SpeechOptions, Task
from open_speech.dispatch.pool import RunnerPool
from open_speech.synthesis.pipeline import Synthesize


async def installed(pool: RunnerPool, besides: ModelEntry) -> list[ModelEntry]:
    """Return the speaking models of this server, without `besides`, that need no download; takes 2 seconds at most.

    Models that the key of the current request forbids are left out.
    """
    known = pool.registry.models(Task.TTS)
    models = [model for model in known if model.id != besides.id and model.sample_rate and pool.is_permitted(model)]
    names = {model.backend for model in models}
    kept = await asyncio.gather(*(pool.clients[name].kept() for name in names))
    on_disk = {model for models_of_one in kept for model in models_of_one}
    return [model for model in models if not any(part.files for part in model.whole) or model.id in on_disk]


class OtherModels:
    """The synthesis functions of the other models of one speech, each made at its first use, at the rate of the model of the request."""

    def __init__(self, models: Iterable[ModelEntry], rate: int | None, synthesize: Callable[[ModelEntry], Synthesize]) -> None:
        """`rate` in Hertz; None for a request whose model has no known rate, which hands nothing over."""
        self._models = {model.id: model for model in models}
        self._rate = rate
        self._synthesize = synthesize
        self._made: dict[str, Synthesize] = {}

    def synthesizer(self, model: str) -> Synthesize:
        """Return the function that speaks with a model. Raises KeyError for a model that is none of these."""
        if model not in self._made:
            entry = self._models[model]
            self._made[model] = at_rate(self._synthesize(entry), self._rate or entry.sample_rate or 0)
        return self._made[model]


def at_rate(synthesize: Synthesize, rate: int) -> Synthesize:
    """Wrap a synthesis function so that its audio has `rate` Hertz."""

    async def speak(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
        resampler: StreamResampler | None = None
        source = 0
        async with aclosing(synthesize(text, options)) as chunks:
            async for audio in chunks:
                source = audio.rate
                resampler = resampler or StreamResampler(source, rate)
                yield await asyncio.to_thread(resampler.feed, audio)
        if resampler is not None:
            yield resampler.feed(Audio(np.zeros(0, np.float32), source), last=True)

    return speak
