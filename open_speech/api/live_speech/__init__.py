"""Live speech synthesis: the WebSocket `/v1/audio/speech/stream`, for text that is spoken while a language model generates it."""

from open_speech.api.live_speech.websocket import router

__all__ = ["router"]
