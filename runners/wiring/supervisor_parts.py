"""Factories of what the supervisor checks and needs before it starts the other processes."""

from __future__ import annotations

import importlib.util
from typing import Any

from open_speech.config import Settings, SettingsError
from open_speech.http import tls


def check_presets(settings: Settings) -> None:
    """Check the file of voice presets, if there is one. Raises SettingsError that names the fault in the file."""
    if settings.tts_voices_config is not None:
        from open_speech.voices.presets import read_presets  # noqa: PLC0415 - for the few servers that have the file

        read_presets(settings.tts_voices_config.expanduser())


def check_shared_state(settings: Settings) -> None:
    """Raise SettingsError if OS_REDIS_URL is invalid, or its package is missing. Other processes than the front need neither."""
    if not settings.os_redis_url:
        return
    from open_speech.shared_state.opening import SharedState  # noqa: PLC0415 - for the few servers that share their state

    if importlib.util.find_spec("redis") is None:
        raise SettingsError("OS_REDIS_URL: the package redis is not installed: install `open-speech[redis]`")
    try:
        SharedState(settings.os_redis_url, timeout_s=settings.os_redis_timeout_s)
    except ValueError:  # its message may contain a part of the password
        raise SettingsError("OS_REDIS_URL: the URL is invalid; in a password, write `/`, `?`, `#`, `@` as %2F, %3F, %23, %40") from None


def listening(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return BentoML's options for the server's address and certificate. Raises SettingsError for an invalid certificate."""
    shown = tls.certificate(settings)
    http = {"http": {"host": settings.os_host, "port": settings.os_port}}
    if shown is None:
        return http
    return {**http, "ssl": {"enabled": True, "certfile": str(shown.certfile), "keyfile": str(shown.keyfile)}}
