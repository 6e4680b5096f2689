"""HTTPS: the certificate in the settings, or a self-signed one that the server creates and renews before it expires."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from open_speech.config import Settings, SettingsError

log = logging.getLogger("open_speech.tls")

CHECK_S = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The paths of a certificate and its key."""

    certfile: Path
    keyfile: Path
    public: Path
    """The certificate for clients to trust."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate, as browsers show it."""
        from open_speech.http import certificates  # noqa: PLC0415 - 9 MB, for HTTPS alone

        return certificates.fingerprint(self.certfile)


def is_wanted(settings: Settings) -> bool:
    """Return whether to serve HTTPS: as set, or by default if there is a certificate file or the server listens beyond loopback."""
    if settings.os_ssl_enabled is not None:
        return settings.os_ssl_enabled
    return settings.os_ssl_certfile is not None or not settings.is_local


def certificate(settings: Settings, now: datetime | None = None) -> Certificate | None:
    """Return the certificate of the server, and create or renew a self-signed one; None for plain HTTP. Blocking.

    Raises SettingsError naming the setting whose file is missing, does not match, or is expired.
    """
    if not is_wanted(settings):
        return None
    from open_speech.http import certificates  # noqa: PLC0415 - 9 MB, for HTTPS alone

    now = now or datetime.now(UTC)
    if settings.os_ssl_certfile is None:
        if settings.os_ssl_keyfile is not None:
            raise SettingsError("OS_SSL_KEYFILE is set but OS_SSL_CERTFILE is not: set both, or none.")
        folder = settings.os_ssl_dir.expanduser().absolute()
        certificates.ensure(folder, settings.os_ssl_hosts, now)
        both = folder / certificates.BOTH
        return Certificate(both, both, folder / certificates.PUBLIC)
    certfile = settings.os_ssl_certfile.expanduser().absolute()
    keyfile = settings.os_ssl_keyfile.expanduser().absolute() if settings.os_ssl_keyfile else certfile
    certificates.check(certfile, keyfile, now)
    return Certificate(certfile, keyfile, certfile)


async def renew_regularly(settings: Settings, every_s: float = CHECK_S) -> None:
    """Renew a self-signed certificate before it expires, forever. `follow` makes a running server use it."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await asyncio.to_thread(certificate, settings)
        except SettingsError as error:
            log.error("%s", error)


def follow(context: ssl.SSLContext, certfile: str, keyfile: str) -> None:
    """Make a server's context reload changed files. The connection that notices a change still uses the old certificate."""
    seen = _stamp(certfile)

    def check(_socket: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal seen
        now = _stamp(certfile)
        if now not in (seen, None):
            seen = now
            try:
                context.load_cert_chain(certfile, keyfile)
                log.info("reloaded the certificate in %s", certfile)
            except OSError as error:  # includes ssl.SSLError: the files do not match each other yet
                seen = None
                log.warning("the new certificate in %s is not used: %s", certfile, error)

    context.sni_callback = check


def _stamp(path: str) -> tuple[int, int] | None:
    with suppress(OSError):
        status = os.stat(path)
        return status.st_mtime_ns, status.st_ino
    return None
