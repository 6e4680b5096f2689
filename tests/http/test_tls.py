from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from open_speech.config import Settings, SettingsError
from open_speech.http.certificates import RENEW, VALID
from open_speech.http.tls import Certificate, certificate, follow, is_wanted, renew_regularly
from tests.waiting import PATIENCE_S

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, False),
        ({"os_host": "localhost"}, False),
        ({"os_host": "::1"}, False),
        ({"os_host": "0.0.0.0"}, True),
        ({"os_host": "192.168.1.2"}, True),
        ({"os_host": "0.0.0.0", "os_ssl_enabled": False}, False),
        ({"os_host": "0.0.0.0", "os_unix_socket": Path("/run/x.sock")}, False),
        ({"os_ssl_enabled": True, "os_unix_socket": Path("/run/x.sock")}, True),
        ({"os_ssl_enabled": True}, True),
        ({"os_ssl_certfile": Path("cert.pem")}, True),
        ({"os_ssl_certfile": Path("cert.pem"), "os_ssl_enabled": "false"}, False),
        ({"os_ssl_enabled": ""}, False),
    ],
)
def test_https_is_spoken_where_others_can_listen_in_unless_it_is_said(values: dict[str, Any], wanted: bool) -> None:
    assert is_wanted(Settings(**values)) is wanted


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Certificate]:
    def make(now: datetime = NOW, *hosts: str) -> Certificate:
        made = certificate(Settings(os_ssl_enabled=True, os_ssl_dir=tmp_path / "tls", os_ssl_hosts=hosts), now)
        assert made is not None
        return made

    return make


def test_no_certificate_is_made_for_plain_http(tmp_path: Path) -> None:
    assert certificate(Settings(os_ssl_dir=tmp_path / "tls")) is None
    assert not (tmp_path / "tls").exists()


def test_a_certificate_made_here_has_our_names_and_nobody_else_can_read_its_key(make: Callable[..., Certificate]) -> None:
    made = make(NOW, "speech.example", "192.0.2.7")
    read = x509.load_pem_x509_certificate(made.public.read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"speech.example", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"192.0.2.7", "127.0.0.1", "::1"} <= set(map(str, names.get_values_for_type(x509.IPAddress)))
    assert read.not_valid_before_utc < NOW < read.not_valid_after_utc <= NOW + VALID
    assert stat.S_IMODE(made.keyfile.stat().st_mode) == 0o600
    assert b"PRIVATE" not in made.public.read_bytes()
    assert sorted(path.name for path in made.public.parent.iterdir()) == ["certificate.pem", "server.pem"]


def test_a_key_that_others_can_read_is_hidden_from_them_at_the_next_start(make: Callable[..., Certificate]) -> None:
    made = make(NOW)
    before = made.fingerprint()
    for path in (made.keyfile, made.public):
        path.chmod(0o644)
    assert make(NOW).fingerprint() == before
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made.keyfile, made.public)] == [0o600, 0o644]


def test_it_stays_the_same_until_it_is_about_to_end_or_a_name_is_missing(make: Callable[..., Certificate]) -> None:
    first = make().fingerprint()
    assert make(NOW + timedelta(days=300)).fingerprint() == first
    renewed = make(NOW + VALID - RENEW).fingerprint()
    assert renewed != first
    named = make(NOW + VALID - RENEW, "speech.example").fingerprint()
    assert named != renewed
    assert make(NOW + VALID - RENEW).fingerprint() == named


@pytest.mark.parametrize("damage", [b"", b"half a file", None])
def test_a_damaged_one_is_made_again(make: Callable[..., Certificate], damage: bytes | None) -> None:
    made = make()
    first = made.fingerprint()
    made.certfile.write_bytes(made.public.read_bytes() if damage is None else damage)
    assert make().fingerprint() != first


