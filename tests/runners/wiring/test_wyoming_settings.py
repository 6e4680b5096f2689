from __future__ import annotations

import pytest

from open_speech.config import Settings, SettingsError
from runners.wiring.wyoming_settings import check, server_of


def test_settings_say_where_it_listens(tones_settings: Settings) -> None:
    def uri(**values: object) -> str:
        return server_of(tones_settings.model_copy(update=values)).uri

    assert uri() == "tcp://127.0.0.1:10400"
    assert uri(os_wyoming_host="::1", os_wyoming_port=10_300) == "tcp://[::1]:10300"
    assert uri(os_wyoming_uri="unix:///run/speech.sock") == "unix:///run/speech.sock"


def test_it_is_announced_when_settings_say_so(tones_settings: Settings) -> None:
    named = tones_settings.model_copy(update={"os_wyoming_zeroconf": True, "os_wyoming_zeroconf_name": "kitchen"})
    assert server_of(tones_settings).announce is None
    assert server_of(named).announce == "kitchen"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"os_wyoming_uri": "stdio://"}, "OS_WYOMING_URI"),
        ({"os_wyoming_uri": "http://x"}, "tcp://host:port"),
        ({"os_wyoming_allowed_hosts": ("home",)}, "OS_WYOMING_ALLOWED_HOSTS"),
    ],
)
def test_what_it_cannot_serve_stops_the_start_and_is_named(tones_settings: Settings, values: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        check(tones_settings.model_copy(update=values))
