"""Where an index is read from, and from where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from open_speech.model_indexes.fetching import Address, address_of, fetch
from open_speech.model_indexes.values import IndexRefused
from tests.file_server import serve_files

PIN = "ab" * 32


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index.toml").write_bytes(b"content")
    with serve_files(tmp_path) as url:
        yield url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"https://acme.example/i.toml#sha256={PIN}", Address("https://acme.example/i.toml", PIN)),
        (f"https://acme.example/i.toml?a=b#sha256={PIN.upper()}", Address("https://acme.example/i.toml?a=b", PIN)),
        (f"/srv/i.toml#sha256={PIN}", Address("/srv/i.toml", PIN)),
        ("file:///srv/my%20index.toml", Address("/srv/my index.toml")),
        ("i.toml", Address(str(Path("i.toml").absolute()))),
    ],
)
def test_an_address_is_a_url_or_a_file_with_a_pin_or_without(text: str, address: Address) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text", ["https://", "https://me:secret@acme.example/i", "https://acme.example/i#sha256=12", "https://a.example/\x1b"]
)
def test_a_wrong_url_is_refused(text: str) -> None:
    with pytest.raises(IndexRefused, match="The URL must name a host"):
        address_of(text)


def test_a_file_and_a_url_on_loopback_are_read(served: str, tmp_path: Path) -> None:
    for place in (str(tmp_path / "index.toml"), f"{served}/index.toml"):
        assert fetch(address_of(place), allow_private=False) == b"content"
        assert fetch(address_of(place), allow_private=False, limit=7) == b"content"
        with pytest.raises(IndexRefused, match="larger than 6 bytes"):
            fetch(address_of(place), allow_private=False, limit=6)
        with pytest.raises(IndexRefused, match=r"index.toml.sig cannot be read"):
            fetch(address_of(place), ".sig", allow_private=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://93.184.215.14/i.toml", "its URL does not begin with https://"),
        ("https://10.0.0.1/i.toml", "its host is not a public address"),
        ("https://[fd00::1]/i.toml", "its host is not a public address"),
        ("https://169.254.169.254/latest", "its host is not a public address"),
        ("https://x.localhost/i.toml", "its host is not a public address"),
    ],
)
def test_only_https_on_a_public_address_is_requested(url: str, reason: str) -> None:
    with pytest.raises(IndexRefused, match=reason):
        fetch(address_of(url), allow_private=False)


@pytest.mark.parametrize("target", ["http://10.0.0.1/i.toml", "https://192.168.1.1/i.toml", "http://acme.example/i.toml"])
def test_a_redirect_does_not_lead_elsewhere(served: str, target: str) -> None:
    with pytest.raises(IndexRefused, match="its URL does not begin with https://|its host is not a public address"):
        fetch(address_of(f"{served}/to?{target}"), allow_private=False)
    assert fetch(address_of(f"{served}/to?{served}/index.toml"), allow_private=False) == b"content"
