from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from open_speech.api.realtime.effects import AudioFormat, TranscriptionSettings, TurnRules
from open_speech.api.realtime.settings import CONFIG_CHARS, Config, Defaults, initial_config, session_body, updated
from open_speech.errors import InvalidRequest, TextTooLong, UnsupportedLanguage

DEFAULTS = Defaults(
    "ears", "mouth", "ann", False, lambda voice: voice != "nobody", {"ears": "stt", "other-ears": "stt", "mouth": "tts"}.get
)  # type: ignore[arg-type]


def config(change: Mapping[str, Any] | None = None) -> Config:
    return initial_config("realtime", model="gpt-realtime", defaults=DEFAULTS, configured=change)


def change(old: Config, session: Mapping[str, Any]) -> Config:
    return updated(old, session, DEFAULTS)


def seen(of: Config) -> dict[str, Any]:
    return session_body(of, "realtime", id="sess_1", model="m", expires_at=0)


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value[name]
    return value


def nested(path: str, value: object) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instructions", "Be brief."),
        ("output_modalities", ["text"]),
        ("tools", [{"type": "function", "name": "f", "parameters": {"type": "object"}}]),
        ("tools", []),
        ("tool_choice", "none"),
        ("tool_choice", {"type": "function", "name": "f"}),
        ("max_output_tokens", 100),
        ("max_output_tokens", "inf"),
        ("tracing", "auto"),
        ("tracing", {"workflow_name": "w"}),
        ("truncation", "disabled"),
        ("truncation", {"type": "retention_ratio", "retention_ratio": 0.5}),
        ("prompt", {"id": "p"}),
        ("include", ["item.input_audio_transcription.logprobs"]),
        ("parallel_tool_calls", False),
        ("reasoning", {"effort": "low"}),
        ("audio.input.format", {"type": "audio/pcm", "rate": 16_000}),
        ("audio.input.format", {"type": "audio/pcmu"}),
        ("audio.output.format", {"type": "audio/pcma"}),
        ("audio.output.voice", "bob"),
        ("audio.output.voice", {"id": "bob"}),
        ("audio.output.speed", 1.5),
        ("audio.input.noise_reduction", {"type": "far_field"}),
        ("audio.input.transcription", {"model": "other-ears", "language": "de", "prompt": "p", "delay": "low"}),
        ("audio.input.transcription", {"model": "ears", "languages": ["de", "en"], "keywords": ["Kepler"]}),
        ("audio.input.turn_detection", {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": False}),
        ("audio.input.turn_detection.threshold", 0.9),
        ("audio.input.turn_detection.prefix_padding_ms", 0),
        ("audio.input.turn_detection.silence_duration_ms", 200),
        ("audio.input.turn_detection.idle_timeout_ms", 6000),
        ("audio.input.turn_detection.create_response", False),
        ("audio.input.turn_detection.interrupt_response", False),
        ("audio.input.turn_detection", None),
    ],
)
def test_what_is_set_is_shown_and_nothing_else_changes(path: str, value: object) -> None:
    old = config()
    new = seen(change(old, nested(path, value)))
    assert at(new, path) == value
    expected = seen(old)
    *way, name = path.split(".")
    (at(expected, ".".join(way)) if way else expected)[name] = value
    assert new == expected


def test_a_second_change_keeps_the_first() -> None:
    first = change(config(), {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9}}}})
    second = change(first, {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 900}}}})
    assert second.turns == TurnRules(0.9, 300, 900)


@pytest.mark.parametrize("path", ["audio.input.turn_detection", "audio.input.transcription", "audio.input.noise_reduction", "tracing"])
def test_null_clears_what_can_be_cleared(path: str) -> None:
    full = {"audio": {"input": {"transcription": {"model": "ears"}, "noise_reduction": {"type": "near_field"}}}, "tracing": "auto"}
    old = config(full)
    assert at(seen(old), path) is not None
    assert at(seen(change(old, nested(path, None))), path) is None


@pytest.mark.parametrize(
    "path", ["instructions", "tools", "audio", "audio.input", "audio.output.voice", "audio.input.format", "max_output_tokens"]
)
def test_null_elsewhere_changes_nothing(path: str) -> None:
    old = config({"instructions": "Be brief.", "audio": {"output": {"voice": "bob"}}})
    assert change(old, nested(path, None)) == old


