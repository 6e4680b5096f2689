"""POST /v1/audio/speech: text to speech, sent while it is synthesized."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.api.openai.schemas import ERRORS, SpeechRequest
from open_speech.api.openai.speech_events import SpeechMonitor, captioner_for, wants_captions
from open_speech.api.openai.synthesis_request import synthesis_request
from open_speech.api.openai.voice_options import voice_options_of
from open_speech.codecs import MEDIA_TYPES
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.engine import Engine
from open_speech.errors import BackendFailed
from open_speech.http import sse
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.disconnect import NO_STORE, LiveResponse, resumed, while_connected
from open_speech.http.json_bodies import JsonRoute, audio_of
from open_speech.voices import ResolvedVoice, VoiceOptions

router = APIRouter(prefix="/v1/audio", tags=["speak"], responses=ERRORS, route_class=JsonRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}
        | {sse.MEDIA_TYPE: {}, "application/json": {}},
        "description": "The audio, in `response_format`. With `stream_format` `sse` or `json`: events or an object with it in base64.",
    }
}
"""OpenAPI description of the responses of a speech endpoint."""
_NO = ("false", "0", "no", "off")


@router.post("/speech", responses=ANSWERS, response_class=Response)
async def create_speech(body: SpeechRequest, request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Synthesize speech. The response begins with the first audio; an error before that has its own status."""
    return await synthesize(body, await voice_options_of(body, audio_of(request)), request, engine, settings)


async def synthesize(body: SpeechRequest, voice_options: VoiceOptions, request: Request, engine: Engine, settings: Settings) -> Response:
    """Synthesize the text of a request; `voice_options` may differ from those in the body."""
    form = body.response_format or settings.tts_default_format

    def monitor(voice: ResolvedVoice) -> SpeechMonitor:
        return SpeechMonitor(body, captioner_for(body, engine, voice))

    cache = request.query_params.get("cache", "").lower() not in _NO
    # The cache contains audio only, so a request for word timestamps cannot use it.
    rendition = await engine.synthesis.render(
        synthesis_request(body, voice_options, cache=cache), form, monitor, reuse=not wants_captions(body)
    )
    headers = {**({"X-Cache": rendition.cache} if rendition.cache else {}), **warned(rendition.plan.warnings)}
    if body.stream_format in ("sse", "json"):
        return _with_events(rendition.monitor, await started(rendition.audio, request), form, headers)
    if rendition.stored is not None:
        return Response(rendition.stored, media_type=MEDIA_TYPES[form], headers={**NO_STORE, **headers})
    return LiveResponse(await started(rendition.audio, request), MEDIA_TYPES[form], headers)


def warned(warnings: Sequence[str]) -> dict[str, str]:
    """Return the header with warnings about text and options that were left out; none without warnings. Source: RFC 7234, section 5.5."""
    text = " ".join(warnings).encode("ascii", "replace").decode().replace('"', "'")
    return {"Warning": f'299 open-speech "{text}"'} if warnings else {}


async def started(audio: AsyncGenerator[bytes, None], request: Request) -> AsyncGenerator[bytes, None]:
    """Wait for the first chunk of the audio: an error before it has its own status. Raises the errors of the synthesis."""
    first = await while_connected(request.receive, anext(audio, None))
    if first is None:
        raise BackendFailed("The backend returned no audio.")
    return resumed(first, audio)


def _with_events(monitor: SpeechMonitor, audio: AsyncGenerator[bytes, None], form: AudioFormat, headers: Mapping[str, str]) -> Response:
    """Return the audio with its timestamps, captions and usage, as events or as one JSON object."""
    if monitor.body.stream_format == "sse":
        return LiveResponse(sse.stream(monitor.events(audio)), sse.MEDIA_TYPE, headers)
    return LiveResponse(monitor.as_json(audio, form), "application/json", headers)
