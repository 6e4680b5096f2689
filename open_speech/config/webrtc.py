"""Settings: calls over WebRTC."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, field_validator

from open_speech.config.types import Names

_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})")
_URL = re.compile(r"(stun:|turns?:)[^\s,]+")


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


class WebRtcSettings(BaseModel):
    """Calls over WebRTC."""

    os_webrtc_enabled: bool = Field(True, description="Accept calls over WebRTC, if the extra `webrtc` is installed.")
    os_webrtc_max_calls: int = Field(
        16, ge=1, description="Maximum number of open calls over WebRTC. Further calls are refused. A call is also a Realtime session."
    )
    os_webrtc_ports: str = Field(
        "",
        description="UDP ports for WebRTC, such as `50000-50099`. A call uses one port at each address of the server."
        " Empty: any free port. Set it to publish or forward the ports, and for firewalls.",
    )
    os_webrtc_addresses: Names = Field(
        (),
        description="IP addresses at which clients reach this server by UDP, separated by commas. They replace its own in answers."
        " Set it in a container or behind NAT, together with OS_WEBRTC_PORTS. Empty: the server's own addresses.",
    )
    os_webrtc_ice_servers: str = Field(
        "",
        repr=False,
        description="STUN and TURN servers: URLs separated by commas, or a JSON list of objects with `urls`, `username` and `credential`,"
        " as in browsers. At most one of each kind is used. Empty: none, and nothing is sent to any server.",
    )
    os_webrtc_connect_timeout_s: float = Field(
        30.0, gt=0, le=600, description="Maximum time from the answer until the client is connected over WebRTC, in seconds."
    )

    @field_validator("os_webrtc_ports")
    @classmethod
    def _check_ports(cls, value: str) -> str:
        if value:
            found = _PORTS.fullmatch(value.strip())
            if found is None or not 1024 <= int(found[1]) <= int(found[2]) <= 65_535:
                raise ValueError("write two ports from 1024 to 65535 with a `-` between them, the lower one first")
        return value

    @field_validator("os_webrtc_addresses")
    @classmethod
    def _check_addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ValueError(f"{value!r} is not an IP address") from None
        return values

    @field_validator("os_webrtc_ice_servers")
    @classmethod
    def _check_ice_servers(cls, value: str) -> str:
        _ice_servers(value)
        return value

    @property
    def webrtc_ports(self) -> range | None:
        """The UDP ports that calls may use; None: any."""
        found = _PORTS.fullmatch(self.os_webrtc_ports.strip())
        return None if found is None else range(int(found[1]), int(found[2]) + 1)

    @property
    def ice_servers(self) -> tuple[IceServer, ...]:
        """The STUN and TURN servers."""
        return _ice_servers(self.os_webrtc_ice_servers)


def _ice_servers(value: str) -> tuple[IceServer, ...]:
    """Parse the setting. Raises ValueError, without the value: it may contain a password."""
    value = value.strip()
    if not value.startswith("["):
        return tuple(IceServer((_checked(url.strip()),)) for url in value.split(",") if url.strip())
    try:
        rows = json.loads(value)
    except ValueError:
        raise ValueError("it is not valid JSON") from None
    return tuple(_ice_server(row) for row in rows)


def _ice_server(row: object) -> IceServer:
    if not isinstance(row, Mapping):
        raise ValueError("each entry of the JSON list must be an object")
    fields: Mapping[str, Any] = row
    urls = fields.get("urls")
    names = [urls] if isinstance(urls, str) else urls
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("each entry needs `urls`, a URL or a list of URLs")
    extra = set(fields) - {"urls", "username", "credential"}
    if extra:
        raise ValueError(f"an entry has the unknown field `{min(extra)}`")
    username, credential = fields.get("username", ""), fields.get("credential", "")
    if not isinstance(username, str) or not isinstance(credential, str):
        raise ValueError("`username` and `credential` must be strings")
    return IceServer(tuple(map(_checked, names)), username, credential)


def _checked(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("the URL of an ICE server begins with `stun:`, `turn:` or `turns:`")
    return url
