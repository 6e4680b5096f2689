"""The configuration of a translation session: what is refused, and by which name."""

from __future__ import annotations

from typing import Any

import pytest

from open_speech.api.translations.settings import Abilities, Config, body, updated
from open_speech.errors import InvalidRequest

TASKS = {"whisper-1": "stt", "tts-1": "tts"}


def abilities(*, translates: bool = True, has_llm: bool = True) -> Abilities:
    return Abilities("ear", translates, has_llm, frozenset({"en", "es"}), TASKS.get)


def audio(**parts: Any) -> dict[str, Any]:
    return {"audio": parts}


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"voice": "ann"}, "unknown_parameter", "session.voice"),
        ({"model": "other"}, "unknown_parameter", "session.model"),
        (audio(input={"turn_detection": None}), "unknown_parameter", "session.audio.input.turn_detection"),
        (audio(output={"voice": "ann"}), "unknown_parameter", "session.audio.output.voice"),
        (audio(input={"transcription": {"model": "whisper-1", "language": "de"}}), "unknown_parameter",
         "session.audio.input.transcription.language"),
        (audio(input={"transcription": {}}), "missing_required_parameter", "session.audio.input.transcription.model"),
        (audio(input={"transcription": {"model": "nobody"}}), "model_not_found", "session.audio.input.transcription.model"),
        (audio(input={"transcription": {"model": "tts-1"}}), "model_wrong_task", "session.audio.input.transcription.model"),
        (audio(input={"noise_reduction": {"type": "loud"}}), "invalid_value", "session.audio.input.noise_reduction.type"),
        (audio(output={"language": 5}), "invalid_value", "session.audio.output.language"),
        (audio(output={"language": None}), "invalid_value", "session.audio.output.language"),
        (audio(output={"language": "auto"}), "invalid_value", "session.audio.output.language"),
        (audio(output={"language": "klingon"}), "unsupported_language", "session.audio.output.language"),
        (audio(output={"language": "ja"}), "unsupported_value", "session.audio.output.language"),
        ({"audio": 5}, "invalid_value", "session.audio"),
        ({"audio": None}, "invalid_value", "session.audio"),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused_by_its_whole_name(change: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        updated(Config(), change, abilities())
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("language", "translates", "has_llm", "is_possible"),
    [
        ("en", True, False, True),
        ("en", False, True, True),
        ("en", False, False, False),
        ("es", True, True, True),
        ("es", True, False, False),
    ],
)
def test_english_needs_a_recognizer_that_translates_or_a_language_model_and_others_need_the_latter(
    language: str, *, translates: bool, has_llm: bool, is_possible: bool
) -> None:
    change = audio(output={"language": language})
    able = abilities(translates=translates, has_llm=has_llm)
    if is_possible:
        assert updated(Config(), change, able).language == language
        return
    with pytest.raises(InvalidRequest) as refused:
        updated(Config(), change, able)
    assert (refused.value.code, refused.value.param) == ("unsupported_value", "session.audio.output.language")


def test_only_the_fields_that_are_present_change_and_null_clears() -> None:
    config = updated(Config(), audio(input={"noise_reduction": {"type": "near_field", "strength": 0.5}}), abilities())
    config = updated(config, audio(input={"transcription": {"model": "whisper-1"}}, output={"language": "es-MX"}), abilities())
    config = updated(config, audio(input={"noise_reduction": {"type": "far_field"}}), abilities())
    assert config.language == "es"
    assert body(config, id="sess_1", model="m", expires_at=5) == {
        "type": "translation", "id": "sess_1", "model": "m", "expires_at": 5,
        "audio": {
            "input": {"noise_reduction": {"type": "far_field", "strength": 0.5}, "transcription": {"model": "whisper-1"}},
            "output": {"language": "es-MX"},
        },
    }  # fmt: skip
    config = updated(config, audio(input={"transcription": None, "noise_reduction": None}), abilities())
    assert config.source_model is None
    assert body(config, id="sess_1", model="m", expires_at=5)["audio"]["input"] == {"noise_reduction": None, "transcription": None}
