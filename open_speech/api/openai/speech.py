"""POST /v1/audio/speech: text to speech, sent as it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.api.openai.schemas import ERRORS, SpeechRequest
from open_speech.api.openai.speech_events import Follower, captioner_for
from open_speech.api.openai.voice_options import manner_of
from open_speech.codecs import MEDIA_TYPES, PCM_RATE, encode_stream
from open_speech.codecs.wav import with_true_sizes
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.engine import Engine
from open_speech.errors import BackendFailed
from open_speech.http import sse
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.disconnect import UNSTORED, LiveResponse, resumed, while_connected
from open_speech.http.json_bodies import JsonRoute, audio_of
from open_speech.synthesis.cache import Answer
from open_speech.synthesis.plan import SpeechPlan
from open_speech.voices import VoiceOptions

router = APIRouter(prefix="/v1/audio", tags=["speak"], responses=ERRORS, route_class=JsonRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}
        | {sse.MEDIA_TYPE: {}, "application/json": {}},
        "description": "The audio, in `response_format`. With `stream_format` `sse` or `json`: events or an object with it in base64.",
    }
}
"""What a route that speaks answers, for the OpenAPI document."""
_HIT, _MISS = {"X-Cache": "HIT"}, {"X-Cache": "MISS"}
_NO = ("false", "0", "no", "off")
_CHUNK_BYTES = 1 << 15
"""Sound in one event of a speech that was made before."""


@router.post("/speech", responses=ANSWERS, response_class=Response)
async def create_speech(body: SpeechRequest, request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Synthesize speech. The response begins with the first audio; an error before that has its own status."""
    return await spoken(body, await manner_of(body, audio_of(request)), request, engine, settings)


async def spoken(body: SpeechRequest, manner: VoiceOptions, request: Request, engine: Engine, settings: Settings) -> Response:
    """Speak a text in a manner that may have come another way than in the body."""
    form = body.response_format or settings.tts_default_format
    reading = await engine.read(
        body.model,
        body.input,
        voice=body.voice_id,
        speed=body.speed,
        language=body.language,
        manner=manner,
        input_type=body.input_type,
        rate=body.sample_rate,
        cache=body.cache and request.query_params.get("cache", "").lower() not in _NO,
    )
    captioner = captioner_for(body, engine, reading.role)
    # What was kept is sound alone: words are timed anew.
    place = await engine.place(reading, form) if captioner is None else None
    kept = None if place is None else await place.find()
    if kept is not None:
        return _kept(kept, body, form, warned(reading.warnings))
    follower = Follower(body, captioner)
    sound = _encoded(engine, reading, form, follower)
    if place is not None:
        sound = place.keeping(sound, lambda: follower.seconds)
    first = await while_connected(request.receive, anext(sound, None))
    if first is None:
        raise BackendFailed("The backend returned no audio.")
    sound = resumed(first, sound)
    headers = {**({} if place is None else _MISS), **warned(reading.warnings)}
    if body.stream_format in ("sse", "json"):
        return _told(follower, sound, form, headers)
    return LiveResponse(sound, MEDIA_TYPES[form], headers)


def warned(warnings: Sequence[str]) -> dict[str, str]:
    """Return the header that says what was left out of a text; none if nothing was. Source: RFC 7234, section 5.5."""
    text = " ".join(warnings).encode("ascii", "replace").decode().replace('"', "'")
    return {"Warning": f'299 open-speech "{text}"'} if warnings else {}


def _told(follower: Follower, sound: AsyncGenerator[bytes, None], form: AudioFormat, headers: Mapping[str, str] | None) -> Response:
    """Send sound with what is known beside it."""
    if follower.body.stream_format == "sse":
        return LiveResponse(sse.stream(follower.events(sound)), sse.MEDIA_TYPE, headers)
    return LiveResponse(follower.as_json(sound, form), "application/json", headers)


def _kept(answer: Answer, body: SpeechRequest, form: AudioFormat, warning: Mapping[str, str]) -> Response:
    """Send a speech that was made before. It is whole, so a WAV states its true length."""
    answer = replace(answer, data=with_true_sizes(answer.data, len(answer.data)))
    if body.stream_format in ("sse", "json"):
        return _told(Follower(body, seconds=answer.seconds), _chunks(answer), form, {**_HIT, **warning})
    return Response(answer.data, media_type=MEDIA_TYPES[form], headers={**UNSTORED, **_HIT, **warning})


async def _encoded(engine: Engine, reading: SpeechPlan, form: AudioFormat, follower: Follower) -> AsyncGenerator[bytes, None]:
    speech = await engine.perform(reading)
    async with aclosing(speech):
        async with aclosing(encode_stream(follower.over(speech), form, speech.rate, pcm_rate=reading.finish.rate or PCM_RATE)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _chunks(answer: Answer) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(answer.data), _CHUNK_BYTES):
        yield answer.data[start : start + _CHUNK_BYTES]
