from __future__ import annotations

import importlib.util
import platform
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_speech.cli.doctor import Finding, State, reachable
from open_speech.weights import Reach

Run = Callable[..., Any]


@pytest.fixture
def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def findings(output: str) -> dict[str, tuple[str, str]]:
    rows = [line.split("\t") for line in output.splitlines()]
    return {what: (state, detail) for state, what, detail in rows}


def test_a_machine_that_can_serve_is_all_right(run: Run, free_port: str) -> None:
    result = run("doctor", OS_PORT=free_port)
    assert result.exit_code == 0, result.output
    found = findings(result.stdout)
    assert found["backend tones-stt"] == ("ok", "process")
    assert found["model tones/listen"] == ("ok", "weights are downloaded")
    assert found["network"] == ("ok", "not checked: OS_OFFLINE is on")
    assert found["port"] == ("ok", f"127.0.0.1 port {free_port} is free")


def test_what_confines_the_decoding_of_files_is_shown(run: Run, free_port: str) -> None:
    state, detail = findings(run("doctor", OS_PORT=free_port).stdout)["sandbox"]
    assert state == ("warning" if "not in force" in detail else "ok")
    if platform.system() == "Linux":
        assert detail.startswith("no_new_privs, no capabilities")
    off = findings(run("doctor", OS_PORT=free_port, OS_DECODE_IN_CHILD="false").stdout)["sandbox"]
    assert off == ("warning", "files are decoded in the server's own process because OS_DECODE_IN_CHILD is off")


def test_whether_calls_over_webrtc_are_accepted_is_shown(run: Run, free_port: str) -> None:
    state, detail = findings(run("doctor", OS_PORT=free_port, OS_WEBRTC_PORTS="50000-50099").stdout)["webrtc"]
    assert state == "ok"
    installed = importlib.util.find_spec("aiortc") is not None
    assert ("UDP ports 50000-50099" in detail) if installed else (detail == "not installed; needs open-speech[webrtc]")
    off = findings(run("doctor", OS_PORT=free_port, OS_WEBRTC_ENABLED="false").stdout)["webrtc"]
    assert off == ("ok", "OS_WEBRTC_ENABLED is off")


def test_a_taken_port_fails(run: Run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        result = run("doctor", OS_PORT=str(listener.getsockname()[1]))
    assert result.exit_code == 1
    assert findings(result.stdout)["port"][0] == "FAILED"


def test_a_wrong_setting_fails_and_is_named(run: Run) -> None:
    result = run("doctor", OS_PORTT="1")
    assert result.exit_code == 1
    state, detail = findings(result.stdout)["settings"]
    assert state == "FAILED"
    assert "Did you mean OS_PORT?" in detail


def test_missing_weights_are_a_warning_that_says_how_to_get_them(run: Run, free_port: str) -> None:
    result = run("doctor", OS_PORT=free_port, TTS_BACKENDS="tones-tts,piper")
    assert result.exit_code == 0
    state, detail = findings(result.stdout)["model piper/en_US-joe-medium"]
    assert state == "warning"
    assert "open-speech models pull piper/en_US-joe-medium" in detail


def test_the_turn_detector_in_use_is_reported(run: Run, free_port: str) -> None:
    found = findings(run("doctor", OS_PORT=free_port).stdout)
    assert found["turn detector"] == (
        "ok", "timer, the length of the silence (for smart-turn: open-speech models pull smart-turn-v3.2)"
    )  # fmt: skip
    assert found["model smart-turn-v3.2"][0] == "warning"
    found = findings(run("doctor", OS_PORT=free_port, OS_TURN_DETECTOR="timer").stdout)
    assert found["turn detector"] == ("ok", "timer, the length of the silence (OS_TURN_DETECTOR)")
    assert "model smart-turn-v3.2" not in found
    assert findings(run("doctor", OS_PORT=free_port, OS_TURN_DETECTOR="smart-turn").stdout)["turn detector"][0] == "warning"
    wrong = run("doctor", OS_PORT=free_port, OS_TURN_DETECTOR="smart")
    assert (wrong.exit_code, findings(wrong.stdout)["turn detector"][0]) == (1, "FAILED")


def test_the_language_model_is_reported(run: Run, free_port: str, tmp_path: Path) -> None:
    found = findings(run("doctor", OS_PORT=free_port, LLM_BACKENDS="llama").stdout)
    if importlib.util.find_spec("xllamacpp") is None:
        assert found["backend llama"] == ("warning", "not installed: pip install 'open-speech[llama]'")
        return
    assert found["backend llama"][0] == "ok"
    assert found["llama.cpp"][1].startswith(("CPU: ", "GPU: "))
    assert found["language model"][1].startswith("none is downloaded: set LLM_BASE_URL, or run `open-speech models pull")
    named = findings(run("doctor", OS_PORT=free_port, LLM_MODEL="gemma-3-270m").stdout)
    assert "open-speech models pull gemma-3-270m" in named["model gemma-3-270m"][1]
    path = tmp_path / "mine.gguf"
    assert findings(run("doctor", OS_PORT=free_port, LLM_MODEL=str(path)).stdout)["language model"] == ("warning", f"{path} does not exist")
    path.touch()
    assert findings(run("doctor", OS_PORT=free_port, LLM_MODEL=str(path)).stdout)["language model"] == ("ok", f"{path} exists")


def test_a_language_model_of_another_server_is_reported(run: Run, free_port: str) -> None:
    found = findings(run("doctor", OS_PORT=free_port, LLM_BASE_URL="http://127.0.0.1:9/v1", LLM_MODEL="small").stdout)
    assert found["language model"] == ("ok", "`small` of another server, LLM_BASE_URL")
    assert "llama.cpp" not in found


def test_a_place_that_answers_is_named_by_its_host_and_never_by_its_password() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}/simple"
        assert reachable(Reach(), "package index", url) == Finding("package index", State.OK, "127.0.0.1 is reachable")


def test_a_place_that_does_not_answer_is_a_warning(free_port: str) -> None:
    found = reachable(Reach(), "hub", f"http://127.0.0.1:{free_port}")
    assert found == Finding("hub", State.WARNING, "127.0.0.1 cannot be reached")


def test_an_index_may_be_a_folder(tmp_path: Path) -> None:
    assert reachable(Reach(), "package index", tmp_path.as_uri()).state is State.OK
    assert reachable(Reach(), "package index", (tmp_path / "gone").as_uri()).state is State.WARNING


def test_a_backend_that_is_not_installed_is_named_with_its_extra(run: Run, free_port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)  # Python's own way of saying that there is no such package
    left = run("doctor", OS_PORT=free_port, TTS_BACKENDS="tones-tts,piper")
    assert left.exit_code == 0
    assert findings(left.stdout)["backend piper"] == ("warning", "not installed: pip install 'open-speech[piper]'")
    alone = run("doctor", OS_PORT=free_port, TTS_BACKENDS="piper")
    assert alone.exit_code == 1
    assert findings(alone.stdout)["backend piper"][0] == "FAILED"
