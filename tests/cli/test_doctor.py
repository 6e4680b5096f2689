from __future__ import annotations

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