def test_turns_come_back_with_their_defaults_after_they_were_off() -> None:
    off = config({"audio": {"input": {"turn_detection": None}}})
    assert off.turns is None
    assert change(off, {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}).turns == TurnRules()
    assert change(off, {"audio": {"input": {"turn_detection": {"threshold": 0.2}}}}).turns == TurnRules(threshold=0.2)


@pytest.mark.parametrize(
    ("eagerness", "longest_ms", "silence_ms"), [("low", 8000, 1200), ("medium", 4000, 700), ("auto", 4000, 700), ("high", 2000, 350)]
)
def test_eagerness_is_the_longest_silence_and_that_without_a_turn_detector(eagerness: str, longest_ms: int, silence_ms: int) -> None:
    turns = {"type": "semantic_vad", "eagerness": eagerness}
    rules = TurnRules(silence_duration_ms=silence_ms, longest_silence_ms=longest_ms)
    assert config({"audio": {"input": {"turn_detection": turns}}}).turns == rules


def test_server_vad_ends_a_turn_by_its_silence_alone() -> None:
    turns = {"type": "server_vad", "silence_duration_ms": 300}
    assert config({"audio": {"input": {"turn_detection": turns}}}).turns == TurnRules(silence_duration_ms=300)


def test_the_two_kinds_of_turns_do_not_mix() -> None:
    server = config({"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9, "create_response": False}}}})
    semantic = change(server, {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
    assert seen(semantic)["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True,
    }  # fmt: skip


def test_a_transcription_without_a_model_has_the_servers() -> None:
    new = config({"audio": {"input": {"transcription": {"language": "en"}}}})
    assert seen(new)["audio"]["input"]["transcription"] == {"model": "ears", "language": "en"}


def test_a_format_is_replaced_as_a_whole() -> None:
    old = config({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}})
    assert change(old, {"audio": {"input": {"format": {"type": "audio/pcm"}}}}).format == AudioFormat("audio/pcm", 24_000)


def test_what_this_server_does_not_know_is_ignored() -> None:
    assert config({"audio": {"input": {"sparkle": 1}}, "id": "sess_x", "object": "realtime.session", "shine": {}}) == config()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("output_modalities", []),
        ("output_modalities", "audio"),
        ("instructions", 3),
        ("tools", {}),
        ("tools", [{"type": "function"}]),
        ("max_output_tokens", 0),
        ("max_output_tokens", "many"),
        ("max_output_tokens", 1.5),
        ("include", ["item.everything"]),
        ("audio", 3),
        ("audio", []),
        ("audio.input", "loud"),
        ("audio.input.format", "pcm16"),
        ("audio.input.format.type", "audio/mp3"),
        ("audio.input.transcription", "ears"),
        ("audio.input.transcription.model", 5),
        ("audio.input.transcription.language", 5),
        ("audio.input.transcription.keywords", "Kepler"),
        ("audio.input.transcription.delay", "soon"),
        ("audio.input.noise_reduction.type", "no_field"),
        ("audio.input.turn_detection", "server_vad"),
        ("audio.input.turn_detection", True),
        ("audio.input.turn_detection.threshold", 1.1),
        ("audio.input.turn_detection.threshold", -0.1),
        ("audio.input.turn_detection.threshold", "0.5"),
        ("audio.input.turn_detection.prefix_padding_ms", -1),
        ("audio.input.turn_detection.prefix_padding_ms", 300.5),
        ("audio.input.turn_detection.silence_duration_ms", 1_000_000),
        ("audio.input.turn_detection.idle_timeout_ms", 0),
        ("audio.input.turn_detection.create_response", "yes"),
        ("audio.output.speed", 0.1),
        ("audio.output.speed", 2.0),
        ("audio.output.voice", "nobody"),
        ("audio.output.voice", {"id": "nobody"}),
        ("audio.output.voice", "x" * 1000),
    ],
)
def test_a_wrong_value_is_refused_by_its_whole_path(path: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        change(config(), nested(path, value))
    assert refused.value.param == f"session.{path}"


@pytest.mark.parametrize(
    ("change_of", "param"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 96_000}}}}, "session.audio.input.format.rate"),
        ({"audio": {"input": {"format": {"rate": 24_000}}}}, "session.audio.input.format.type"),
        ({"audio": {"input": {"turn_detection": {"type": "guess"}}}}, "session.audio.input.turn_detection.type"),
        ({"audio": {"input": {"turn_detection": {"type": 3}}}}, "session.audio.input.turn_detection.type"),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "very"}}}},
            "session.audio.input.turn_detection.eagerness",
        ),
        ({"audio": {"output": {"voice": {"name": "bob"}}}}, "session.audio.output.voice.id"),
        ({"tools": ["f"]}, "session.tools[0]"),
        ({"output_modalities": ["video"]}, "session.output_modalities[0]"),
    ],
)  # fmt: skip
def test_a_wrong_value_in_one_of_several_shapes_is_named_too(change_of: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        change(config(), change_of)
    assert refused.value.param == param


@pytest.mark.parametrize(("model", "code"), [("nothing", "model_not_found"), ("mouth", "model_wrong_task")])
def test_a_model_that_does_not_transcribe_is_refused(model: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        config({"audio": {"input": {"transcription": {"model": model}}}})
    assert (refused.value.code, refused.value.param) == (code, "session.audio.input.transcription.model")


@pytest.mark.parametrize(
    ("name", "place"), [("input_audio_format", "audio.input.format"), ("modalities", "output_modalities"), ("voice", "audio.output.voice")]
)
def test_a_name_of_the_old_protocol_is_told_its_new_place(name: str, place: str) -> None:
    with pytest.raises(InvalidRequest, match=f"session.{place}") as refused:
        change(config(), {name: "x"})
    assert (refused.value.code, refused.value.param) == ("unknown_parameter", f"session.{name}")


def test_a_session_that_no_event_could_carry_is_refused() -> None:
    with pytest.raises(TextTooLong):
        change(config(), {"instructions": "x" * CONFIG_CHARS})


def test_the_driver_is_told_all_of_how_to_hear() -> None:
    transcription = {"model": "other-ears", "language": "de", "languages": ["de"], "keywords": ["Kepler"], "prompt": "p"}
    new = config({"audio": {"input": {"transcription": transcription}}, "include": ["item.input_audio_transcription.logprobs"]})
    assert new.transcription == TranscriptionSettings("other-ears", "de", ("de",), "p", ("Kepler",), True)


def test_without_a_transcription_the_driver_chooses() -> None:
    assert config({"audio": {"input": {"transcription": None}}}).transcription == TranscriptionSettings()


def test_a_change_makes_a_new_value_and_leaves_the_old() -> None:
    old = config()
    before = seen(old)
    change(old, {"tools": [{"type": "function", "name": "f"}], "audio": {"input": {"transcription": {}}}})
    assert seen(old) == before


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"language": "xx"}, "session.audio.input.transcription.language"),
        ({"language": "klingon"}, "session.audio.input.transcription.language"),
        ({"languages": ["en", "qqq"]}, "session.audio.input.transcription.languages"),
    ],
)
def test_a_value_that_is_no_language_is_refused_at_once(said: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedLanguage) as refused:
        config({"audio": {"input": {"transcription": said}}})
    assert refused.value.param == param


@pytest.mark.parametrize("said", [{"language": "de"}, {"language": "German"}, {"languages": ["de", "fr"]}])
def test_a_language_that_the_model_does_not_know_is_refused_at_once(said: dict[str, Any]) -> None:
    english = replace(DEFAULTS, languages_of=lambda name: ("en",))
    with pytest.raises(UnsupportedLanguage):
        initial_config("realtime", model="gpt-realtime", defaults=english, configured={"audio": {"input": {"transcription": said}}})


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"language": "auto"}, (None, ())), ({"language": "English"}, ("en", ())), ({"language": "eng"}, ("en", ())),
        ({"language": "en-US"}, ("en", ())), ({"languages": ["deu", "English"]}, (None, ("de", "en"))),
        ({"languages": ["auto", "de"]}, (None, ())),
    ],
)  # fmt: skip
def test_languages_are_understood_in_every_usual_spelling_and_shown_as_they_were_sent(said: dict[str, Any], meant: object) -> None:
    new = config({"audio": {"input": {"transcription": said}}})
    assert (new.transcription.language, new.transcription.languages) == meant
    assert said.items() <= seen(new)["audio"]["input"]["transcription"].items()
