"""Label values from lists that clients cannot extend: APIs (the label `door`) by path, methods, and the listed models. Pure."""

from __future__ import annotations

from open_speech.registry import Registry

OTHER = "other"
PROBE = "probe"
DOORS = (
    ("/v1/realtime", "realtime"),
    ("/v1/live/", "live"),
    ("/v1/audio/stream", "live-transcription"),
    ("/v1/audio/transcriptions/stream", "live-transcription"),
    ("/v1/audio/speech/stream", "live-speech"),
    ("/v1/audio/jobs", "jobs"),
    ("/v1/speech-to-text", "gemmavoice"),
    ("/v1/text-to-speech", "gemmavoice"),
    ("/v1/encode-reference", "gemmavoice"),
    ("/ws/stt", "gemmavoice"),
    ("/ws/tts", "gemmavoice"),
    ("/v1/dialogue", "dialogue"),
    ("/v1/conversation/", "dialogue"),
    ("/v1/generate", "dialogue"),
    ("/v1/", "openai"),
    ("/api/", "management"),
    ("/bazarr/", "bazarr"),
    ("/asr", "bazarr"),
    ("/detect-language", "bazarr"),
    ("/status", "bazarr"),
    ("/web", "web"),
    ("/docs", "web"),
    ("/health", PROBE),
    ("/livez", PROBE),
    ("/readyz", PROBE),
    ("/metrics", PROBE),
)
"""Prefixes of paths, in order of priority -> the API that they belong to."""
WYOMING = "wyoming"
"""The API that has no paths."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def door_of(path: str) -> str:
    """Return the API that a path belongs to."""
    return next((door for beginning, door in DOORS if path.startswith(beginning)), OTHER)


def method_of(method: str) -> str:
    """Return an HTTP method; `other` for an unknown one."""
    return method if method in METHODS else OTHER


class Models:
    """The models that may be labels: those that a server lists, whatever other names it accepts."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._listed = {model.id for entry in registry.all_models() for model in (entry, *entry.parts)}

    def label(self, model: str) -> str:
        """Return a model's id if it is listed, `other` for any other name in a request."""
        if model in self._listed or any(listed.id == model for listed in self._registry.models()):
            return model
        return OTHER
