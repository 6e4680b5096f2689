from __future__ import annotations

import pytest

from open_speech.api.wyoming.access import ConnectionLimit
from open_speech.errors import InvalidRequest, Overloaded
from open_speech.security.network import networks

HOME = networks(["192.168.1.0/24", "10.0.0.7", "fd00::/8"])


@pytest.mark.parametrize("peer", ["192.168.1.200", "10.0.0.7", "fd12::1", "::ffff:192.168.1.9", "fd12::1%eth0"])
def test_who_is_in_a_network_comes_in(peer: str) -> None:
    with ConnectionLimit(HOME).admitted(peer):
        pass


@pytest.mark.parametrize("peer", ["192.168.2.1", "10.0.0.8", "::1", "::ffff:8.8.8.8", "nowhere", ""])
def test_nobody_else_does(peer: str) -> None:
    with pytest.raises(InvalidRequest, match="OS_WYOMING_ALLOWED_HOSTS"), ConnectionLimit(HOME).admitted(peer):
        pass


@pytest.mark.parametrize("peer", ["8.8.8.8", None])
def test_without_networks_everybody_comes_in(peer: str | None) -> None:
    with ConnectionLimit().admitted(peer):
        pass


def test_who_has_no_address_is_on_this_machine() -> None:
    with ConnectionLimit(HOME).admitted(None):
        pass


def test_there_are_only_so_many_seats_and_each_is_free_again() -> None:
    admission = ConnectionLimit(slots=1)
    for _ in range(3):
        with admission.admitted(None), pytest.raises(Overloaded), admission.admitted(None):
            pass


@pytest.mark.parametrize("name", ["192.168.1", "home", "10.0.0.0/40"])
def test_what_is_no_network_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        networks([name])
