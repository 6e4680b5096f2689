"""Certificates as files: the check of the operator's, and the creation of a self-signed one. `tls.py` imports it for HTTPS alone."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from open_speech.config import SettingsError
from open_speech.security.private_files import make_private, settle

VALID = timedelta(days=397)
"""Validity of a self-signed certificate; some clients accept no longer one."""
RENEW = timedelta(days=30)
"""Time before its expiry at which it is replaced."""
BOTH, PUBLIC = "server.pem", "certificate.pem"
"""Files with certificate and key, which are replaced atomically, and with the certificate alone, for clients to trust."""
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def check(certfile: Path, keyfile: Path, now: datetime) -> None:
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


def fingerprint(certfile: Path) -> str:
    """Return the SHA-256 of a certificate, as browsers show it."""
    return _read(certfile).fingerprint(hashes.SHA256()).hex(":").upper()


def ensure(folder: Path, hosts: Sequence[str], now: datetime) -> None:
    """Create the self-signed certificate in a folder, unless there is a usable one. Raises SettingsError."""
    both = folder / BOTH
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):  # several processes start at once
            make_private(both)  # a restored backup may have lost the file mode
            if not _is_usable(both, hosts, now):
                _write(folder, *_make(_names(hosts), now))
    except OSError as error:
        raise SettingsError(f"OS_SSL_DIR={str(folder)!r}: {error.strerror}; the server stores its certificate in this folder.") from None


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
        check(path, path, now)
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


def _write(folder: Path, public: bytes, key: bytes) -> None:
    for path, content, mode in ((folder / BOTH, key + public, 0o600), (folder / PUBLIC, public, 0o644)):
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            settle(file)
        part.replace(path)
