from __future__ import annotations

import pytest

from open_speech.config import Settings
from open_speech.config.cautions import cautions


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({}, False),
        ({"os_host": "0.0.0.0"}, False),
        ({"os_trust_proxy": 1}, False),
        ({"os_trust_proxy": 1, "os_host": "0.0.0.0"}, True),
        ({"os_trust_proxy": 2, "os_host": "nas.lan"}, True),
        ({"os_trust_proxy": 1, "os_host": "0.0.0.0", "os_trusted_proxies": ("10.0.0.1",)}, False),
        ({"os_trust_proxy": 1, "os_host": "0.0.0.0", "os_unix_socket": "/run/x.sock"}, False),
        ({"os_unix_socket": "/run/x.sock", "os_trusted_proxies": ("unix",)}, False),
        ({"os_unix_socket": "/run/x.sock", "os_trusted_proxies": ("10.0.0.1", "unix")}, False),
    ],
)
def test_a_proxy_that_every_client_can_play_is_warned_of(settings: dict[str, object], warned: bool) -> None:
    found = cautions(Settings.model_validate(settings))
    assert any("OS_TRUSTED_PROXIES" in caution for caution in found) is warned


def test_a_unix_socket_whose_proxy_is_not_trusted_is_warned_of() -> None:
    (caution,) = cautions(Settings.model_validate({"os_unix_socket": "/run/x.sock", "os_trusted_proxies": ("10.0.0.1",)}))
    assert "Add `unix` to OS_TRUSTED_PROXIES" in caution


def test_shared_rate_limits_without_shared_signing_keys_are_warned_of() -> None:
    shared = {"os_redis_url": "redis://cache"}
    (caution,) = cautions(Settings(**shared))
    assert "OS_SIGNING_KEYS" in caution
    assert cautions(Settings(**shared, os_signing_keys="x" * 32)) == []
    assert cautions(Settings(**shared, os_realtime_enabled=False)) == []
