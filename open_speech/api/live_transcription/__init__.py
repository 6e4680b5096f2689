"""Live transcription: the WebSocket `/v1/audio/stream`, for speech that is transcribed while it is spoken."""

from open_speech.api.live_transcription.websocket import router

__all__ = ["router"]
