"""Options of the backends with settings of their own: one class each, which the catalog and the backend share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self


@dataclass(frozen=True)
class BackendOptions:
    """Options of one backend: each field is the value of the setting `prefix` + its name (docs/settings.md describes it)."""

    prefix: ClassVar[str]

    @classmethod
    def settings(cls) -> tuple[str, ...]:
        """Return the names of the settings, for the catalog."""
        return tuple(cls.prefix + field.name for field in fields(cls))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Build the options from the values of `Setup.settings`. Raises TypeError if one without a default is missing."""
        names = {cls.prefix + field.name: field.name for field in fields(cls)}
        return cls(**{names[setting]: value for setting, value in settings.items() if setting in names})


@dataclass(frozen=True)
class KokoroOptions(BackendOptions):
    """Options of Kokoro."""

    prefix = "tts_kokoro_"
    g2p: Literal["auto", "espeak", "hibari"] = "auto"
    """What converts English text to phonemes."""


@dataclass(frozen=True)
class QwenOptions(BackendOptions):
    """Options of Qwen3-TTS."""

    prefix = "tts_qwen3_"
    device: str = ""
    """Empty uses the device of all synthesizers."""
    flash_attn: bool = False


@dataclass(frozen=True)
class FishOptions(BackendOptions):
    """Options of a fish-speech server, and of each request to it."""

    prefix = "openaudio_"
    api_base: str
    api_key: str
    tts_path: str
    default_format: str
    default_reference_id: str
    default_normalize: bool
    chunk_length: int
    latency: str
    temperature: float | None
    top_p: float | None
    timeout_seconds: float
    max_retries: int


@dataclass(frozen=True)
class LlamaOptions(BackendOptions):
    """Options of the local language model."""

    prefix = "llm_"
    model: str
    """The model in the settings: for a path, the file."""
    gpu_layers: int
    context_size: int
    threads: int
    batch_size: int
    parallel: int


@dataclass(frozen=True)
class EchoOptions(BackendOptions):
    """Options of the language model without weights."""

    prefix = "llm_"
    context_size: int


@dataclass(frozen=True)
class UpstreamOptions(BackendOptions):
    """Options of an OpenAI-compatible server, for one task."""

    url: str
    api_key: str
    dialect: str
    models: tuple[str, ...]
    timeout_s: float
    max_retries: int


@dataclass(frozen=True)
class UpstreamSttOptions(UpstreamOptions):
    """Options of an OpenAI-compatible server that transcribes."""

    prefix = "stt_upstream_"
    streaming_models: tuple[str, ...]


@dataclass(frozen=True)
class UpstreamTtsOptions(UpstreamOptions):
    """Options of an OpenAI-compatible server that speaks."""

    prefix = "tts_upstream_"
    voices: tuple[str, ...]


@dataclass(frozen=True)
class WyomingOptions(BackendOptions):
    """Options of a Wyoming server, for one task."""

    uri: str
    timeout_s: float
    max_retries: int


@dataclass(frozen=True)
class WyomingSttOptions(WyomingOptions):
    """Options of a Wyoming server that transcribes."""

    prefix = "stt_wyoming_"


@dataclass(frozen=True)
class WyomingTtsOptions(WyomingOptions):
    """Options of a Wyoming server that speaks."""

    prefix = "tts_wyoming_"


@dataclass(frozen=True)
class CloudOptions(BackendOptions):
    """Options of a cloud provider, for both tasks."""

    url: str
    api_key: str
    stt_models: tuple[str, ...]
    tts_models: tuple[str, ...]
    voices: tuple[str, ...]
    """Names or ids of voices; the first is the default."""
    timeout_s: float
    max_retries: int


@dataclass(frozen=True)
class DeepgramOptions(CloudOptions):
    """Options of Deepgram."""

    prefix = "os_deepgram_"


@dataclass(frozen=True)
class ElevenLabsOptions(CloudOptions):
    """Options of ElevenLabs."""

    prefix = "os_elevenlabs_"


@dataclass(frozen=True)
class CartesiaOptions(CloudOptions):
    """Options of Cartesia."""

    prefix = "os_cartesia_"
