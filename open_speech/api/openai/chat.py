"""POST /v1/chat/completions and /v1/completions: the answers of a language model, whole or while they are generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from open_speech import logs
from open_speech.api.openai.chat_answers import Answer
from open_speech.api.openai.chat_requests import continuation, local_request, remote_request
from open_speech.api.openai.chat_schemas import ChatRequest, CompletionRequest
from open_speech.api.openai.schemas import ERRORS
from open_speech.dialogue.language_models import language_models
from open_speech.dialogue.local_model import LocalLanguageModel
from open_speech.dialogue.model import LanguageModel
from open_speech.errors import InvalidRequest
from open_speech.http import sse
from open_speech.http.disconnect import LiveResponse, resumed, while_connected
from open_speech.http.json_bodies import JsonRoute

router = APIRouter(prefix="/v1", tags=["language model"], responses=ERRORS, route_class=JsonRoute)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, sse.MEDIA_TYPE: {}}, "description": "The answer. With `stream`: events with its chunks."}
}


@router.post("/chat/completions", responses=ANSWERS, response_class=Response)
async def create_chat_completion(body: ChatRequest, request: Request) -> Response:
    """Answer a conversation. A streamed response begins with the first chunk; an error before that has its own status."""
    model = await language_models(request.app).open(body.model or "", live=False)
    asked = local_request(body) if isinstance(model, LocalLanguageModel) else remote_request(body)
    answer = Answer(model.name, has_usage=body.has_usage, has_timings=bool(body.timings_per_token), top_logprobs=body.top_logprobs or 0)
    return await _respond(answer, _chunks(model, asked), request, stream=bool(body.stream))


@router.post("/completions", responses=ANSWERS, response_class=Response)
async def create_completion(body: CompletionRequest, request: Request) -> Response:
    """Continue a text with a local language model: for models that were not trained on conversations."""
    model = await language_models(request.app).local(body.model or "")
    answer = Answer(model.name, is_chat=False, has_usage=body.has_usage, has_timings=bool(body.timings_per_token))
    return await _respond(answer, _chunks(model, continuation(body)), request, stream=bool(body.stream))


async def _respond(answer: Answer, chunks: AsyncGenerator[dict[str, Any], None], request: Request, *, stream: bool) -> Response:
    if not stream:
        return JSONResponse(await while_connected(request.receive, answer.whole(chunks)))
    events = sse.stream(answer.streamed(chunks), end=sse.DONE)
    return LiveResponse(resumed(await while_connected(request.receive, anext(events)), events), sse.MEDIA_TYPE)


async def _chunks(model: LanguageModel, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the chunks of a model, and close it. Raises its errors, with the field of the request in `param`."""
    logs.note_model(model.name)
    try:
        async with aclosing(model.chunks(request)) as chunks:
            async for chunk in chunks:
                yield chunk
    except InvalidRequest as error:
        if error.param == "messages" and "prompt" in request:
            error.param = "prompt"
        raise
    finally:
        await model.aclose()
