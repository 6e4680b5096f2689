"""The address of the Wyoming server, as the settings state it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from open_speech.config import SettingsError

PIPE = "stdio://"


@dataclass(frozen=True, slots=True)
class WyomingServer:
    """The address of the server, and its announcement."""

    uri: str
    """`tcp://host:port`, `unix:///path` or `stdio://`."""
    announce: str | None = None
    """The name that mDNS announces, empty for the machine's own; None disables the announcement."""

    def __post_init__(self) -> None:
        """Raises SettingsError for an invalid address."""
        try:
            parts = urlsplit(self.uri)
            known = bool(parts.hostname and parts.port) if parts.scheme == "tcp" else parts.scheme == "unix" and bool(parts.path)
        except ValueError:  # an invalid port
            known = False
        if not known and self.uri != PIPE:
            raise SettingsError(f"{self.uri!r} is not the address of a Wyoming server: use tcp://host:port, unix:///path or {PIPE}")
