"""All routes of dialogues."""

from __future__ import annotations

from fastapi import APIRouter

from open_speech.api.dialogue import conversation_socket, generate, generate_socket, sessions, spoken

router = APIRouter()
for part in (spoken, sessions, generate, generate_socket, conversation_socket):
    router.include_router(part.router)
