"""Every setting: an environment variable with a type, a range and one sentence. Built once, handed down, never read again.

The field `os_port` is the variable `OS_PORT`. The names are public API (`OS_*`, `STT_*`, `TTS_*`, `OPENAUDIO_*`, `LLM_*`).
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from open_speech.backends import Vad
from open_speech.hosts import is_loopback
from open_speech.keys import KeyRing

PREFIXES = ("OS_", "STT_", "TTS_", "OPENAUDIO_")
SHARED_PREFIXES = ("LLM_",)
"""Prefixes that other programs use as well: of these only the names below are read, and no other is judged."""


class SettingsError(ValueError):
    """A setting is wrong or unknown; the message names it and says what is right."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _optional(value: object) -> object:
    return None if value == "" else value


def _proxies(value: object) -> object:
    """Count proxies; earlier servers had a switch here, which meant one."""
    return {"true": 1, "false": 0}.get(value.lower(), value) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
OptionalPath = Annotated[Path | None, BeforeValidator(_optional)]
OptionalBool = Annotated[bool | None, BeforeValidator(_optional)]
OptionalFloat = Annotated[float | None, BeforeValidator(_optional)]
LogFormat = Literal["text", "json"]
LOG_LEVELS = ("debug", "info", "warning", "error")
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
UpstreamDialect = Literal["auto", "openai", "speaches", "kokoro-fastapi", "localai"]
OPENAI_URL = "https://api.openai.com/v1"
_WEB_ADDRESS = r"^https?://[^\s/@]+(/\S*)?$"
"""No name and password in it: an address may be shown."""
_WYOMING_ADDRESS = r"^(tcp://[^\s/@]+:\d{1,5}|unix://\S+)$"
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class Settings(BaseModel):
    """All settings of one server, validated and frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    os_host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise.")
    os_port: int = Field(8100, ge=1, le=65535, description="Port to listen on.")
    os_api_key: str = Field(
        "",
        repr=False,
        description="Keys, each `key` or `name:key`, separated by commas; every request must carry one (`Authorization: Bearer …`); empty "
        "asks for none.",
    )
    os_auth_required: bool = Field(False, description="Do not start without a key.")
    os_public_lists: bool = Field(False, description="Show the lists of models and voices to who has no key.")
    os_public_metrics: bool = Field(False, description="Show `/metrics` to who has no key.")
    os_log_format: LogFormat = Field("text", description="How log lines are written: `text` for people, `json` for programs.")
    os_log_level: LogLevel = Field("info", description="From which level on our own lines are written; `LOG_LEVEL` if this is not set.")
    os_rate_limit: int = Field(0, ge=0, description="Requests a minute of one key, or without keys of one address; 0: no limit.")
    os_rate_limit_burst: int = Field(0, ge=0, description="Requests that may come at once; 0: as many as in a minute.")
    os_trust_proxy: Annotated[int, BeforeValidator(_proxies)] = Field(
        0, ge=0, le=9, description="Reverse proxies before the server, whose `X-Forwarded-For` says where requests come from."
    )
    os_cors_origins: Names = Field(
        (), description="Origins whose pages may call, separated by commas; `*`: any; empty: any if a key is asked for, else our own."
    )
    os_ws_allowed_origins: Names = Field(
        (), description="Origins whose pages may open WebSockets; empty: those above, and any (`*`) only if a key is asked for."
    )
    os_allowed_hosts: Names = Field(
        (), description="Names of this server; on the loopback address and without a key, requests by other public names are refused."
    )
    os_body_timeout_s: float = Field(30.0, gt=0, description="Longest wait for the next piece of a request's body, in seconds.")
    os_decode_in_child: bool = Field(True, description="Decode uploads in processes of their own, one for each file.")
    os_decode_memory_mb: int = Field(512, ge=64, description="Memory that decoding one file may take there, in MiB.")
    os_decode_timeout_s: float = Field(
        20.0, gt=0, description="CPU time that decoding may take there until the next piece of sound, in seconds."
    )
    os_ssl_enabled: OptionalBool = Field(
        None, description="Speak HTTPS; empty: if there is a certificate file, or the server listens on more than the loopback address."
    )
    os_ssl_certfile: OptionalPath = Field(None, description="TLS certificate file (PEM); empty: the server makes one itself.")
    os_ssl_keyfile: OptionalPath = Field(None, description="TLS private key file (PEM); empty: it is in the certificate file.")
    os_ssl_dir: Path = Field(Path("~/.local/share/open-speech/tls"), description="Folder that keeps the certificate made here.")
    os_ssl_hosts: Names = Field((), description="Names and addresses for that certificate, besides those this machine knows of itself.")
    os_models_dir: Path = Field(Path("~/.cache/open-speech/models"), description="Folder that holds the model weights.")
    os_offline: bool = Field(False, description="Never go to the network for weights: use what is in the models folder.")
    os_max_upload_mb: int = Field(100, ge=1, description="Largest request body, in MiB; more is refused while it is being read.")
    os_max_raw_upload_mb: int = Field(2048, ge=1, description="The same for `/asr` and `/detect-language`, where a film comes as it is.")
    os_max_audio_s: int = Field(14_400, ge=1, description="Longest audio of one request, in seconds.")
    os_max_queue: int = Field(64, ge=1, description="Requests that may wait for one backend; more are answered 429.")
    os_queue_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for a request's turn, in seconds; one that would wait longer is answered 429 at once."
    )
    os_stop_timeout_s: float = Field(25.0, ge=0, description="Seconds that accepted requests get to finish when the server is stopped.")
    os_request_timeout_s: float = Field(600.0, gt=0, description="Longest wait for the next piece of an answer, in seconds.")
    os_model_ttl: int = Field(300, ge=0, description="Seconds an idle model stays in memory; 0 keeps it for ever.")
    os_max_loaded_models: int = Field(0, ge=0, description="Models one backend keeps in memory, longest unused out first; 0: no limit.")
    os_threads: int = Field(0, ge=0, description="CPU threads of one model call; 0 lets the backend choose.")

    os_stream_max_connections: int = Field(10, ge=1, description="WebSockets that may be open at once; more are turned away.")
    os_stream_idle_timeout_s: float = Field(
        120.0, gt=0, description="Seconds without a word from either side after which a WebSocket is closed."
    )
    os_stream_endpointing_ms: int = Field(
        300, ge=100, le=10_000, description="Silence that ends an utterance at `/v1/audio/stream`, in milliseconds, unless the client says."
    )
    os_stream_vad_threshold: float = Field(
        0.5, gt=0, lt=1, description="Speech probability from which on somebody is taken to speak at `/v1/audio/stream`."
    )
    os_voice_library_path: Path = Field(
        Path("~/.local/share/open-speech/voices"), description="Folder that keeps the voices and consents which clients upload."
    )
    os_voice_library_max_count: int = Field(100, ge=0, description="Voices, and consents, that it keeps at most; 0 takes none.")
    os_jobs_dir: Path = Field(Path("~/.local/share/open-speech/jobs"), description="Folder that keeps jobs, with their files and results.")
    os_jobs_retain_h: float = Field(24.0, gt=0, description="Hours for which a job is kept when it is over.")
    os_jobs_max_mb: int = Field(10_240, ge=1, description="Size of that folder in MiB; beyond it new jobs are answered 507.")
    os_batch_workers: int = Field(2, ge=1, le=64, description="Jobs that are worked on at once.")
    os_batch_max_pending: int = Field(10, ge=1, le=1000, description="Jobs that may wait or be worked on; more are answered 429.")
    os_batch_max_total_mb: int = Field(500, ge=1, description="Largest request that hands in jobs, in MiB, with all its files.")
    os_webhook_secret: str = Field("", repr=False, description="Secret that webhooks are signed with, `whsec_…`; empty signs none.")
    os_webhook_allow_private: bool = Field(False, description="Let webhooks go to this machine and to private networks, too.")

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

    os_peer_refresh_s: float = Field(
        60.0, gt=0, description="Seconds after which the servers behind the backends below are asked again what they have."
    )
    stt_upstream_url: str = Field(
        OPENAI_URL, pattern=_WEB_ADDRESS, description="OpenAI-compatible server that the backend `upstream` transcribes by; ends in `/v1`."
    )
    stt_upstream_api_key: str = Field("", repr=False, description="Key it wants (`Authorization: Bearer …`); empty sends none.")
    stt_upstream_dialect: UpstreamDialect = Field("auto", description="How it tells what it has; `auto` finds out.")
    stt_upstream_models: Names = Field((), description="Its models, separated by commas; empty asks it.")
    stt_upstream_streaming_models: Names = Field(
        (), description="Those of them that are asked for their text while they find it, without times; `*`: all."
    )
    stt_upstream_timeout_s: float = Field(600.0, gt=0, description="Longest time for ten minutes of audio, repeats included, in seconds.")
    stt_upstream_max_retries: int = Field(3, ge=0, le=10, description="Repeats when it is busy, broken or not there, before any text came.")
    tts_upstream_url: str = Field(
        OPENAI_URL, pattern=_WEB_ADDRESS, description="OpenAI-compatible server that the backend `upstream-tts` speaks by; ends in `/v1`."
    )
    tts_upstream_api_key: str = Field("", repr=False, description="Key it wants (`Authorization: Bearer …`); empty sends none.")
    tts_upstream_dialect: UpstreamDialect = Field("auto", description="How it tells what it has; `auto` finds out.")
    tts_upstream_models: Names = Field((), description="Its models, separated by commas; empty asks it.")
    tts_upstream_voices: Names = Field((), description="Voices of all of them, the first is the default; empty asks it.")
    tts_upstream_timeout_s: float = Field(120.0, gt=0, description="Longest time for one piece of text, repeats included, in seconds.")
    tts_upstream_max_retries: int = Field(
        3, ge=0, le=10, description="Repeats when it is busy, broken or not there, before any sound came."
    )
    stt_wyoming_uri: str = Field(
        "tcp://127.0.0.1:10300", pattern=_WYOMING_ADDRESS, description="Wyoming server that the backend `wyoming` transcribes by."
    )
    stt_wyoming_timeout_s: float = Field(300.0, gt=0, description="Longest time for one audio, repeats included, in seconds.")
    stt_wyoming_max_retries: int = Field(2, ge=0, le=10, description="Repeats when it is not there or hangs up, before any text came.")
    tts_wyoming_uri: str = Field(
        "tcp://127.0.0.1:10200", pattern=_WYOMING_ADDRESS, description="Wyoming server that the backend `wyoming-tts` speaks by."
    )
    tts_wyoming_timeout_s: float = Field(120.0, gt=0, description="Longest time for one piece of text, repeats included, in seconds.")
    tts_wyoming_max_retries: int = Field(2, ge=0, le=10, description="Repeats when it is not there or hangs up, before any sound came.")

    os_realtime_enabled: bool = Field(True, description="Serve OpenAI's Realtime API at `/v1/realtime`.")
    os_realtime_max_sessions: int = Field(32, ge=1, description="Realtime sessions that may be open at once; more are turned away.")
    os_realtime_max_buffer_mb: int = Field(
        64, ge=1, description="Sound that one Realtime session may send without a commit, in MiB as it comes; more is refused."
    )
    os_realtime_idle_timeout_s: float = Field(
        600.0, gt=0, description="Seconds without a word from either side after which a Realtime session is closed."
    )
    llm_base_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Language model of Realtime sessions: an OpenAI-compatible server, `http://host:port/v1`; empty: none.",
    )
    llm_api_key: str = Field("", repr=False, description="Key it wants (`Authorization: Bearer …`); empty sends none.")
    llm_model: str = Field("default", description="Model to ask it for.")
    llm_timeout_s: float = Field(30.0, gt=0, description="Longest wait for its first word, and for each next one, in seconds.")

    os_wyoming_enabled: bool = Field(False, description="Serve Wyoming, for Home Assistant, in a process of its own.")
    os_wyoming_host: str = Field("127.0.0.1", description="Address on which Wyoming listens.")
    os_wyoming_port: int = Field(10400, ge=1, le=65535, description="Port on which Wyoming listens.")
    os_wyoming_uri: str = Field("", description="Where Wyoming listens instead: `tcp://host:port` or `unix:///path`.")
    os_wyoming_allowed_hosts: Names = Field(
        (), description="Addresses and networks that may connect by Wyoming, which knows no keys; empty: everybody who can reach it."
    )
    os_wyoming_max_connections: int = Field(32, ge=1, description="Wyoming connections that may be open at once; more are turned away.")
    os_wyoming_languages: Names = Field((), description="Languages to tell Home Assistant of models and voices that know none themselves.")
    os_wyoming_zeroconf: bool = Field(False, description="Announce Wyoming by mDNS, so that Home Assistant finds it.")
    os_wyoming_zeroconf_name: str = Field("", description="Name to announce; empty makes one of the network card's address.")

    @field_validator("os_api_key")
    @classmethod
    def _keys_are_readable(cls, value: str) -> str:
        KeyRing.read(value)
        return value

    @field_validator("os_auth_required")
    @classmethod
    def _there_is_a_key(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("os_api_key", "").strip():
            raise ValueError("there is no key: set OS_API_KEY")
        return value

    @property
    def keys(self) -> KeyRing:
        """The keys of the server."""
        return KeyRing.read(self.os_api_key)

    @property
    def page_origins(self) -> tuple[str, ...]:
        """Origins whose pages may call, besides the server's own; `*` for any."""
        return self.os_cors_origins or (("*",) if self.keys else ())

    @property
    def socket_origins(self) -> tuple[str, ...]:
        """Origins whose pages may open WebSockets: `*` of the setting for pages was not meant for them where no key is asked for."""
        if self.os_ws_allowed_origins or self.keys:
            return self.os_ws_allowed_origins or self.page_origins
        return tuple(origin for origin in self.page_origins if origin != "*")

    @property
    def host_names(self) -> tuple[str, ...] | None:
        """Names by which the server may be asked for; None for any."""
        return self.os_allowed_hosts or (() if is_loopback(self.os_host) and not self.keys else None)

    @property
    def vad(self) -> Vad:
        """How files are searched for speech, where they are."""
        return Vad(self.stt_vad_threshold, self.stt_vad_min_speech_ms, self.stt_vad_silence_ms)

    @property
    def models_dir(self) -> Path:
        """The models folder, with `~` resolved."""
        return self.os_models_dir.expanduser()

    @property
    def speech_device(self) -> str:
        """Where synthesisers run, after inheritance."""
        return self.tts_device or self.stt_device


RENAMED = {
    "API_KEYS": "OS_API_KEY",
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
        if (not name.startswith(PREFIXES) and name not in known and name not in RENAMED) or name in FOREIGN:
            continue
        current = RENAMED.get(name, name)
        if current not in known:
            raise SettingsError(_unknown(name))
        if current != name:
            warnings.warn(f"{name} is now called {current}", DeprecationWarning, stacklevel=2)
            if current in environ:
                continue
        values[current.lower()] = value
    if (level := environ.get("LOG_LEVEL", "").lower()) in LOG_LEVELS:
        values.setdefault("os_log_level", level)  # many programs share this name: what it cannot mean here is not ours to judge
    try:
        return Settings(**values)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = str(first["loc"][0])
        shown = repr(values.get(name, "")) if Settings.model_fields[name].repr else "…"
        raise SettingsError(f"{name.upper()}={shown}: {first['msg']}") from None


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
