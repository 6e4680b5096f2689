"""POST /v1/dialogue and /v1/conversation/dialogue: a spoken question -> a spoken answer, whole or as lines of JSON."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from open_speech import logs
from open_speech.api.dialogue.answer_file import AnswerFile
from open_speech.api.dialogue.bodies import DialogueBody, event, outcome
from open_speech.api.dialogue.event_stream import Event, EventQueue, events_of
from open_speech.api.dialogue.turn_parameters import DialogueFields, TurnParameters, checked_audio, recognition_of
from open_speech.api.dialogue.turn_sinks import Collected, Sent
from open_speech.api.gemmavoice.errors import ERRORS, detail_of
from open_speech.api.gemmavoice.transcripts import transcript_body
from open_speech.api.jobs.owners import OwnerDep
from open_speech.dialogue.language_models import language_models
from open_speech.dialogue.model import LanguageModel
from open_speech.dialogue.turn import Recording, TurnRequest, Turns
from open_speech.errors import SpeechError
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.disconnect import LiveResponse, resumed, while_connected
from open_speech.http.errors import validated
from open_speech.http.json_bodies import JsonRoute
from open_speech.http.uploads import form_schema, read_upload
from open_speech.transcript import Transcript

router = APIRouter(tags=["dialogue"], responses=ERRORS, route_class=JsonRoute)

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": DialogueBody, "description": "The answer. With `stream_audio`: one event per line, as a JSON object."}
}


@router.post("/v1/dialogue", openapi_extra=form_schema(DialogueFields, "file"), responses=_ANSWERS)
@router.post("/v1/conversation/dialogue", openapi_extra=form_schema(DialogueFields, "file"), responses=_ANSWERS)
async def create_dialogue(request: Request, engine: EngineDep, settings: SettingsDep, owner: OwnerDep) -> Response:
    """Transcribe a recording, answer it with the language model, and speak the answer."""
    async with AsyncExitStack() as stack:
        upload = await stack.enter_async_context(read_upload(request))
        fields = validated(DialogueFields, upload.fields)
        parameters = await TurnParameters.of(fields, engine)
        llm = await language_models(request.app).open(fields.model)
        stack.push_async_callback(llm.aclose)
        source: bytes | Path = checked_audio(upload.source)
        recording = Recording(source, await recognition_of(fields, engine, settings))
        turn = parameters.turn(recording, llm, engine, settings, owner=owner)
        spoken = _Spoken(Turns(engine, request.app.state.dialogues), parameters, turn, llm)
        if not fields.stream_audio:
            return await while_connected(request.receive, spoken.whole())
        lines = spoken.lines(stack.pop_all())
    first = await while_connected(request.receive, anext(lines))
    return LiveResponse(resumed(first, lines), "application/json")


class _Spoken:
    """One turn, and the forms of its response."""

    def __init__(self, turns: Turns, parameters: TurnParameters, turn: TurnRequest, llm: LanguageModel) -> None:
        self._turns = turns
        self._parameters = parameters
        self._turn = turn
        self._llm = llm
        self._file = AnswerFile(parameters.synthesis.format, parameters.synthesis.sample_rate)

    async def whole(self) -> Response:
        """Perform the turn, and return it as one JSON object."""
        sink = Collected(self._file)
        result = await self._turns.perform(self._turn, self._llm, sink)
        assert result.transcript is not None
        ended = outcome(result, session_id=self._parameters.fields.session_id, model=self._llm.name)
        audio = await sink.whole()
        body = {
            "transcript": transcript_body(result.transcript).model_dump(),
            "response_text": result.text,
            "audio_base64": base64.b64encode(audio).decode(),
            **self._audio(),
            **ended.model_dump(),
        }
        return await asyncio.to_thread(JSONResponse, body)

    async def lines(self, upload: AsyncExitStack) -> AsyncGenerator[bytes, None]:
        """Perform the turn, and yield its events, each as a line of JSON. An error before the transcript is raised."""
        async with upload, aclosing(events_of(self._perform)) as events:
            has_begun = False
            try:
                async for item in events:
                    has_begun = True
                    yield _line(item)
            except SpeechError as error:
                if not has_begun:
                    raise
                logs.note_error(error.code or error.type)
                yield _line(event("error", {"detail": detail_of(error), "code": error.code}))

    async def _perform(self, queue: EventQueue) -> None:
        sink = Sent(_Events(self._audio()), self._file, put=queue.put, room=queue.room)
        result = await self._turns.perform(self._turn, self._llm, sink)
        await sink.finish()
        ended = outcome(result, session_id=self._parameters.fields.session_id, model=self._llm.name)
        queue.put(event("done", {"response_text": result.text, **ended.model_dump()}))

    def _audio(self) -> dict[str, Any]:
        """Return the description of the audio; its sample rate is exact when there is audio."""
        return {
            "response_format": self._file.format,
            "media_type": self._file.media_type,
            "sample_rate": self._file.rate or self._parameters.sample_rate,
            "reference_id": self._parameters.synthesis.reference_id,
        }


class _Events:
    """The events of a streamed response."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self._metadata = metadata

    def heard(self, transcript: Transcript) -> list[dict[str, Any]]:
        return [event("metadata", self._metadata), event("transcript", transcript_body(transcript).model_dump())]

    def delta(self, text: str) -> dict[str, Any]:
        return event("assistant_text_delta", {"text": text})

    def text(self, text: str) -> dict[str, Any]:
        return event("assistant_text", {"text": text})

    def audio(self, data: str) -> dict[str, Any]:
        return event("audio_chunk", {"audio_base64": data})


def _line(item: Event) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode() + b"\n"
