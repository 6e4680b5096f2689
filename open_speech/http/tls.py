"""HTTPS: the certificate in the settings, or a self-signed one that the server creates and renews before it expires."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from open_speech.config import Settings, SettingsError
from open_speech.security.private_files import make_private, settle

log = logging.getLogger("open_speech.tls")

VALID = timedelta(days=397)
"""Validity of a self-signed certificate; some clients accept no longer one."""
RENEW = timedelta(days=30)
"""Time before its expiry at which it is replaced."""
CHECK_S = 6 * 3600.0
BOTH, PUBLIC = "server.pem", "certificate.pem"
"""Files with certificate and key, which are replaced atomically, and with the certificate alone, for clients to trust."""
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@dataclass(frozen=True, slots=True)
class Certificate:
    """The paths of a certificate and its key."""

    certfile: Path
    keyfile: Path
    public: Path
    """The certificate for clients to trust."""

    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate, as browsers show it."""
        return _read(self.certfile).fingerprint(hashes.SHA256()).hex(":").upper()


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
    now = now or datetime.now(UTC)
    if settings.os_ssl_certfile is None:
        if settings.os_ssl_keyfile is not None:
            raise SettingsError("OS_SSL_KEYFILE is set but OS_SSL_CERTFILE is not: set both, or none.")
        return _made(settings.os_ssl_dir.expanduser().absolute(), settings.os_ssl_hosts, now)
    certfile = settings.os_ssl_certfile.expanduser().absolute()
    keyfile = settings.os_ssl_keyfile.expanduser().absolute() if settings.os_ssl_keyfile else certfile
    _check(certfile, keyfile, now)
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


def _check(certfile: Path, keyfile: Path, now: datetime) -> None:
    """Check the user's files as the server will use them. Raises SettingsError naming the invalid one."""
    for name, path in (("OS_SSL_CERTFILE", certfile), ("OS_SSL_KEYFILE", keyfile)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{name}={str(path)!r}: {error.strerror}.") from None
    try:
        first = _read(certfile)
    except ValueError:
        raise SettingsError(f"OS_SSL_CERTFILE={str(certfile)!r}: the file contains no certificate (PEM).") from None
    if now > first.not_valid_after_utc:
        raise SettingsError(f"OS_SSL_CERTFILE={str(certfile)!r}: the certificate expired on {first.not_valid_after_utc:%Y-%m-%d}.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, _no_password)
    except (ssl.SSLError, _LockedKey):
        problem = "the file contains no unencrypted key of the certificate (PEM)."
        raise SettingsError(f"OS_SSL_KEYFILE={str(keyfile)!r}: {problem}") from None


class _LockedKey(Exception):
    """The key is encrypted; OpenSSL would ask for the password on the terminal."""


def _no_password() -> str:
    raise _LockedKey


def _read(path: Path) -> x509.Certificate:
    """Read the first certificate of a file. Raises ValueError if there is none."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def _made(folder: Path, hosts: Sequence[str], now: datetime) -> Certificate:
    """Return the self-signed certificate, and create a new one if there is no usable one."""
    made = Certificate(folder / BOTH, folder / BOTH, folder / PUBLIC)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):  # several processes start at once
            make_private(made.certfile)  # a restored backup may have lost the file mode
            if not _is_usable(made.certfile, hosts, now):
                _write(made, *_make(_names(hosts), now))
    except OSError as error:
        raise SettingsError(f"OS_SSL_DIR={str(folder)!r}: {error.strerror}; the server stores its certificate in this folder.") from None
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_usable(path: Path, hosts: Sequence[str], now: datetime) -> bool:
    """Return whether the existing certificate is complete, valid for longer than RENEW, and has all required names."""
    try:
        _check(path, path, now)
        made = _read(path)
    except SettingsError:
        return False
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    present = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    # IPv6 addresses change daily; users would have to trust a new certificate each time.
    required = {name for name in _names(hosts) if ":" not in name} | set(hosts)
    return required <= present and made.not_valid_before_utc <= now < made.not_valid_after_utc - RENEW


def _names(hosts: Sequence[str]) -> list[str]:
    """Return the names of this machine: those in the settings, its own, and its addresses."""
    own = socket.gethostname()
    names = [*hosts, "localhost", "127.0.0.1", "::1", own, socket.getfqdn(own), *_addresses()]
    return list(dict.fromkeys(name for name in names if _general_name(name) is not None))


def _addresses() -> Iterator[str]:
    """Yield the source addresses for connections to other machines; nothing is sent."""
    for family, remote in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))
            yield probe.getsockname()[0]


def _general_name(name: str) -> x509.GeneralName | None:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name) if name and name.isascii() and not set(name) & set(" _/:") else None


def _make(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """Return a new key and its self-signed certificate as PEM: the certificate first."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Open Speech")])
    alternatives = [name for name in map(_general_name, names) if name is not None]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of clients differ
        .not_valid_after(now + VALID - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(_PEM), key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())


def _write(made: Certificate, public: bytes, key: bytes) -> None:
    for path, content, mode in ((made.certfile, key + public, 0o600), (made.public, public, 0o644)):
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            settle(file)
        part.replace(path)
