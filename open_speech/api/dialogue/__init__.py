"""Spoken dialogues and generated texts: the routes and WebSockets of GemmaVoice-SpeechAPI for conversations, and sessions with a memory."""

from open_speech.api.dialogue.routes import router

__all__ = ["router"]
