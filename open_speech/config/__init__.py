"""Every setting: an environment variable with a type, a range and a description. Built once and passed on; read nowhere else.

The field `os_port` is the variable `OS_PORT`. The names are public API (`OS_*`, `STT_*`, `TTS_*`, `OPENAUDIO_*`, `LLM_*`,
`LIVEKIT_*`, `DEBUGPY_*`). Each group of settings is a class in a file of its own; a new setting is one field there.
"""

from __future__ import annotations

import difflib
import functools
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError

from open_speech.config import old_names
from open_speech.config.cloud import CloudSettings
from open_speech.config.debug import DebugSettings
from open_speech.config.dialogue import DialogueSettings
from open_speech.config.fallback import FallbackSettings
from open_speech.config.fish import FishSettings
from open_speech.config.interruptions import InterruptionSettings
from open_speech.config.jobs import JobSettings
from open_speech.config.language_model import LanguageModelSettings
from open_speech.config.live import LiveSettings
from open_speech.config.live_sessions import LiveSessionSettings
from open_speech.config.livekit import LiveKitSettings
from open_speech.config.old_names import Translation
from open_speech.config.old_names.values import PREFIXES
from open_speech.config.peers import PeerSettings
from open_speech.config.realtime import RealtimeSettings
from open_speech.config.recognition import RecognitionSettings
from open_speech.config.replicas import ReplicaSettings
from open_speech.config.server import ServerSettings
from open_speech.config.synthesis import SynthesisSettings
from open_speech.config.webrtc import WebRtcSettings
from open_speech.config.weights import WeightSettings
from open_speech.config.wyoming import WyomingSettings
from open_speech.hub_names import gguf_id
from open_speech.security.pull_policy import ANY, CATALOG, PullPolicy

SHARED_PREFIXES = ("LLM_", "LIVEKIT_", "DEBUGPY_")
"""Prefixes that other programs also use: only known names with them are read, and unknown names are not errors."""


class SettingsError(ValueError):
    """A setting is invalid or unknown; the message names it and the valid values."""


class Settings(
    DebugSettings,
    LiveKitSettings,
    WyomingSettings,
    WebRtcSettings,
    RealtimeSettings,
    InterruptionSettings,
    LiveSessionSettings,
    DialogueSettings,
    LanguageModelSettings,
    CloudSettings,
    PeerSettings,
    FallbackSettings,
    FishSettings,
    SynthesisSettings,
    RecognitionSettings,
    JobSettings,
    LiveSettings,
    WeightSettings,
    ReplicaSettings,
    ServerSettings,
):
    """All settings of one server, validated and frozen. The fields are listed in the order of the groups, the last base first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def speech_device(self) -> str:
        """Device of the synthesizers: TTS_DEVICE, or else STT_DEVICE."""
        return self.tts_device or self.stt_device

    @property
    def stream_endpointing_ms(self) -> int:
        """Milliseconds of silence that end an utterance of a live stream: OS_STREAM_ENDPOINTING_MS, or else STT_VAD_SILENCE_MS if set."""
        is_own = "os_stream_endpointing_ms" in self.model_fields_set or "stt_vad_silence_ms" not in self.model_fields_set
        return self.os_stream_endpointing_ms if is_own else self.stt_vad_silence_ms

    @property
    def stream_vad_threshold(self) -> float:
        """Speech probability of live streams: OS_STREAM_VAD_THRESHOLD, or else STT_VAD_THRESHOLD if set."""
        is_own = "os_stream_vad_threshold" in self.model_fields_set or "stt_vad_threshold" not in self.model_fields_set
        return self.os_stream_vad_threshold if is_own else self.stt_vad_threshold

    @property
    def language_backends(self) -> tuple[str, ...]:
        """Backends of language models: LLM_BACKENDS, or for `auto` the one that a server with the default backends has."""
        if self.llm_backends != ("auto",):
            return self.llm_backends
        chooses = not self.model_fields_set.isdisjoint({"stt_backends", "tts_backends"})
        is_wanted = not self.llm_base_url and (self.llm_model != "default" or not chooses)
        return ("llama",) if is_wanted else ()

    @property
    def is_exposed(self) -> bool:
        """Whether other machines can reach the server: directly, by Wyoming, or through a reverse proxy (assumed for a Unix socket)."""
        behind_proxy = bool(
            self.os_trust_proxy or self.os_trusted_proxies or self.os_auth_proxies or self.os_root_path or self.os_unix_socket
        )
        return behind_proxy or not self.is_local or self.wyoming_is_exposed

    @property
    def pulls(self) -> PullPolicy:
        """Policy for models outside the catalog that a request may cause to be downloaded."""
        usual = CATALOG if self.keys or self.is_exposed else ANY
        named = {self.stt_model, self.tts_model, gguf_id(self.llm_model), *self.stt_preload_models, *self.tts_preload_models}
        return PullPolicy(self.os_pull_allowed or (usual,), frozenset(named))


FOREIGN = (
    "OS_AUTH_TYPE", "OS_AUTH_URL", "OS_CACERT", "OS_CLOUD", "OS_ENDPOINT_TYPE", "OS_IDENTITY_API_VERSION", "OS_INTERFACE",
    "OS_PASSWORD", "OS_PROJECT_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_REGION_NAME",
    "OS_TENANT_ID", "OS_TENANT_NAME", "OS_TOKEN", "OS_USERNAME", "OS_USER_DOMAIN_ID", "OS_USER_DOMAIN_NAME",
)  # fmt: skip
"""Variables of OpenStack's client, which has the same prefix; they are ignored."""


