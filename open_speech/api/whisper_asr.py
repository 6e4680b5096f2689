"""The API of whisper-asr-webservice, at the root and under /bazarr, from which Bazarr and similar clients request subtitles.

Bazarr sends the audio of a whole media file as headerless PCM in one body and saves any response: an error never has the status 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from open_speech import __version__
from open_speech.api.openai.known_speakers import diarization
from open_speech.api.openai.schemas import ERRORS, AnyCase
from open_speech.api.openai.transcription_request import CleaningFields, OptionalBool, SpeakerFields, SubtitleFields
from open_speech.backends import STT_RATE, Task, TranscribeOptions, Vad
from open_speech.http.dependencies import RecognitionDep, RegistryDep, SettingsDep
from open_speech.http.disconnect import while_connected
from open_speech.http.errors import validated
from open_speech.http.uploads import read_upload
from open_speech.languages import language_name, requested_language
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.subtitle_layout import Shape
from open_speech.recognition.subtitles import to_json, to_jsonl, to_lines, to_lrc, to_srt, to_tsv, to_vtt
from open_speech.registry import Registry
from open_speech.transcript import SpeechTask, Transcript

router = APIRouter(tags=["subtitles"], responses=ERRORS)
lists = APIRouter(tags=["subtitles"], responses=ERRORS)

RAW_PATHS = ("/asr", "/detect-language", "/bazarr/asr", "/bazarr/detect-language")
"""Paths that accept a whole media file in one body."""
FILE_PARTS = ("audio_file", "file")
"""Names of the part that contains the audio; Bazarr uses the first."""

Output = Literal["txt", "json", "jsonl", "srt", "vtt", "tsv", "lrc"]
_WRITERS: dict[Output, tuple[Callable[[Transcript], str], str]] = {
    "txt": (to_lines, "text/plain"),
    "json": (to_json, "application/json"),
    "jsonl": (to_jsonl, "application/jsonl"),
    "srt": (to_srt, "text/plain"),
    "vtt": (to_vtt, "text/vtt"),
    "tsv": (to_tsv, "text/tab-separated-values"),
    "lrc": (to_lrc, "text/plain"),
}


class MediaFileRequest(BaseModel):
    """Fields that both endpoints accept, in the URL or in the form. Unknown fields, such as `video_file`, are ignored."""

    model_config = ConfigDict(frozen=True)

    model: str = Field("whisper-1", description="Model id. Default: the server's default model. Extension.")
    encode: bool = Field(
        True, description="`false`: the body is 16-bit mono PCM at 16 kHz, without a header. `true`: the body is a media file."
    )

    @property
    def raw_rate(self) -> int | None:
        """Sample rate of headerless audio in Hz; None for a media file."""
        return None if self.encode else STT_RATE


class AsrRequest(MediaFileRequest, SubtitleFields, SpeakerFields, CleaningFields):
    """The fields of `POST /asr`."""

    task: SpeechTask = "transcribe"
    language: str | None = Field(
        None, description="Language of the speech: ISO 639 code or English name. Default: detect it, as `auto` does."
    )
    output: Annotated[Output, AnyCase] = "txt"
    initial_prompt: str | None = None
    vad_filter: OptionalBool = Field(None, description="`false` selects Whisper's own algorithm for the whole file.")
    word_timestamps: bool = Field(False, description="Include words with times in `json` and `jsonl`.")

    def options(self, default_vad: Vad) -> TranscribeOptions:
        """Convert to the options of the engine; `default_vad` is the speech detection of this server. Raises UnsupportedLanguage."""
        return TranscribeOptions(
            task=self.task,
            language=requested_language(self.language, "language"),
            prompt=self.initial_prompt,
            word_times=self.word_timestamps and self.output in ("json", "jsonl"),
            vad=default_vad if self.vad_filter else None,
            sequential=self.vad_filter is False,
        )


def _described(model: type[MediaFileRequest]) -> dict[str, Any]:
    """Return the OpenAPI description of a request, which FastAPI cannot derive because the route reads the request itself."""
    fields = model.model_json_schema()["properties"].items()
    part = {"type": "object", "required": ["audio_file"], "properties": {"audio_file": {"type": "string", "format": "binary"}}}
    return {
        "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in fields],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": part}}},
    }


_TEXTS: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for _, kind in _WRITERS.values()}, "description": "In `output`."}}


@router.post("/asr", openapi_extra=_described(AsrRequest), responses=_TEXTS, response_class=Response, summary="Transcribe Media")
async def transcribe_film(request: Request, recognition: RecognitionDep, registry: RegistryDep, settings: SettingsDep) -> Response:
    """Transcribe a media file into the format `output`. Nothing is sent until the transcript is complete."""
    async with read_upload(request, *FILE_PARTS) as upload:
        body = validated(AsrRequest, upload.fields)
        options = RecognitionRequest(
            body.model,
            _with_word_times(body, registry, settings.vad),
            await diarization(body),
            body.cleaning(settings),
            raw_rate=body.raw_rate,
            channels=body.channel_mode,
        )
        transcript = await while_connected(request.receive, recognition.transcribe(upload.source, options))
    text = await asyncio.to_thread(formatted, transcript, body.output, body.shape)
    return Response(text, media_type=_WRITERS[body.output][1])


@router.post("/detect-language", openapi_extra=_described(MediaFileRequest))
async def detect_language(request: Request, recognition: RecognitionDep) -> dict[str, str | float]:
    """Detect the language that is spoken in a media file."""
    async with read_upload(request, *FILE_PARTS) as upload:
        body = validated(MediaFileRequest, upload.fields)
        work = recognition.detect_language(upload.source, body.model, raw_rate=body.raw_rate)
        code, probability = await while_connected(request.receive, work)
    return {"detected_language": language_name(code), "language_code": code, "confidence": round(probability, 4)}


@router.get("/status")
async def status() -> dict[str, str]:
    """Report that the server is available. Bazarr shows the version."""
    return {"version": f"Open Speech {__version__}"}


@lists.get("/bazarr/models", summary="List Transcription Models")
async def list_film_models(registry: RegistryDep) -> dict[str, Any]:
    """List the transcription models and the default model."""
    return {"models": [model.id for model in registry.models(Task.STT)], "default": registry.defaults.stt_model}


def formatted(transcript: Transcript, output: Output, shape: Shape | None = None) -> str:
    """Return a transcript in the format `output`; `shape` applies to subtitles only."""
    match output:
        case "srt":
            return to_srt(transcript, shape)
        case "vtt":
            return to_vtt(transcript, shape)
    return _WRITERS[output][0](transcript)


def _with_word_times(body: AsrRequest, registry: Registry, default_vad: Vad) -> TranscribeOptions:
    """Return the options, with word timestamps where they make cuts exact and the model supports them."""
    benefits = body.diarizes or (body.shape is not None and body.output in ("srt", "vtt"))
    times_words = registry.find(body.model, Task.STT).word_times
    options = body.options(default_vad)
    return replace(options, word_times=options.word_times or (benefits and times_words))
