"""A speech request of GemmaVoice's API -> its audio, and the events and the JSON that contain it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from open_speech.api.gemmavoice.speech_request import SpeechBody, TextToSpeechRequest
from open_speech.api.openai.speech import warned
from open_speech.api.openai.voice_options import reference_of
from open_speech.audio import Audio
from open_speech.codecs import MEDIA_TYPES, PCM_RATE, file_rate
from open_speech.codecs.wav import with_true_sizes
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.engine import Engine
from open_speech.errors import BackendFailed
from open_speech.registry import UNHEARD_RATE
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.rendering import Rendition
from open_speech.synthesis.stream import SpeechStream
from open_speech.voices import VoiceOptions

MODEL = "tts-1"
"""The API has no field for the model: that of the voice speaks, or the default model."""


class RateMonitor:
    """Observes the sample rate of one speech while it is encoded."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Duration of the audio so far."""
        self.rate = 0
        """Hertz; 0 before the first audio."""

    async def over(self, speech: SpeechStream) -> AsyncGenerator[Audio, None]:
        """Yield the audio of the speech."""
        self.rate = speech.rate
        async for audio in speech:
            self.seconds += audio.seconds
            yield audio


@dataclass(frozen=True, slots=True)
class Speech:
    """One speech. Its properties are final after the first chunk of its audio."""

    rendition: Rendition[RateMonitor]
    form: AudioFormat
    reference_id: str | None
    warnings: tuple[str, ...] = ()
    """Sentences about fields that were ignored, besides those of the plan."""

    @property
    def media_type(self) -> str:
        """Media type of the file."""
        return MEDIA_TYPES[self.form]

    @property
    def rate(self) -> int:
        """Sample rate of the file in Hertz."""
        plan = self.rendition.plan
        own = self.rendition.monitor.rate or plan.finish.rate or plan.voice.model.sample_rate or UNHEARD_RATE
        return file_rate(self.form, own, pcm_rate=plan.finish.rate or PCM_RATE)

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Sentences about text and fields that were ignored."""
        return (*self.warnings, *self.rendition.plan.warnings)

    def headers(self) -> dict[str, str]:
        """Return the headers of a response with the audio."""
        headers = {"x-audio-format": self.form, "x-sample-rate": str(self.rate), **warned(self.all_warnings)}
        if self.reference_id is not None:
            headers["x-reference-id"] = quote(self.reference_id, safe="/:@+ ()#")
        return headers | ({"X-Cache": self.rendition.cache} if self.rendition.cache else {})

    def metadata(self) -> dict[str, Any]:
        """Return the description of the audio that precedes it on a WebSocket."""
        described: dict[str, Any] = {"response_format": self.form, "media_type": self.media_type, "sample_rate": self.rate}
        if self.reference_id is not None:
            described["reference_id"] = self.reference_id
        return described | ({"warnings": list(self.all_warnings)} if self.all_warnings else {})


async def speech_of(body: TextToSpeechRequest, engine: Engine, settings: Settings) -> Speech:
    """Plan a speech; it is synthesized when its audio is read. Raises SpeechError's children, each naming the invalid field."""
    form = body.format or (settings.tts_default_format if "tts_default_format" in settings.model_fields_set else "wav")
    options = VoiceOptions(field="references", lenient=body.ignore_unsupported)
    warnings: tuple[str, ...] = ()
    if body.references:
        reference = await asyncio.to_thread(reference_of, body.references[0], field="references")
        options = VoiceOptions(reference, field="references", lenient=body.ignore_unsupported)
    if len(body.references) > 1:
        warnings = ("Only the first of `references` was used.",)
    request = SynthesisRequest(
        MODEL,
        body.text,
        voice=body.voice,
        speed=body.speed,
        voice_options=options,
        rate=body.sample_rate,
        gain_db=body.volume,
        normalize=body.normalize,
    )
    rendition = await engine.synthesis.render(request, form, lambda _: RateMonitor())
    return Speech(rendition, form, body.reference_id, warnings)


async def whole(audio: AsyncGenerator[bytes, None]) -> bytes:
    """Return a whole file; the header of a WAV file states its length. Raises what the synthesis does."""
    async with aclosing(audio):
        data = b"".join([chunk async for chunk in audio])
    if not data:
        raise BackendFailed("The backend returned no audio.")
    return with_true_sizes(data, len(data))


async def events(audio: AsyncGenerator[bytes, None]) -> AsyncGenerator[dict[str, Any], None]:
    """Yield encoded audio as events, then the event that ends it."""
    async with aclosing(audio):
        async for chunk in audio:
            yield {"event": "audio_chunk", "data": {"audio_base64": base64.b64encode(chunk).decode()}}
    yield {"event": "done"}


def in_json(speech: Speech, data: bytes) -> bytes:
    """Return the response with a whole file as JSON. Slow for a long speech."""
    body = SpeechBody(
        audio_base64=base64.b64encode(data).decode(),
        response_format=speech.form,
        media_type=speech.media_type,
        sample_rate=speech.rate,
        reference_id=speech.reference_id,
    )
    return body.model_dump_json().encode()
