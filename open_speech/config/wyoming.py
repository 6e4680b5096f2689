"""Settings: the Wyoming server for Home Assistant."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from open_speech.config.types import Names
from open_speech.security.network import is_loopback


class WyomingSettings(BaseModel):
    """The Wyoming server for Home Assistant."""

    os_wyoming_enabled: bool = Field(False, description="Serve the Wyoming protocol, for Home Assistant, in a process of its own.")
    os_wyoming_host: str = Field("127.0.0.1", description="Address of the Wyoming server.")
    os_wyoming_port: int = Field(10400, ge=1, le=65535, description="Port of the Wyoming server.")
    os_wyoming_uri: str = Field(
        "", description="Address of the Wyoming server as a URI, instead of host and port: `tcp://host:port` or `unix:///path`."
    )
    os_wyoming_allowed_hosts: Names = Field(
        (),
        description="Addresses and networks that may connect by Wyoming, which has no API keys. Empty: all; but if API keys are set "
        "and Wyoming listens beyond loopback, the server does not start without it (`0.0.0.0/0,::/0` allows all).",
    )
    os_wyoming_max_connections: int = Field(
        32, ge=1, description="Maximum number of open Wyoming connections. Further connections are refused."
    )
    os_wyoming_languages: Names = Field(
        (), description="Languages reported to Home Assistant for models and voices that name none, separated by commas."
    )
    os_wyoming_turn_detection: Literal["timer", "semantic"] = Field(
        "timer",
        description="What ends a turn for Wyoming clients, which are sent `voice-stopped`: a silence of the length that their sensitivity "
        "chooses (`timer`), or the decision of `OS_TURN_DETECTOR` that the speaker has finished (`semantic`).",
    )
    os_wyoming_zeroconf: bool = Field(False, description="Announce the Wyoming server by mDNS, so that Home Assistant discovers it.")
    os_wyoming_zeroconf_name: str = Field("", description="Name to announce. Empty: derived from the network interface's address.")

    @property
    def wyoming_is_exposed(self) -> bool:
        """Whether other machines can connect to the Wyoming server."""
        parts = urlsplit(self.os_wyoming_uri)
        if not self.os_wyoming_enabled or parts.scheme not in ("", "tcp"):
            return False
        return not is_loopback((parts.hostname or "") if self.os_wyoming_uri else self.os_wyoming_host)
