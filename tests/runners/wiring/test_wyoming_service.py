from __future__ import annotations

import asyncio

import pytest
from wyoming.info import Info
from wyoming.tts import SynthesizeVoice

from open_speech.backends import ModelEntry, Task
from open_speech.config import Settings, SettingsError
from runners.catalog.placement import plan
from runners.wiring import wyoming_service as wyoming
from runners.wiring.engine import local_engine


def info_of(settings: Settings) -> Info:
    return wyoming.service_of(local_engine(settings), settings).offer.info()


def test_settings_say_where_it_listens(tones_settings: Settings) -> None:
    def uri(**values: object) -> str:
        return wyoming.server_of(tones_settings.model_copy(update=values)).uri

    assert uri() == "tcp://127.0.0.1:10400"
    assert uri(os_wyoming_host="::1", os_wyoming_port=10_300) == "tcp://[::1]:10300"
    assert uri(os_wyoming_uri="unix:///run/speech.sock") == "unix:///run/speech.sock"


def test_it_is_announced_when_settings_say_so(tones_settings: Settings) -> None:
    named = tones_settings.model_copy(update={"os_wyoming_zeroconf": True, "os_wyoming_zeroconf_name": "kitchen"})
    assert wyoming.server_of(tones_settings).announce is None
    assert wyoming.server_of(named).announce == "kitchen"


def test_without_the_setting_there_is_no_process(tones_settings: Settings) -> None:
    assert wyoming.dependency(tones_settings, plan(tones_settings)) == {}


def test_with_it_there_is_one_that_has_the_runners_of_the_front(tones_settings: Settings) -> None:
    enabled = tones_settings.model_copy(update={"os_wyoming_enabled": True})
    service = wyoming.dependency(enabled, plan(enabled))["wyoming_door"].on
    assert service.name == "wyoming_door"
    assert service.config["workers"] == 1
    assert set(service.dependencies) == {"runner_tones_stt", "runner_tones_tts"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"os_wyoming_uri": "stdio://"}, "OS_WYOMING_URI"),
        ({"os_wyoming_uri": "http://x"}, "tcp://host:port"),
        ({"os_wyoming_allowed_hosts": ("home",)}, "OS_WYOMING_ALLOWED_HOSTS"),
    ],
)
def test_what_it_cannot_serve_stops_the_start_and_is_named(tones_settings: Settings, values: dict[str, object], named: str) -> None:
    enabled = tones_settings.model_copy(update={"os_wyoming_enabled": True} | values)
    with pytest.raises(SettingsError, match=named):
        wyoming.dependency(enabled, plan(enabled))


def test_models_without_weights_here_are_not_installed(tones_settings: Settings) -> None:
    whisper = tones_settings.model_copy(update={"stt_backends": ("faster-whisper", "tones-stt")})
    programs = {program.models[0].name: program.installed for program in info_of(whisper).asr}
    assert programs["tones/listen"]
    assert not programs["Systran/faster-whisper-tiny"]


def test_a_model_of_another_server_is_asked_again_and_again_only_if_it_is_said_to_stream(tones_settings: Settings) -> None:
    asked = tones_settings.model_copy(
        update={
            "stt_backends": ("upstream",), "tts_backends": (), "stt_upstream_models": ("one", "two"),
            "stt_upstream_streaming_models": ("two",),
        }
    )  # fmt: skip
    programs = {program.models[0].name: program.supports_transcript_streaming for program in info_of(asked).asr}
    assert programs == {"one": False, "two": True}


def test_a_server_that_does_not_answer_delays_the_door_and_no_more(tones_settings: Settings) -> None:
    gone = tones_settings.model_copy(
        update={"stt_backends": ("upstream",), "tts_backends": (), "stt_upstream_url": "http://127.0.0.1:9/v1"}
    )
    asyncio.run(asyncio.wait_for(wyoming.acquaint(local_engine(gone), gone), 15))


def test_what_a_server_learns_later_is_in_the_next_answer(tones_settings: Settings) -> None:
    later = tones_settings.model_copy(update={"stt_backends": ("upstream",), "tts_backends": ()})
    engine = local_engine(later)
    offer = wyoming.service_of(engine, later).offer
    before = offer.info()
    learnt = ModelEntry("upstream/new", "upstream", Task.STT, "MIT", ("en",))
    engine.registry.learn("upstream", [learnt])
    assert "new" in [program.models[0].name for program in offer.info().asr]
    assert "new" not in [program.models[0].name for program in before.asr]


def test_every_name_in_the_answer_finds_its_model_and_voice(tones_settings: Settings) -> None:
    theirs = tones_settings.model_copy(
        update={
            "stt_backends": ("upstream",), "stt_upstream_models": ("whisper-1", "gpt-4o-transcribe", "org/deep/model:q4"),
            "tts_backends": ("upstream-tts",), "tts_upstream_models": ("tts-1", "tts-1-hd"), "tts_upstream_voices": ("alloy", "echo"),
        }
    )  # fmt: skip
    offer = wyoming.service_of(local_engine(theirs), theirs).offer
    info = offer.info()
    assert {program.models[0].name: offer.model(program.models[0].name).id for program in info.asr} == {
        "whisper-1": "upstream/whisper-1", "gpt-4o-transcribe": "upstream/gpt-4o-transcribe",
        "org/deep/model:q4": "upstream/deep/model-q4",
    }  # fmt: skip
    chosen = {voice.name: offer.voice(SynthesizeVoice(voice.name)) for voice in info.tts[0].voices}
    assert {name: (choice.model, choice.voice) for name, choice in chosen.items()} == {
        "alloy (tts-1)": ("upstream/tts-1", "alloy"), "echo (tts-1)": ("upstream/tts-1", "echo"),
        "alloy (tts-1-hd)": ("upstream/tts-1-hd", "alloy"), "echo (tts-1-hd)": ("upstream/tts-1-hd", "echo"),
    }  # fmt: skip
