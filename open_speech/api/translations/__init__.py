"""Realtime translation: the WebSocket `/v1/realtime/translations`, for speech that is translated while it is spoken."""

from open_speech.api.translations.rest import router as keys
from open_speech.api.translations.websocket import router

__all__ = ["keys", "router"]
