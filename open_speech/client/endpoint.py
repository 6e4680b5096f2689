"""The address of a server and how it is connected to: URLs, headers, TLS, timeouts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from open_speech.client.retry import Retry

DEFAULT_URL = "http://127.0.0.1:8100"
MESSAGE_BYTES = 32 << 20
"""Maximum bytes of one message of a WebSocket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server."""

    base_url: str = DEFAULT_URL
    """With or without `/v1` at its end."""
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 600.0
    """Longest wait in seconds for the next data of a response: a long file takes minutes."""
    connect_timeout_s: float = 10.0
    verify: bool | str = True
    """False accepts any certificate; a path names a file with the certificates to trust."""
    retry: Retry = Retry()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Additional headers of every request."""

    @property
    def root(self) -> str:
        """The URL before the paths of the API."""
        return self.base_url.rstrip("/").removesuffix("/v1")

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {**({"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}), **self.headers}

    def tls(self) -> ssl.SSLContext:
        """Return the TLS settings. Raises OSError if the file with certificates cannot be read."""
        if isinstance(self.verify, str):
            return ssl.create_default_context(cafile=str(Path(self.verify)))
        context = ssl.create_default_context()
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def socket(self, path: str, query: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the URL of a WebSocket and the arguments with which `websockets` connects to it. None values are left out."""
        given = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items() if value is not None}
        url = f"ws{self.root.removeprefix('http')}{path}?{urlencode(given)}"
        options: dict[str, Any] = {
            "additional_headers": self.all_headers, "open_timeout": self.connect_timeout_s, "max_size": MESSAGE_BYTES, "close_timeout": 5,
        }  # fmt: skip
        return url, {**options, **({"ssl": self.tls()} if url.startswith("wss:") else {})}
