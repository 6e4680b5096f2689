"""The API of GemmaVoice-SpeechAPI: its routes for transcription, synthesis and health, and its WebSockets."""

from open_speech.api.gemmavoice.errors import FORMATS
from open_speech.api.gemmavoice.routes import router

__all__ = ["FORMATS", "router"]
