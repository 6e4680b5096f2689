"""Every setting: an environment variable with a type, a range and one sentence. Built once, handed down, never read again.

The field `os_port` is the variable `OS_PORT`. The names are public API (`OS_*`, `STT_*`, `TTS_*`, `OPENAUDIO_*`).
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

PREFIXES = ("OS_", "STT_", "TTS_", "OPENAUDIO_")


class SettingsError(ValueError):
    """A setting is wrong or unknown; the message names it and says what is right."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _optional(value: object) -> object:
    return None if value == "" else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
OptionalPath = Annotated[Path | None, BeforeValidator(_optional)]
OptionalFloat = Annotated[float | None, BeforeValidator(_optional)]
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class Settings(BaseModel):
    """All settings of one server, validated and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    os_host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise.")
    os_port: int = Field(8100, ge=1, le=65535, description="Port to listen on.")
    os_api_key: str = Field("", repr=False, description="Key every request must carry (`Authorization: Bearer …`); empty asks for none.")
    os_cors_origins: Names = Field(("*",), description="Origins that browsers may call from, separated by commas.")
    os_ssl_certfile: OptionalPath = Field(None, description="TLS certificate file (PEM); with it the server speaks HTTPS.")
    os_ssl_keyfile: OptionalPath = Field(None, description="TLS private key file (PEM).")
    os_models_dir: Path = Field(Path("~/.cache/open-speech/models"), description="Folder that holds the model weights.")
    os_offline: bool = Field(False, description="Never go to the network for weights: use what is in the models folder.")
    os_max_upload_mb: int = Field(100, ge=1, description="Largest request body, in MiB; more is refused while it is being read.")
    os_max_raw_upload_mb: int = Field(2048, ge=1, description="The same for `/asr` and `/detect-language`, where a film comes as it is.")
    os_max_audio_s: int = Field(14_400, ge=1, description="Longest audio of one request, in seconds.")
    os_max_queue: int = Field(64, ge=1, description="Requests that may wait for one backend; more are answered 429.")
    os_request_timeout_s: float = Field(600.0, gt=0, description="Longest wait for the next piece of an answer, in seconds.")
    os_model_ttl: int = Field(300, ge=0, description="Seconds an idle model stays in memory; 0 keeps it for ever.")
    os_max_loaded_models: int = Field(0, ge=0, description="Models one backend keeps in memory, longest unused out first; 0: no limit.")
    os_threads: int = Field(0, ge=0, description="CPU threads of one model call; 0 lets the backend choose.")

    os_stream_max_connections: int = Field(10, ge=1, description="WebSockets that may be open at once; more are turned away.")
    os_stream_idle_timeout_s: float = Field(
        120.0, gt=0, description="Seconds without a word from either side after which a WebSocket is closed."
    )
    os_voice_library_path: Path = Field(
        Path("~/.local/share/open-speech/voices"), description="Folder that keeps the voices and consents which clients upload."
    )
    os_voice_library_max_count: int = Field(100, ge=0, description="Voices, and consents, that it keeps at most; 0 takes none.")

    stt_backends: Names = Field(
        ("faster-whisper",),
        description="Recognisers to run: `name`, `name@inproc` or `name@http://host:port`, separated by commas.",
    )
    stt_model: str = Field("auto", description="Model behind `whisper-1` and OpenAI's other names; `auto` picks by device.")
    stt_device: Device = Field("auto", description="Where recognisers run: `auto`, `cpu`, `cuda` or `cuda:N`.")
    stt_compute_type: str = Field("auto", description="CTranslate2 number type (`int8`, `float16`, …); `auto` picks by device.")
    stt_preload_models: Names = Field((), description="Recognition models to load at start.")
    stt_diarize_backends: Names = Field((), description="Backends that tell speakers apart, written as in `STT_BACKENDS`; empty: none.")
    stt_vad_enabled: bool = Field(True, description="Cut silence out of files before they are recognised.")
    stt_vad_threshold: float = Field(0.5, gt=0, lt=1, description="Speech probability above which a frame counts as speech.")
    stt_vad_min_speech_ms: int = Field(250, ge=0, description="Shorter bursts of speech are ignored, in milliseconds.")
    stt_vad_silence_ms: int = Field(800, ge=0, description="Silence that ends a stretch of speech, in milliseconds.")
    stt_noise_reduce: bool = Field(False, description="Take steady noise (hiss, a fan, hum) out of files before they are recognised.")
    stt_normalize: bool = Field(True, description="Make very quiet files louder before they are recognised.")

    tts_enabled: bool = Field(True, description="Serve speech synthesis.")
    tts_backends: Names = Field(
        ("kokoro", "piper"), description="Synthesisers to run, written as in `STT_BACKENDS`."
    )
    tts_model: str = Field("kokoro", description="Model behind `tts-1` and OpenAI's other names.")
    tts_voice: str = Field("af_heart", description="Voice of the default model when a request names none.")
    tts_speed: float = Field(1.0, ge=0.25, le=4.0, description="Speed when a request names none.")
    tts_device: Device | Literal[""] = Field("", description="Where synthesisers run; empty follows `STT_DEVICE`.")
    tts_voices_config: OptionalPath = Field(None, description="YAML file of voice presets, and of what OpenAI's voice names mean.")
    tts_voice_dir: OptionalPath = Field(None, description="Folder of recordings to clone, `{speaker}_{language}.wav`; read only.")
    tts_max_input_length: int = Field(4096, ge=1, description="Longest text of one request, in characters.")
    tts_default_format: AudioFormat = Field("mp3", description="Format when a request names none.")
    tts_trim_silence: bool = Field(True, description="Cut the silence before the first word of a speech and after its last one.")
    tts_normalize_output: bool = Field(True, description="Make all voices equally loud, -19 LUFS, and hold peaks below full scale.")
    tts_cache_enabled: bool = Field(False, description="Keep speech on disk, and answer from there what was asked for before.")
    tts_cache_max_mb: int = Field(500, ge=8, description="Size of that cache in MiB; what was not used for longest goes first.")
    tts_cache_dir: Path = Field(Path("~/.cache/open-speech/speech"), description="Folder of that cache.")
    tts_preload_models: Names = Field((), description="Synthesis models to load at start.")
    tts_pronunciation_dict: OptionalPath = Field(None, description="YAML file of words and how to say them; read again when it changes.")
    tts_qwen3_size: Literal["0.6B", "1.7B"] = Field("1.7B", description="Which Qwen3-TTS the name `qwen3-tts` stands for.")
    tts_qwen3_device: Device | Literal[""] = Field("", description="Where Qwen3-TTS runs; empty follows `TTS_DEVICE`.")
    tts_qwen3_flash_attn: bool = Field(False, description="Have Qwen3-TTS use FlashAttention 2 on a GPU; needs the package `flash-attn`.")

    openaudio_api_base: str = Field(
        "http://127.0.0.1:8080", pattern=r"^https?://[^\s/]+", description="Address of the fish-speech server that the backend `fish` asks."
    )
    openaudio_api_key: str = Field("", repr=False, description="Token that it wants (`Authorization: Bearer …`); empty sends none.")
    openaudio_tts_path: str = Field("/v1/tts", pattern=r"^/", description="Path of its speech endpoint.")
    openaudio_default_format: Literal["wav", "pcm"] = Field("wav", description="Form in which it sends sound.")
    openaudio_default_reference_id: str = Field("", description="Its voice when a request names none; empty leaves that to the server.")
    openaudio_default_normalize: bool = Field(True, description="Have it write out numbers and the like; good for English and Chinese.")
    openaudio_chunk_length: int = Field(200, ge=100, le=300, description="Length at which it cuts the text of one call.")
    openaudio_latency: Literal["normal", "balanced"] = Field("normal", description="`balanced` answers sooner where the server knows it.")
    openaudio_temperature: OptionalFloat = Field(None, ge=0.1, le=1.0, description="How freely it chooses; empty: as it likes.")
    openaudio_top_p: OptionalFloat = Field(None, ge=0.1, le=1.0, description="Nucleus it chooses from; empty: as it likes.")
    openaudio_timeout_seconds: float = Field(120.0, gt=0, description="Longest time for one piece of text, repeats included, in seconds.")
    openaudio_max_retries: int = Field(3, ge=0, le=10, description="Repeats when it is busy, broken or not there, before any sound came.")

    @property
    def models_dir(self) -> Path:
        """The models folder, with `~` resolved."""
        return self.os_models_dir.expanduser()

    @property
    def speech_device(self) -> str:
        """Where synthesisers run, after inheritance."""
        return self.tts_device or self.stt_device


RENAMED = {
    "STT_HOST": "OS_HOST",
    "STT_PORT": "OS_PORT",
    "STT_API_KEY": "OS_API_KEY",
    "STT_CORS_ORIGINS": "OS_CORS_ORIGINS",
    "STT_SSL_CERTFILE": "OS_SSL_CERTFILE",
    "STT_SSL_KEYFILE": "OS_SSL_KEYFILE",
    "STT_MODEL_TTL": "OS_MODEL_TTL",
    "STT_MAX_LOADED_MODELS": "OS_MAX_LOADED_MODELS",
    "STT_MAX_UPLOAD_MB": "OS_MAX_UPLOAD_MB",
    "STT_MODEL_DIR": "OS_MODELS_DIR",
    "STT_DEFAULT_MODEL": "STT_MODEL",
}
"""Names of earlier servers -> ours. They work, with a warning."""

FOREIGN = (
    "OS_AUTH_TYPE", "OS_AUTH_URL", "OS_CACERT", "OS_CLOUD", "OS_ENDPOINT_TYPE", "OS_IDENTITY_API_VERSION", "OS_INTERFACE",
    "OS_PASSWORD", "OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_REGION_NAME",
    "OS_TENANT_ID", "OS_TENANT_NAME", "OS_TOKEN", "OS_USERNAME", "OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME",
)  # fmt: skip
"""OpenStack's client shares our prefix; its names are not ours to judge."""


def names() -> tuple[str, ...]:
    """List every environment variable the server reads, in order."""
    return tuple(field.upper() for field in Settings.model_fields)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Build the settings from environment variables (the process's own by default).

    Raises SettingsError naming the variable if a value is out of range or a name with one of our prefixes is unknown.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one place that reads it
    known = set(names())
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIXES) or name in FOREIGN:
            continue
        current = RENAMED.get(name, name)
        if current not in known:
            raise SettingsError(_unknown(name))
        if current != name:
            warnings.warn(f"{name} is now called {current}", DeprecationWarning, stacklevel=2)
            if current in environ:
                continue
        values[current.lower()] = value
    try:
        return Settings(**values)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{name.upper()}={values.get(name, '')!r}: {first['msg']}") from None


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, [*names(), *RENAMED], n=1)
    hint = f" Did you mean {RENAMED.get(near[0], near[0])}?" if near else ""
    return f"Unknown setting {name}.{hint} `open-speech settings` lists them all."


def table() -> str:
    """Write the settings as a Markdown table, for the README."""
    rows = ["| Variable | Default | What it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "" if default is None or default == "" else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
