"""All routes of the API of GemmaVoice."""

from __future__ import annotations

from fastapi import APIRouter

from open_speech.api.gemmavoice import health, references, sockets, speech_to_text, text_to_speech

router = APIRouter()
for _part in (speech_to_text.router, text_to_speech.router, references.router, health.router, sockets.router):
    router.include_router(_part)
