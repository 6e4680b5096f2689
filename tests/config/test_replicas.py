from __future__ import annotations

import pytest

from open_speech import config
from open_speech.config import SettingsError

KEY = "0123456789abcdef0123456789abcdef"


def test_a_signing_key_that_is_too_short_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"^OS_SIGNING_KEYS=…: .*at least 32 characters") as refused:
        config.load({"OS_SIGNING_KEYS": f"{KEY},sesame"})
    assert "sesame" not in str(refused.value) and KEY not in str(refused.value)


def test_signing_keys_are_not_shown() -> None:
    settings = config.load({"OS_SIGNING_KEYS": KEY})
    assert settings.os_signing_keys == KEY
    assert KEY not in repr(settings)


def test_a_url_of_redis_has_one_of_its_schemes() -> None:
    with pytest.raises(SettingsError, match=r"^OS_REDIS_URL=…: .*must begin with redis://") as refused:
        config.load({"OS_REDIS_URL": "http://:sesame@cache:6379"})
    assert "sesame" not in str(refused.value)


def test_the_password_of_redis_is_not_shown() -> None:
    settings = config.load({"OS_REDIS_URL": "valkeys://:sesame@cache:6379/1"})
    assert settings.os_redis_url == "valkeys://:sesame@cache:6379/1"
    assert "sesame" not in repr(settings)
