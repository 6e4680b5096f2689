from __future__ import annotations

import pytest

from open_speech.config import Settings, SettingsError
from runners.catalog.placement import plan
from runners.wiring import wyoming_gateway as wyoming
from runners.wiring.services import dependencies


def test_without_the_setting_there_is_no_process(tones_settings: Settings) -> None:
    assert wyoming.dependency(tones_settings, dependencies(plan(tones_settings))) == {}


def test_with_it_there_is_one_that_has_the_runners_of_the_front(tones_settings: Settings) -> None:
    enabled = tones_settings.model_copy(update={"os_wyoming_enabled": True})
    service = wyoming.dependency(enabled, dependencies(plan(enabled)))["wyoming_door"].on
    assert service.name == "wyoming_door"
    assert service.config["workers"] == 1
    assert set(service.dependencies) == {"runner_tones_stt", "runner_tones_tts"}


def test_its_settings_are_checked_only_if_it_is_enabled(tones_settings: Settings) -> None:
    wrong = tones_settings.model_copy(update={"os_wyoming_uri": "stdio://"})
    wyoming.check(wrong)
    with pytest.raises(SettingsError, match="OS_WYOMING_URI"):
        wyoming.check(wrong.model_copy(update={"os_wyoming_enabled": True}))
