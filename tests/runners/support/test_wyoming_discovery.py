"""What a Wyoming server says it has, and what comes of it here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from open_speech.backends import Voice
from open_speech.errors import BackendFailed, BackendTimeout, BackendUnavailable
from runners.support.wyoming_discovery import Program, described, info_of, listening_offers, speaking_offers
from tests.waiting import PATIENCE_S, deadline

WHISPER = {
    "name": "faster-whisper", "installed": True, "attribution": {}, "models": [
        {"name": "base", "installed": True, "languages": ["en", "de_DE"]}, {"name": "large", "installed": False, "languages": ["en"]},
    ],
}  # fmt: skip
PIPER = {
    "name": "piper", "installed": True, "voices": [
        {"name": "en_US-joe-medium", "installed": True, "languages": ["en_US"], "description": "Joe"},
        {"name": "en_GB-vctk", "installed": True, "languages": ["en_GB"], "speakers": [{"name": "p239"}, {"name": "p236"}]},
    ],
}  # fmt: skip


def settings_of(task: str, uri: str) -> dict[str, Any]:
    """The settings of the backend for a task."""
    return {f"{task}_wyoming_uri": uri, f"{task}_wyoming_timeout_s": 5.0, f"{task}_wyoming_max_retries": 0}


def answer(**info: Any) -> bytes:
    return json.dumps({"type": "info", "data": info}).encode() + b"\n"


def test_what_is_installed_is_read() -> None:
    info = info_of({"asr": [WHISPER, {"name": "gone", "installed": False}], "tts": [PIPER]})
    assert info.asr == (Program("faster-whisper", (("base", ("en", "de")),)),)
    assert info.tts[0].voices == (
        Voice("en_US-joe-medium", "en-US", "Joe"), Voice("en_GB-vctk", "en-GB", speakers=("p239", "p236")),
    )  # fmt: skip


@pytest.mark.parametrize("data", [{}, {"asr": None}, {"asr": [None, 3, {"name": 4}, {}]}, {"tts": {"name": "x"}}])
def test_what_is_not_as_it_should_be_is_left_out(data: Any) -> None:
    info = info_of(data)
    assert (info.asr, info.tts) == ((), ())


def test_programs_with_nothing_in_them_have_nothing() -> None:
    info = info_of({"asr": [{"name": "a", "models": None}], "tts": [{"name": "b", "voices": [{"name": "v", "languages": None}]}]})
    assert info.asr == (Program("a"),)
    assert info.tts[0].voices == (Voice("v", ""),)


def test_models_and_voices_become_entries(wyoming_peer: Callable[..., Any]) -> None:
    peer = wyoming_peer({"describe": answer(asr=[WHISPER], tts=[PIPER])})
    (heard,) = listening_offers(settings_of("stt", peer.uri), ask=True)
    assert (heard.id, heard.languages, heard.backend) == ("wyoming/base", ("en", "de"), "wyoming")
    (spoken,) = speaking_offers(settings_of("tts", peer.uri), ask=True)
    assert (spoken.id, spoken.default_voice, spoken.languages) == ("wyoming/piper", "", ("en",))


def test_nobody_is_asked_before_it_is_time() -> None:
    assert listening_offers(settings_of("stt", "tcp://127.0.0.1:9"), ask=False) == []
    with pytest.raises(BackendUnavailable):
        speaking_offers(settings_of("tts", "tcp://127.0.0.1:9"), ask=True)


def test_events_of_no_interest_are_passed_over(wyoming_peer: Callable[..., Any]) -> None:
    peer = wyoming_peer({"describe": b'{"type": "pong"}\n' + answer(tts=[PIPER])})
    assert described(peer.uri, deadline()).tts


def test_who_hangs_up_has_not_said_what_it_has(wyoming_peer: Callable[..., Any]) -> None:
    peer = wyoming_peer({"describe": lambda connection: None})
    with pytest.raises(BackendFailed, match="disconnected"):
        listening_offers(settings_of("stt", peer.uri), ask=True)


def test_who_does_not_answer_is_left(wyoming_peer: Callable[..., Any]) -> None:
    left = threading.Event()
    peer = wyoming_peer({"describe": lambda connection: left.wait(PATIENCE_S)})
    with pytest.raises(BackendTimeout):
        described(peer.uri, deadline(1))
    left.set()