def test_many_that_start_at_once_make_one(make: Callable[..., Certificate]) -> None:
    prints: list[str] = []
    threads = [threading.Thread(target=lambda: prints.append(make().fingerprint())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prints) == 8
    assert len(set(prints)) == 1


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^OS_SSL_DIR='.*file/tls': Not a directory"):
        certificate(Settings(os_ssl_enabled=True, os_ssl_dir=tmp_path / "file" / "tls"))


def own(tmp_path: Path, **values: Any) -> Certificate | None:
    return certificate(Settings(os_ssl_certfile=tmp_path / "cert.pem", **values), NOW)


@pytest.fixture
def files(make: Callable[..., Certificate], tmp_path: Path) -> Path:
    made = make()
    (tmp_path / "cert.pem").write_bytes(made.public.read_bytes())
    (tmp_path / "key.pem").write_bytes(made.keyfile.read_bytes().partition(b"-----BEGIN CERT")[0])
    return tmp_path


def test_files_of_the_user_are_taken_as_they_are(files: Path) -> None:
    assert own(files, os_ssl_keyfile=files / "key.pem") == Certificate(files / "cert.pem", files / "key.pem", files / "cert.pem")
    (files / "cert.pem").write_bytes((files / "key.pem").read_bytes() + (files / "cert.pem").read_bytes())
    assert own(files) == Certificate(files / "cert.pem", files / "cert.pem", files / "cert.pem")


def test_what_is_wrong_with_them_is_said_before_the_start(files: Path) -> None:
    with pytest.raises(SettingsError, match=r"^OS_SSL_KEYFILE='.*nowhere.pem': No such file or directory\.$"):
        own(files, os_ssl_keyfile=files / "nowhere.pem")
    with pytest.raises(SettingsError, match=r"^OS_SSL_KEYFILE='.*cert.pem': the file contains no unencrypted key"):
        own(files)
    other = ec.generate_private_key(ec.SECP256R1())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"password")
    for name, lock in (("other.pem", serialization.NoEncryption()), ("locked.pem", locked)):
        (files / name).write_bytes(other.private_bytes(pem, form, lock))
        with pytest.raises(SettingsError, match=rf"^OS_SSL_KEYFILE='.*{name}': the file contains no unencrypted key"):
            own(files, os_ssl_keyfile=files / name)
    with pytest.raises(SettingsError, match=r"^OS_SSL_CERTFILE='.*cert.pem': the certificate expired on 2031-06-1\d\.$"):
        certificate(Settings(os_ssl_certfile=files / "cert.pem", os_ssl_keyfile=files / "key.pem"), NOW + VALID)
    (files / "cert.pem").write_text("nothing")
    with pytest.raises(SettingsError, match=r"^OS_SSL_CERTFILE='.*cert.pem': the file contains no certificate"):
        own(files, os_ssl_keyfile=files / "key.pem")
    (files / "cert.pem").unlink()
    with pytest.raises(SettingsError, match=r"^OS_SSL_CERTFILE='.*cert.pem': No such file or directory\.$"):
        own(files, os_ssl_keyfile=files / "key.pem")
    with pytest.raises(SettingsError, match="OS_SSL_KEYFILE is set but OS_SSL_CERTFILE is not"):
        certificate(Settings(os_ssl_enabled=True, os_ssl_keyfile=files / "key.pem"))


@contextmanager
def answering(context: ssl.SSLContext) -> Iterator[int]:
    """Shake hands with whoever comes, one after the other; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def shown_at(port: int, trusted: Path) -> bytes:
    """Connect as a careful client does, by address; gives the certificate that was shown."""
    context = ssl.create_default_context(cafile=str(trusted))
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)) as connection:
        with context.wrap_socket(connection, server_hostname="127.0.0.1") as secure:
            return secure.getpeercert(binary_form=True) or b""


def test_a_running_server_shows_a_renewed_certificate_and_keeps_the_old_one_where_the_new_is_broken(
    make: Callable[..., Certificate],
) -> None:
    made = make(datetime.now(UTC) - VALID + RENEW)  # about to end
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certfile, made.keyfile)
    follow(context, str(made.certfile), str(made.keyfile))
    with answering(context) as port:
        first = shown_at(port, made.public)
        settings = Settings(os_ssl_enabled=True, os_ssl_dir=made.certfile.parent)

        async def keep_for_a_moment() -> None:
            task = asyncio.create_task(renew_regularly(settings, every_s=0.01))
            while made.certfile.stat().st_mtime_ns == before:
                await asyncio.sleep(0.01)
            task.cancel()

        before, old = made.certfile.stat().st_mtime_ns, made.public.read_bytes()
        asyncio.run(asyncio.wait_for(keep_for_a_moment(), PATIENCE_S))
        both = made.public.with_name("both.pem")
        both.write_bytes(old + made.public.read_bytes())
        assert shown_at(port, both) == first  # this connection notices
        second = shown_at(port, made.public)
        assert second != first
        made.certfile.write_text("broken")
        assert [shown_at(port, made.public) for _ in range(2)] == [second, second]
