"""POST /v1/text-to-speech: speech as base64 in JSON, as audio, or as server-sent events."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from open_speech.api.gemmavoice.errors import ERRORS, detail_of
from open_speech.api.gemmavoice.speech_request import SpeechBody, TextToSpeechRequest
from open_speech.api.gemmavoice.synthesis import events, in_json, speech_of, whole
from open_speech.api.openai.speech import started, warned
from open_speech.codecs import MEDIA_TYPES
from open_speech.errors import SpeechError
from open_speech.http import sse
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.disconnect import NO_STORE, LiveResponse, while_connected
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(tags=["gemmavoice"], responses=ERRORS, route_class=JsonRoute)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": SpeechBody,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()} | {sse.MEDIA_TYPE: {}},
        "description": "The audio: as base64 in JSON; as a file with `stream` or `Accept: audio/*`; as events with "
        "`Accept: text/event-stream`.",
    }
}


@router.post("/v1/text-to-speech", responses=_ANSWERS, response_class=Response)
async def text_to_speech(body: TextToSpeechRequest, request: Request, engine: EngineDep, settings: SettingsDep) -> Response:
    """Synthesize speech. An error before the first audio has its own status."""
    speech = await speech_of(body, engine, settings)
    accepted = request.headers.get("accept", "").lower()
    if sse.MEDIA_TYPE in accepted:
        audio = await started(speech.rendition.audio, request)
        encoded = sse.stream(events(audio), encode=sse.named_event, failure=_failure)
        return LiveResponse(encoded, sse.MEDIA_TYPE, speech.headers())
    if body.stream:
        audio = await started(speech.rendition.audio, request)
        return LiveResponse(audio, speech.media_type, speech.headers())
    data = await while_connected(request.receive, whole(speech.rendition.audio))
    if "audio/" in accepted:
        return Response(data, media_type=speech.media_type, headers={**NO_STORE, **speech.headers()})
    content = await asyncio.to_thread(in_json, speech, data)
    return Response(content, media_type="application/json", headers={**NO_STORE, **warned(speech.all_warnings)})


def _failure(error: SpeechError) -> dict[str, Any]:
    return {"event": "error", "data": {"detail": detail_of(error)}}
