from __future__ import annotations

import asyncio

from wyoming.info import Info
from wyoming.tts import SynthesizeVoice

from open_speech.backends import ModelEntry, Task
from open_speech.config import Settings
from runners.wiring import wyoming_service as wyoming
from runners.wiring.engine import local_engine


def info_of(settings: Settings) -> Info:
    return wyoming.service_of(local_engine(settings), settings).offer.info()


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
