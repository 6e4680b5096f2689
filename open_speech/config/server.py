"""Settings: address, API keys, HTTPS, limits, model weights and logging of the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from open_speech.config.types import Batching, LogFormat, LogLevel, Names, OptionalBool, OptionalPath, StartRunners, proxy_count
from open_speech.security.api_keys import KeyRing
from open_speech.security.network import Network, is_loopback, networks

_HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
"""Source: RFC 9110, section 5.1."""
UNIX_PEERS = "unix"
"""Value in OS_TRUSTED_PROXIES for the clients of the Unix socket, which have no address."""


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A Unix socket to listen on."""

    path: Path
    """Absolute path."""
    mode: int
    """File mode, 0 to 0o777."""


class ServerSettings(BaseModel):
    """Address, API keys, HTTPS, limits, model weights and logging of the server."""

    os_host: str = Field("127.0.0.1", description="Address to listen on. `0.0.0.0` or `::` listens on all interfaces.")
    os_port: int = Field(8100, ge=1, le=65535, description="Port to listen on.")
    os_unix_socket: OptionalPath = Field(
        None,
        description="Path of a Unix socket to listen on instead of `OS_HOST` and `OS_PORT`, for a reverse proxy on the same machine. Its "
        "folder must exist. The connections have no client address: set `OS_TRUSTED_PROXIES=unix`.",
    )
    os_unix_socket_mode: str = Field(
        "0660", pattern=r"^0?[0-7]{3}$", description="File mode of the Unix socket, octal. A client needs write permission to connect."
    )
    os_root_path: str = Field(
        "",
        pattern=r"^(/[\w.~-]+)*/?$",
        description="Path under which a reverse proxy serves this server, such as `/speech`; empty when it has a host name of its own. "
        "The proxy may remove it from the request or not.",
    )
    os_api_key: str = Field(
        "",
        repr=False,
        description="API keys, each `key` or `name:key`, separated by commas. Every request must carry one (`Authorization: Bearer "
        "…`). Empty: no key is required.",
    )
    os_api_key_header: str = Field(
        "X-API-Key",
        pattern=_HEADER_NAME,
        description="Header in which an API key is accepted, besides `Authorization`, `X-API-Key` and `api-key`.",
    )
    os_request_id_header: str = Field(
        "X-Request-ID",
        pattern=_HEADER_NAME,
        description="Header with the request id, in requests and in responses, besides `X-Request-ID`.",
    )
    os_auth_required: bool = Field(False, description="Refuse to start without an API key.")
    os_public_lists: bool = Field(
        False,
        description="Let clients read the lists of models and voices, and one model, without an API key. A wrong key is still refused.",
    )
    os_public_metrics: bool = Field(False, description="Serve `/metrics` to clients without an API key.")
    os_log_format: LogFormat = Field("text", description="Format of log lines: `text` or `json`.")
    os_log_level: LogLevel = Field(
        "info", description="Lowest level of log lines that are written. `LOG_LEVEL` is used if this is not set."
    )
    os_rate_limit: int = Field(
        0, ge=0, description="Maximum requests per minute per API key (per client address when no key is configured). 0 disables the limit."
    )
    os_rate_limit_burst: int = Field(0, ge=0, description="Maximum requests in one burst. 0: as many as `OS_RATE_LIMIT`.")
    os_key_share: int = Field(
        50,
        ge=1,
        le=100,
        description="Share, in percent, that one API key may use of each limit that all keys have in common (WebSockets, Realtime "
        "sessions, jobs and their disk space, streams of progress, downloads). Applies when several keys are configured.",
    )
    os_trust_proxy: Annotated[int, BeforeValidator(proxy_count)] = Field(
        0,
        ge=0,
        le=9,
        description="Number of reverse proxies in front of the server. The client's address is then taken from `X-Forwarded-For`, that "
        "many entries from the right. Set `OS_TRUSTED_PROXIES` as well unless only the proxies can connect.",
    )
    os_trusted_proxies: Names = Field(
        (),
        description="Addresses and networks of the reverse proxies, separated by commas; `unix` for those that connect through "
        "`OS_UNIX_SOCKET`. `X-Forwarded-For` is believed only from these, read from the right up to the first other address. Empty: every "
        "client that connects is believed when `OS_TRUST_PROXY` is set.",
    )
    os_auth_proxies: Names = Field(
        (),
        description="Addresses and networks of reverse proxies that authenticate their users, such as Home Assistant's ingress "
        "(`172.30.32.2`), separated by commas; `unix` as in `OS_TRUSTED_PROXIES`. Requests that connect from them need no API key, except "
        "those of pages of other origins. No other program may be able to connect from such an address.",
    )
    os_cors_origins: Names = Field(
        (),
        description="Origins whose pages may call the API, separated by commas. `*`: any. Empty: any if API keys are configured, "
        "else only the server's own.",
    )
    os_ws_allowed_origins: Names = Field(
        (),
        description="Origins whose pages may open WebSockets, separated by commas. Empty: those of `OS_CORS_ORIGINS`, but `*` only "
        "if API keys are configured.",
    )
    os_allowed_hosts: Names = Field(
        (),
        description="Host names of this server, separated by commas. On the loopback address without API keys, requests for other "
        "public host names are refused.",
    )
    os_body_timeout_s: float = Field(30.0, gt=0, description="Maximum wait for the next part of a request body, in seconds.")
    os_decode_in_child: bool = Field(True, description="Decode each upload in a sandboxed process of its own.")
    os_decode_memory_mb: int = Field(512, ge=64, description="Memory limit of a decoding process, in MiB.")
    os_decode_timeout_s: float = Field(
        20.0, gt=0, description="Maximum CPU time a decoding process may use before it returns the next block of audio, in seconds."
    )
    os_dumpable: bool = Field(
        False,
        description="Let other processes of the server's user trace its processes and read their memory, for debuggers, profilers and core "
        "dumps.",
    )
    os_ssl_enabled: OptionalBool = Field(
        None, description="Serve HTTPS. Empty: if a certificate is configured or the server listens on an address other than loopback."
    )
    os_ssl_certfile: OptionalPath = Field(
        None, description="TLS certificate file (PEM). Empty: the server creates a self-signed certificate."
    )
    os_ssl_keyfile: OptionalPath = Field(None, description="TLS private key file (PEM). Empty: the key is in the certificate file.")
    os_ssl_dir: Path = Field(Path("~/.local/share/open-speech/tls"), description="Folder of the self-signed certificate.")
    os_ssl_hosts: Names = Field((), description="Further host names and addresses for the self-signed certificate, separated by commas.")
    os_models_dir: Path = Field(Path("~/.cache/open-speech/models"), description="Folder of the model weights.")
    os_offline: bool = Field(False, description="Never download weights; use only what is in the models folder.")
    os_max_upload_mb: int = Field(
        100,
        ge=1,
        description="Maximum size of a request body, in MiB. JSON without audio has lower limits (docs/security.md).",
    )
    os_max_raw_upload_mb: int = Field(
        2048,
        ge=1,
        description="Maximum size of a request body at `/asr` and `/detect-language`, where clients send whole video files, in MiB.",
    )
    os_max_audio_s: int = Field(14_400, ge=1, description="Maximum duration of the audio of one request, in seconds.")
    os_max_queue: int = Field(
        64,
        ge=1,
        description="Maximum number of requests waiting for one backend, times its working replicas. Further requests are answered 429.",
    )
    os_queue_timeout_s: float = Field(
        30.0, gt=0, description="Maximum queueing time, in seconds. A request that is expected to wait longer is answered 429 at once."
    )
    os_batching: Names = Field(
        ("fair",),
        description="What forms batches of the waiting work of a backend: `fair`, the server's own queue, or `bentoml`, BentoML's adaptive "
        "batching, for all backends or for one: `fair,faster-whisper=bentoml`. `bentoml` is for comparison "
        "(docs/decisions/0002-batching-queue.md).",
    )
    os_stop_timeout_s: float = Field(
        25.0, ge=0, description="Time that accepted requests have to finish when the server stops, in seconds."
    )
    os_request_timeout_s: float = Field(600.0, gt=0, description="Maximum wait for the next part of a backend's response, in seconds.")
    os_replica_refresh_s: float = Field(
        5.0,
        gt=0,
        description="Interval, in seconds, at which the addresses of `dns+http://` backends are looked up again and the status of each "
        "replica is queried.",
    )
    os_model_ttl: int = Field(300, ge=0, description="Time after which an idle model is unloaded, in seconds. 0 keeps models loaded.")
    os_start_runners: StartRunners = Field(
        "lazy",
        description="When the process of a backend starts: `lazy` at its first use, and it ends again when its models have been unloaded "
        "(`OS_MODEL_TTL`); `eager` with the server, and it stays. `eager` saves a second or two at the first request after a pause.",
    )
    os_max_loaded_models: int = Field(
        0,
        ge=0,
        description="Maximum number of models one backend keeps loaded; the least recently used is unloaded first. 0 disables the limit.",
    )
    os_threads: int = Field(0, ge=0, description="CPU threads per model call. 0: the backend chooses.")

    @field_validator("os_root_path")
    @classmethod
    def _strip_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("os_api_key")
    @classmethod
    def _validate_keys(cls, value: str) -> str:
        KeyRing.read(value)
        return value

    @field_validator("os_batching")
    @classmethod
    def _validate_batching(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        kinds = get_args(Batching)
        for item in value:
            if item.rpartition("=")[2] not in kinds:
                raise ValueError(f"{item!r} is neither {' nor '.join(f'`{kind}`' for kind in kinds)}, nor a backend with one of them")
        return value

    @field_validator("os_trusted_proxies", "os_auth_proxies")
    @classmethod
    def _validate_proxies(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = networks(name for name in value if name != UNIX_PEERS)
        if info.field_name == "os_auth_proxies" and any(network.prefixlen == 0 for network in found):
            raise ValueError("a network of all addresses would let every client in without an API key")
        return value

    @field_validator("os_auth_required")
    @classmethod
    def _require_key(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("os_api_key", "").strip():
            raise ValueError("there is no key: set OS_API_KEY")
        return value

    @property
    def batching(self) -> dict[str, Batching]:
        """What forms batches, by the name of the backend; under an empty name for all others."""
        found: dict[str, Batching] = {"": "fair"}
        for item in self.os_batching:
            name, _, kind = item.rpartition("=")
            found[name] = cast("Batching", kind)
        return found

    @property
    def keys(self) -> KeyRing:
        """The API keys of the server."""
        return KeyRing.read(self.os_api_key)

    @property
    def trusted_proxies(self) -> tuple[Network, ...]:
        """Networks of the reverse proxies in front of the server."""
        return networks(name for name in self.os_trusted_proxies if name != UNIX_PEERS)

    @property
    def trusts_unix_peers(self) -> bool:
        """Whether clients of the Unix socket are trusted reverse proxies."""
        return UNIX_PEERS in self.os_trusted_proxies

    @property
    def auth_proxies(self) -> tuple[Network, ...]:
        """Networks of the reverse proxies that authenticate their users."""
        return networks(name for name in self.os_auth_proxies if name != UNIX_PEERS)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect to the HTTP server."""
        return self.os_unix_socket is not None or is_loopback(self.os_host)

    @property
    def unix_socket(self) -> UnixSocket | None:
        """The Unix socket to listen on, with an absolute path; None to listen on a port."""
        if self.os_unix_socket is None:
            return None
        return UnixSocket(self.os_unix_socket.expanduser().absolute(), int(self.os_unix_socket_mode, 8))

    def per_key(self, total: int) -> int:
        """Return the share of a common limit that one API key may use; all of it unless several users have keys."""
        return total if len({key.owner for key in self.keys.keys}) < 2 else max(1, total * self.os_key_share // 100)

    @property
    def page_origins(self) -> tuple[str, ...]:
        """Origins whose pages may send requests, besides the server's own; `*` for any."""
        return self.os_cors_origins or (("*",) if self.keys else ())

    @property
    def socket_origins(self) -> tuple[str, ...]:
        """Origins whose pages may open WebSockets; `*` in the setting for pages does not apply to them without API keys."""
        if self.os_ws_allowed_origins or self.keys:
            return self.os_ws_allowed_origins or self.page_origins
        return tuple(origin for origin in self.page_origins if origin != "*")

    @property
    def host_names(self) -> tuple[str, ...] | None:
        """Host names under which the server accepts requests; None for any."""
        return self.os_allowed_hosts or (() if self.is_local and not self.keys else None)

    @property
    def models_dir(self) -> Path:
        """The models folder, with `~` resolved."""
        return self.os_models_dir.expanduser()
