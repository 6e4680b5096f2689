"""The address and the access rules of the Wyoming server, from the settings; the supervisor checks them before the server starts."""

from __future__ import annotations

from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.api.wyoming.address import PIPE, WyomingServer
from open_speech.config import Settings, SettingsError
from open_speech.security.network import networks


def server_of(settings: Settings) -> WyomingServer:
    """Return the Wyoming server for the address in the settings. Raises SettingsError."""
    host = f"[{settings.os_wyoming_host}]" if ":" in settings.os_wyoming_host else settings.os_wyoming_host
    uri = settings.os_wyoming_uri or f"tcp://{host}:{settings.os_wyoming_port}"
    return WyomingServer(uri, settings.os_wyoming_zeroconf_name if settings.os_wyoming_zeroconf else None)


def admission_of(settings: Settings) -> ConnectionLimit:
    """Return the limits on Wyoming connections: allowed addresses and number. Raises SettingsError."""
    try:
        return ConnectionLimit(networks(settings.os_wyoming_allowed_hosts), slots=settings.os_wyoming_max_connections)
    except ValueError as error:
        raise SettingsError(f"OS_WYOMING_ALLOWED_HOSTS: {error}") from None


def check(settings: Settings) -> None:
    """Check the settings of the Wyoming process before the server starts. Raises SettingsError."""
    admission_of(settings)
    if settings.keys and settings.wyoming_is_exposed and not settings.os_wyoming_allowed_hosts:
        raise SettingsError(
            "OS_WYOMING_ALLOWED_HOSTS: set the addresses that may connect. Wyoming has no API keys, so every machine in the network "
            "could bypass OS_API_KEY; `0.0.0.0/0,::/0` allows all addresses."
        )
    if server_of(settings).uri == PIPE:
        raise SettingsError(f"OS_WYOMING_URI: the server cannot use {PIPE}; run `open-speech wyoming --uri {PIPE}` instead")
