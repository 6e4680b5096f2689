"""/v1/audio/voice_consents: recordings in which people agree that their voice is used, after OpenAI's API reference."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from open_speech.api.openai.schemas import ERRORS, ConsentBody, ConsentList, DeletedConsentBody
from open_speech.api.openai.voices import library_of
from open_speech.errors import InvalidValue, MissingField, UnknownItem
from open_speech.http.dependencies import VoicesDep
from open_speech.http.errors import validated
from open_speech.http.json_bodies import JsonRoute
from open_speech.http.uploads import form_schema, read_sample
from open_speech.voices import SAMPLE_BYTES, Consent, Library, sample_of

router = APIRouter(prefix="/v1/audio/voice_consents", tags=["voices"], responses=ERRORS, route_class=JsonRoute)


class NewConsentRequest(BaseModel):
    """Fields of `POST /v1/audio/voice_consents`, besides the file `recording`."""

    name: str
    language: str = Field(description="BCP-47 tag of the language of the recording.")


class RenameRequest(BaseModel):
    """Body of `POST /v1/audio/voice_consents/{consent_id}`."""

    name: str


@router.post("", openapi_extra=form_schema(NewConsentRequest, "recording"))
async def create_consent(request: Request, voices: VoicesDep) -> ConsentBody:
    """Store a consent: a recording of 1 to 60 seconds, 10 MiB, in any format that can be decoded."""
    fields, sample = await read_sample(request, "recording", max_bytes=SAMPLE_BYTES)
    body = validated(NewConsentRequest, fields)
    if sample is None:
        raise MissingField("The required parameter `recording` is missing.", param="recording")
    library = library_of(voices)
    return _body(await asyncio.to_thread(lambda: library.add_consent(body.name, body.language, sample_of(sample, "recording"))))


@router.get("")
async def list_consents(voices: VoicesDep, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> ConsentList:
    """List consents, newest first: at most `limit`, starting after the consent `after`."""
    consents = await asyncio.to_thread(library_of(voices).consents)
    start = 0
    if after is not None:
        start = next((at for at, consent in enumerate(consents, 1) if consent.id == after), -1)
        if start < 0:
            raise InvalidValue(f"There is no consent `{after[:64]}`.", param="after")
    page = consents[start : start + limit]
    return ConsentList(
        data=[_body(consent) for consent in page],
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=start + limit < len(consents),
    )


@router.get("/{consent_id}")
async def get_consent(consent_id: str, voices: VoicesDep) -> ConsentBody:
    """Describe one consent."""
    return _body(await asyncio.to_thread(_found, library_of(voices), consent_id))


@router.post("/{consent_id}")
async def rename_consent(consent_id: str, body: RenameRequest, voices: VoicesDep) -> ConsentBody:
    """Rename a consent."""
    library = library_of(voices)
    return _body(await asyncio.to_thread(lambda: library.rename_consent(_found(library, consent_id), body.name)))


@router.delete("/{consent_id}")
async def delete_consent(consent_id: str, voices: VoicesDep) -> DeletedConsentBody:
    """Delete a consent that no stored voice depends on, and its recording."""
    library = library_of(voices)
    await asyncio.to_thread(lambda: library.remove_consent(_found(library, consent_id)))
    return DeletedConsentBody(id=consent_id)


def _found(library: Library, name: str) -> Consent:
    consent = library.consent(name)
    if consent is None:
        raise UnknownItem(f"There is no consent `{name[:64]}`.", param="consent_id")
    return consent


def _body(consent: Consent) -> ConsentBody:
    return ConsentBody(id=consent.id, name=consent.name, language=consent.language, created_at=consent.created_at)
