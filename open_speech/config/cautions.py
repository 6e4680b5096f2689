"""Warnings at start about combinations of settings that are valid but expose the server to misuse. Pure."""

from __future__ import annotations

from open_speech.config import Settings


def cautions(settings: Settings) -> list[str]:
    """Return warnings for the operator, of one or two sentences each; empty for most servers."""
    found = []
    if settings.os_trust_proxy and not settings.os_trusted_proxies and not settings.is_local:
        found.append(
            f"OS_TRUST_PROXY is set and OS_TRUSTED_PROXIES is not: every client that can connect to {settings.os_host} may name any "
            "address as its own in X-Forwarded-For, and so evade rate limits or lock others out. Name the proxies in OS_TRUSTED_PROXIES."
        )
    if settings.os_unix_socket and settings.os_trusted_proxies and not settings.trusts_unix_peers:
        found.append(
            "OS_UNIX_SOCKET is set and OS_TRUSTED_PROXIES does not contain `unix`: X-Forwarded-For is ignored, so all clients without an "
            "API key share one rate limit and one count of wrong keys. Add `unix` to OS_TRUSTED_PROXIES."
        )
    if settings.debugger_is_exposed:
        found.append(
            f"DEBUGPY_HOST is {settings.debugpy_host}: a program that can connect runs code as the server's user, without an API key. "
            "Set 127.0.0.1, and connect through an SSH tunnel."
        )
    if settings.os_redis_url and settings.os_realtime_enabled and not settings.os_signing_keys:
        found.append(
            "OS_REDIS_URL is set and OS_SIGNING_KEYS is not: several servers share their rate limits, but an ephemeral key of the Realtime "
            "API is valid only at the server that created it. Set the same OS_SIGNING_KEYS at every server."
        )
    return found
