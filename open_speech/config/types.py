"""Types of settings: conversion of the text of an environment variable to a value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field


def split_names(value: object) -> object:
    """Split a list at its commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def none_if_empty(value: object) -> object:
    """Return None for an empty string."""
    return None if value == "" else value


def proxy_count(value: object) -> object:
    """Return the number of proxies; `true` and `false`, the values in earlier servers, mean 1 and 0."""
    return {"true": 1, "false": 0}.get(value.lower(), value) if isinstance(value, str) else value


def lower(value: object) -> object:
    """Return text in lower case."""
    return value.lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
OptionalPath = Annotated[Path | None, BeforeValidator(none_if_empty)]
OptionalBool = Annotated[bool | None, BeforeValidator(none_if_empty)]
OptionalFloat = Annotated[float | None, BeforeValidator(none_if_empty)]
LogFormat = Literal["text", "json"]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)]
Batching = Literal["fair", "bentoml"]
"""What forms batches of a backend's waiting calls: our fair queue, or BentoML's adaptive batching."""
StartRunners = Literal["lazy", "eager"]
"""When the process of a backend starts: at its first use, or with the server."""
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
UpstreamDialect = Literal["auto", "openai", "speaches", "kokoro-fastapi", "localai"]
OPENAI_URL = "https://api.openai.com/v1"
WEB_ADDRESS = r"^https?://[^\s/@]+(/\S*)?$"
"""Without user name and password, because addresses are displayed."""
WYOMING_ADDRESS = r"^(tcp://[^\s/@]+:\d{1,5}|unix://\S+)$"
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
