from __future__ import annotations

import pytest

from open_speech import config
from open_speech.config import SettingsError
from open_speech.config.webrtc import IceServer


def load(**environ: str) -> config.Settings:
    return config.load({f"OS_WEBRTC_{name}": value for name, value in environ.items()})


def test_by_default_no_server_is_asked_and_any_port_is_used() -> None:
    settings = load()
    assert (settings.webrtc_ports, settings.ice_servers, settings.os_webrtc_addresses) == (None, (), ())


def test_ports_are_a_range_with_both_ends() -> None:
    assert load(PORTS="50000-50009").webrtc_ports == range(50_000, 50_010)


def test_ice_servers_are_urls_or_the_list_of_browsers() -> None:
    assert load(ICE_SERVERS="stun:stun.example:3478, turn:turn.example").ice_servers == (
        IceServer(("stun:stun.example:3478",)), IceServer(("turn:turn.example",)),
    )  # fmt: skip
    listed = '[{"urls": "stun:a"}, {"urls": ["turn:b", "turns:b:443"], "username": "u", "credential": "p"}]'
    assert load(ICE_SERVERS=listed).ice_servers == (IceServer(("stun:a",)), IceServer(("turn:b", "turns:b:443"), "u", "p"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTS", "50000"), ("PORTS", "2-1"), ("PORTS", "80-90"), ("PORTS", "60000-70000"), ("ADDRESSES", "host.example"),
        ("ICE_SERVERS", "http://x"), ("ICE_SERVERS", "[{]"), ("ICE_SERVERS", '["stun:x"]'), ("ICE_SERVERS", '[{"urls": []}]'),
        ("ICE_SERVERS", '[{"urls": "stun:x", "password": "y"}]'), ("ICE_SERVERS", '[{"urls": "turn:x", "username": 1}]'),
        ("MAX_CALLS", "0"), ("CONNECT_TIMEOUT_S", "0"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"OS_WEBRTC_{name}"):
        load(**{name: value})


def test_the_password_of_a_turn_server_is_shown_nowhere() -> None:
    secret = '[{"urls": "turn:x", "username": "u", "credential": "swordfish", "oops": 1}]'
    with pytest.raises(SettingsError) as wrong:
        load(ICE_SERVERS=secret)
    assert "swordfish" not in str(wrong.value)
    good = load(ICE_SERVERS=secret.replace(', "oops": 1', ""))
    assert "swordfish" not in repr(good)
    assert "OS_WEBRTC_ICE_SERVERS" in config.secrets()
