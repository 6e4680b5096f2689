from __future__ import annotations

import pytest

from open_speech.config import Settings
from runners import catalog
from runners.support.backend_options import QwenOptions, UpstreamSttOptions, WyomingTtsOptions


def test_each_setting_of_a_backend_is_a_setting_of_the_server() -> None:
    named = {setting for entry in catalog.BACKENDS for setting in entry.settings}
    assert named
    assert named <= set(Settings.model_fields)


def test_options_are_built_from_the_settings_with_their_prefix() -> None:
    assert WyomingTtsOptions.settings() == ("tts_wyoming_uri", "tts_wyoming_timeout_s", "tts_wyoming_max_retries")
    values = {"tts_wyoming_uri": "tcp://a:1", "tts_wyoming_timeout_s": 2.0, "tts_wyoming_max_retries": 3, "ACME_KEY": "x"}
    assert WyomingTtsOptions.of(values) == WyomingTtsOptions("tcp://a:1", 2.0, 3)


def test_a_missing_option_is_an_error_unless_it_has_a_default() -> None:
    with pytest.raises(TypeError, match="url"):
        UpstreamSttOptions.of({})
    assert QwenOptions.of({}) == QwenOptions("", flash_attn=False)
