"""Sound in, text out, live: the WebSocket `/v1/audio/stream`, for speech that is written down while it is said."""

from open_speech.api.live_transcription.websocket import router

__all__ = ["router"]
