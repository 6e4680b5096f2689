"""`open-speech doctor` names what is wrong with a plugin, and says that the server starts without it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.plugin_packages import install_broken, install_speaker, python

SETTINGS = {"STT_BACKENDS": "tones-stt", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak"}


def examined(folder: Path, backends: str) -> list[str]:
    """Return the lines about plugins and their backends; doctor ends as for a server that can start."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    done = python(folder, "-m", "open_speech.cli", "doctor", TTS_BACKENDS=backends, OS_PORT=port, **SETTINGS)
    assert done.returncode == 0, done.stdout
    return [line for line in done.stdout.splitlines() if "acme" in line]


def test_a_backend_that_is_placed_is_shown_with_its_package(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann")
    assert examined(tmp_path, "tones-tts,acme@inproc") == [
        "ok\tbackend acme\tinproc acme-speech 1.0",
        "ok\tmodels of acme\tpackage acme-speech 1.0: acme/ann",
        "ok\tmodel acme/ann\tweights are downloaded",
    ]


def test_a_backend_that_is_not_placed_is_shown_with_its_setting(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann")
    assert examined(tmp_path, "tones-tts") == [
        "ok\tbackend acme\tnot in TTS_BACKENDS; installed acme-speech 1.0",
        "ok\tmodels of acme\tpackage acme-speech 1.0: acme/ann",
    ]


@pytest.mark.parametrize("backends", ["tones-tts", "tones-tts,acme"])
def test_a_package_that_raises_is_named_whether_it_is_placed_or_not(tmp_path: Path, backends: str) -> None:
    install_broken(tmp_path, "acme-broken", name="acme")
    assert examined(tmp_path, backends) == [
        "warning\tplugin acme\tacme-broken 1.0: import failed: `acme_broken:PLUGIN` cannot be imported: OSError: libengine.so is missing"
    ]


def test_a_class_that_raises_is_named_once(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann", runner="import no_such_engine")
    line, models = examined(tmp_path, "tones-tts,acme")
    assert line.startswith("warning\tplugin acme\tacme-speech 1.0: import failed: `acme_speech.runner` cannot be imported")
    assert models == "ok\tmodels of acme\tpackage acme-speech 1.0: acme/ann"


def test_a_name_that_is_taken_is_named_with_who_has_it(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-one", name="acme", model="acme/one")
    install_speaker(tmp_path, "acme-two", name="acme", model="acme/two")
    install_speaker(tmp_path, "acme-three", name="three", model="kokoro")
    assert examined(tmp_path, "tones-tts") == [
        "ok\tbackend acme\tnot in TTS_BACKENDS; installed acme-one 1.0",
        "ok\tbackend three\tnot in TTS_BACKENDS; installed acme-three 1.0",
        "warning\tplugin three\tacme-three 1.0: model id taken: the model `kokoro`: `kokoro` is the id of a model of the backend `kokoro`",
        "warning\tplugin acme\tacme-two 1.0: backend name taken: acme-one 1.0 has a backend `acme`",
        "ok\tmodels of acme\tpackage acme-one 1.0: acme/one",
    ]
