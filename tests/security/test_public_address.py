"""URLs that lead to the public internet, and those that do not. Addresses are tested in tests/api/jobs/test_ssrf_guard.py."""

from __future__ import annotations

import pytest

from open_speech.security.public_address import NotPublic, lookup, require_public_url


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://acme.example/", ["8.8.8.8"]),
        ("file:///etc/passwd", ["8.8.8.8"]),
        ("https://acme.example/", ["127.0.0.1"]),
        ("https://acme.example/", ["8.8.8.8", "10.0.0.1"]),
        ("https://acme.example/", ["::ffff:10.0.0.1"]),
        ("https://127.0.0.1./", []),
        ("https://2130706433/", []),
        ("https://[::1]/", []),
        ("https://1.2.3.4.5/", []),
        ("https://localhost/", ["8.8.8.8"]),
        ("https://x.LOCALHOST./", ["8.8.8.8"]),
    ],
)
def test_a_url_that_leads_elsewhere_is_refused(url: str, addresses: list[str]) -> None:
    with pytest.raises(NotPublic, match="^its "):
        require_public_url(url, lambda host: addresses)


def test_a_public_url_is_accepted_and_so_is_a_name_that_cannot_be_resolved() -> None:
    require_public_url("https://acme.example/", lambda host: ["8.8.8.8", "2606:4700::1111"])
    require_public_url("https://8.8.8.8/", lambda host: [])

    def fails(host: str) -> list[str]:
        raise OSError(host)

    require_public_url("https://acme.example/", fails)


def test_a_name_is_resolved_by_the_system() -> None:
    assert set(lookup("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError):
        lookup("\udcff.example")