def names() -> tuple[str, ...]:
    """List every environment variable that the server reads, in order."""
    return tuple(field.upper() for field in Settings.model_fields)


@functools.cache
def secrets() -> frozenset[str]:
    """Return the environment variables that hold a secret, under their old names as well: settings declared with `repr=False`."""
    current = {name.upper() for name, field in Settings.model_fields.items() if not field.repr}
    old = {row.name for row in old_names.TABLE if row.setting in current and not row.shared and old_names.AT_START & set(row.systems)}
    return frozenset(current | old)


def translated(environ: Mapping[str, str] | None = None) -> Translation:
    """Replace old names in environment variables (the process's own by default) by current ones, with a message for each."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one place that reads it
    return old_names.translate(environ, names(), secrets())


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Build the settings from environment variables (the process's own by default). Names of earlier servers work, with a warning.

    Raises SettingsError with the name of the variable if a value is out of range, or a name with one of PREFIXES is unknown.
    """
    translation = translated(environ)
    for message in translation.messages:
        warnings.warn(message, DeprecationWarning, stacklevel=2)
    known = set(names())
    values: dict[str, Any] = {}
    for name, value in translation.environ.items():
        if name in known:
            values[name.lower()] = value
        elif name.startswith(PREFIXES) and name not in FOREIGN:
            raise SettingsError(_unknown(name))
    try:
        return Settings(**values)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = str(first["loc"][0])
        shown = repr(values.get(name, "")) if Settings.model_fields[name].repr else "…"
        origin = translation.source.get(name.upper(), "")
        raise SettingsError(f"{name.upper()}={shown}{origin and f' (set by {origin})'}: {first['msg']}") from None


def variables(names: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return those of the environment variables `names` that are set: the settings of a backend from another package."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - as in `load`
    return {name: environ[name] for name in names if name in environ}


def _unknown(name: str) -> str:
    current = {name: name for name in names()} | {row.name: row.setting for row in old_names.TABLE if row.setting}
    near = difflib.get_close_matches(name, current, n=1)
    hint = f" Did you mean {current[near[0]]}?" if near else ""
    row = old_names.BY_NAME.get(name)
    if row is not None:
        meaning = f"{row.setting} here" if row.setting else f"not needed here: {row.note}"
        hint = f" It is a setting of {old_names.LABELS[row.systems[0]]}, and {meaning.rstrip('.')}."
    return f"Unknown setting {name}.{hint} `open-speech settings` lists them all."


def _cell(text: str | None) -> str:
    """Escape the character that ends a cell of a Markdown table, also within code."""
    return (text or "").replace("|", "\\|")


def table() -> str:
    """Return the settings as a Markdown table, for docs/settings.md."""
    rows = ["| Variable | Default | What it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = "" if default is None or default == "" else f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{name.upper()}` | {shown} | {_cell(field.description)} |")
    return "\n".join(rows)
