"""/v1/audio/voices and /api/voice-presets: list voices, return samples, store and delete recordings."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import FileResponse, Response

from open_speech.api.openai import speech
from open_speech.api.openai.schemas import ERRORS, AnyCase, DeletedVoiceBody, SpeechRequest, VoiceBody
from open_speech.api.openai.voice_list import PATH, listed, recording_voice
from open_speech.config.types import AudioFormat
from open_speech.errors import InvalidRequest, InvalidValue, LibraryFull, MissingField, UnknownItem
from open_speech.http.dependencies import EngineDep, SettingsDep, VoicesDep
from open_speech.http.errors import validated
from open_speech.http.rendered import Rendered
from open_speech.http.uploads import form_schema, read_sample
from open_speech.voices import SAMPLE_BYTES, Library, NewVoice, StoredVoice, VoiceOptions, VoiceResolver, greeting, sample_of

router = APIRouter(tags=["voices"], responses=ERRORS)


class NewVoiceRequest(BaseModel):
    """Fields of `POST /v1/audio/voices`, besides the file `audio_sample`."""

    name: str = Field(description="Name of the voice in requests.")
    consent: str = Field(min_length=1, max_length=4096, description="Id of a consent, or the text of the speaker's consent.")
    type: Literal["audio_sample"] = "audio_sample"
    language: str | None = Field(None, description="Extension: BCP-47 tag of the language of the recording.")
    transcript: str | None = Field(None, max_length=4096, description="Extension: transcript of the recording.")


@router.get(PATH, response_model=dict[str, Any])
async def list_voices(
    request: Request, resolver: VoicesDep, settings: SettingsDep, model: str | None = None, legacy: bool = False
) -> Response:
    """List the voices of all models or of one; `legacy` returns bare names, for older clients of Kokoro servers."""
    rendered: Rendered = request.app.state.rendered
    revision = resolver.registry.revision
    recordings = await asyncio.to_thread(lambda: tuple(resolver.recordings()))

    def render() -> bytes:
        voices = list(listed(resolver, model, root=settings.os_root_path, recordings=recordings))
        if legacy:
            return to_json({"voices": list(dict.fromkeys(voice.id for voice in voices if voice.kind != "alias"))})
        data = [voice.model_dump(exclude_none=True) for voice in voices]
        return to_json({"object": "list", "data": data, "voices": data})

    return await rendered.json(("voices", revision, recordings, model, legacy), render)


@router.post(PATH, openapi_extra=form_schema(NewVoiceRequest, "audio_sample"), response_model_exclude_none=True)
async def create_voice(request: Request, resolver: VoicesDep, settings: SettingsDep) -> VoiceBody:
    """Store a recording as a voice to clone: 1 to 60 seconds, 10 MiB, any format that can be decoded."""
    fields, sample = await read_sample(request, "audio_sample", max_bytes=SAMPLE_BYTES)
    body = validated(NewVoiceRequest, fields)
    if sample is None:
        raise MissingField("The required parameter `audio_sample` is missing.", param="audio_sample")
    new = NewVoice(body.name, body.consent, body.language, body.transcript)
    return await asyncio.to_thread(_stored, resolver, new, sample, settings.os_root_path)


@router.get(PATH + "/{voice_id}", response_model_exclude_none=True)
async def get_voice(voice_id: str, resolver: VoicesDep, settings: SettingsDep, model: str | None = None) -> VoiceBody:
    """Describe one voice by its id or its name."""
    return await asyncio.to_thread(_found, resolver, voice_id, model, settings.os_root_path)


@router.delete(PATH + "/{voice_id}")
async def delete_voice(voice_id: str, resolver: VoicesDep) -> DeletedVoiceBody:
    """Delete a stored voice and its recording."""
    return DeletedVoiceBody(id=await asyncio.to_thread(_deleted, resolver, voice_id))


@router.get(PATH + "/{voice_id}/sample", responses=speech.ANSWERS, response_class=Response, summary="Get Voice Sample")
async def hear_voice(  # noqa: PLR0913 - the route's parameters
    voice_id: str,
    request: Request,
    engine: EngineDep,
    settings: SettingsDep,
    model: str | None = None,
    response_format: Annotated[AudioFormat | None, AnyCase] = None,
) -> Response:
    """Return a sample of a voice: the stored recording, or a short sentence in the language of the voice."""
    resolver = engine.voices
    voice = await asyncio.to_thread(_found, resolver, voice_id, model, settings.os_root_path)
    if voice.kind == "library":
        recording = await asyncio.to_thread(resolver.recording, voice.id)
        if recording is None:
            raise _unknown(voice_id)
        path = resolver.path(recording)
        return FileResponse(path, media_type="audio/wav" if path.suffix.lower() == ".wav" else None)
    assert voice.model is not None
    body = SpeechRequest(model=voice.model, input=greeting(voice.language), voice=voice.id, response_format=response_format)
    return await speech.synthesize(body, VoiceOptions(), request, engine, settings)


@router.get("/api/voice-presets")
async def list_presets(resolver: VoicesDep) -> dict[str, Any]:
    """List the presets of `TTS_VOICES_CONFIG`, and the voices behind OpenAI's names."""
    presets = resolver.presets
    data = [{"name": name, **preset.model_dump(exclude_defaults=True)} for name, preset in presets.voices.items()]
    return {"presets": data, "openai": dict(presets.openai)}


def library_of(voice_resolver: VoiceResolver) -> Library:
    """Return the library. Raises LibraryFull if the server has none."""
    if voice_resolver.library is None:
        raise LibraryFull("This server does not store voices.")
    return voice_resolver.library


def _found(voice_resolver: VoiceResolver, name: str, model: str | None, root: str) -> VoiceBody:
    found = next((voice for voice in listed(voice_resolver, model, root=root) if name in (voice.id, voice.name)), None)
    if found is None:
        raise _unknown(name)
    return found


def _stored(voice_resolver: VoiceResolver, new: NewVoice, sample: bytes, root: str) -> VoiceBody:
    if voice_resolver.is_taken(new.name):
        raise InvalidValue(f"A voice named `{new.name}` already exists.", param="name")
    voice = library_of(voice_resolver).add(new, sample_of(sample, "audio_sample"))
    return recording_voice(voice_resolver, voice, root=root)


def _deleted(voice_resolver: VoiceResolver, name: str) -> str:
    voice = voice_resolver.recording(name)
    if isinstance(voice, StoredVoice) and library_of(voice_resolver).remove(voice):
        return voice.id
    if voice is not None or voice_resolver.is_taken(name):
        raise InvalidRequest(f"The voice `{name}` cannot be deleted: only stored voices can be deleted.", param="voice_id")
    raise _unknown(name)


def _unknown(name: str) -> UnknownItem:
    return UnknownItem(f"There is no voice `{name[:64]}`.", param="voice_id")
