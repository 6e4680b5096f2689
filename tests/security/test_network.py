from __future__ import annotations

import pytest

from open_speech.security.network import is_address, is_in, is_loopback, is_unregistrable, name_of, network_of, networks


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("nas", False)],
)
def test_only_this_machine_reaches_a_loopback_address(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::2", "fe80::2"),
        ("::1", "::1"),
        ("fd12:3456::7", "fd12:3456::7"),
        ("fc00::1", "fc00::1"),
        ("64:ff9b::c000:207", "64:ff9b::c000:207"),
        ("3fff:1:2:3::4", "3fff:1:2:3::/64"),
        ("2002:c000:207::1", "2002:c000:207::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_an_address_stands_for_what_one_subscriber_has(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("header", "name"),
    [("Nas:8100", "nas"), ("nas", "nas"), ("[::1]:8100", "::1"), ("[::1]", "::1"), ("a.example.:80", "a.example"), ("", "")],
)
def test_a_host_header_is_a_name_with_or_without_a_port(header: str, name: str) -> None:
    assert name_of(header) == name


@pytest.mark.parametrize(
    ("name", "nobodys"),
    [
        ("localhost", True), ("127.0.0.1", True), ("::1", True), ("192.168.1.2", True), ("nas", True), ("nas.local", True),
        ("speech.internal", True), ("evil.example", False), ("127.0.0.1.evil.example", False), ("127.0.0.1.nip.io", False),
    ],
)  # fmt: skip
def test_a_public_name_belongs_to_somebody(name: str, nobodys: bool) -> None:
    assert is_unregistrable(name) is nobodys


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fd00::9%eth0", True), ("192.0.2.1", True), ("192.0.2.2", False),
        ("fe80::1", False), ("::10.1.2.3", False), ("unknown", False), ("", False), ("10.1.2.3:80", False),
    ],
)  # fmt: skip
def test_an_address_lies_in_a_network_or_not(address: str, inside: bool) -> None:
    assert is_in(address, networks(["10.0.0.0/8", "192.0.2.1", "fd00::/16"])) is inside


def test_a_name_is_no_address() -> None:
    assert all(is_address(text) for text in ("10.1.2.3", "::1", "fe80::1%eth0"))
    assert not any(is_address(text) for text in ("nas", "", "10.1.2", "10.1.2.3:80"))
