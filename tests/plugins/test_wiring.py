"""A plugin gets its own environment variables, lists the models of its server, and has its version in the key of cached speech."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin_packages import RUNNER, install, install_speaker, python

PLACED = {"STT_BACKENDS": "tones-stt", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak", "TTS_BACKENDS": "tones-tts,cloud"}
ROWS = """
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.plugins import Plugin

PLUGIN = Plugin(
    BackendEntry(
        "cloud", Task.TTS, "acme_cloud.runner:Speaker", (), "", "MIT",
        variables=("ACME_API_KEY", "ACME_REGION"), prefix="acme-cloud/", offers="acme_cloud.offers:offers",
    ),
    (),
)
"""
OFFERS = """
from open_speech.backends import ModelEntry, Task
from open_speech.errors import BackendUnavailable

def offers(own, *, ask):
    if own.get("ACME_REGION") == "nowhere":
        raise KeyError("nowhere")
    if own.get("ACME_REGION") == "down" and ask:
        raise BackendUnavailable("It does not respond.")
    name = "acme-cloud/" + own["ACME_REGION"] + ("-asked" if ask else "")
    return [ModelEntry(name, "cloud", Task.TTS, "see the server", (), sample_rate=24_000)]
"""
PROBE = """
import json, os
from open_speech import config
from runners.host.environment import handed_over
from runners.wiring import discovery
from runners.wiring import factories as parts

settings = config.load()
registry = parts.registry(settings, {"cloud": "process", "tones-tts": "process"})
given = [model.id for model in registry.models() if model.backend == "cloud"]
answered = discovery.ask(registry, settings)
print(json.dumps({
    "own": {name: dict(parts.host_options(settings, name).settings) for name in ("cloud", "tones-tts")},
    "secrets": [s for s in ("cloud", "tones_tts", "tones_stt", "wyoming_door", "open_speech")
                if "ACME_API_KEY" in handed_over(os.environ, s, settings, stand_in="x")],
    "given": given,
    "answered": answered,
    "learned": [model.id for model in registry.models() if model.backend == "cloud"],
}))
"""


def probed(folder: Path, **variables: str) -> tuple[dict[str, Any], str]:
    modules = {"acme_cloud/__init__.py": ROWS, "acme_cloud/runner.py": RUNNER.format(name="cloud"), "acme_cloud/offers.py": OFFERS}
    install(folder, "acme-cloud", {"cloud": "acme_cloud:PLUGIN"}, modules)
    done = python(folder, "-c", PROBE, **PLACED, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_plugin_gets_its_own_variables_and_only_its_process_gets_its_secrets(tmp_path: Path) -> None:
    found, _ = probed(tmp_path, ACME_API_KEY="sesame", ACME_REGION="moon")
    assert found["own"] == {"cloud": {"ACME_API_KEY": "sesame", "ACME_REGION": "moon"}, "tones-tts": {}}
    # The Wyoming process asks the servers behind backends for their models.
    assert found["secrets"] == ["cloud", "wyoming_door", "open_speech"]


def test_a_plugin_lists_the_models_of_its_server(tmp_path: Path) -> None:
    found, _ = probed(tmp_path, ACME_REGION="moon")
    assert (found["given"], found["answered"], found["learned"]) == (["acme-cloud/moon"], True, ["acme-cloud/moon-asked"])


def test_what_was_known_stays_while_its_server_does_not_respond(tmp_path: Path) -> None:
    found, _ = probed(tmp_path, ACME_REGION="down")
    assert (found["given"], found["answered"], found["learned"]) == (["acme-cloud/down"], False, ["acme-cloud/down"])


@pytest.mark.parametrize("variables", [{"ACME_REGION": "nowhere"}, {}])
def test_a_plugin_that_cannot_list_its_models_has_none(tmp_path: Path, variables: dict[str, str]) -> None:
    found, log = probed(tmp_path, **variables)
    assert (found["given"], found["answered"], found["learned"]) == ([], False, [])
    assert "cloud: The plugin cannot list its models: KeyError: " in log


STAMP = """
from open_speech import config
from runners import catalog
from runners.wiring import factories as parts
stamped = parts.stamp(config.load())
print(*(stamped(model) for model in catalog.models() if model.id in ("acme/ann", "tones/speak")), sep="\\n")
"""


def test_cached_speech_of_another_version_of_the_package_is_not_used(tmp_path: Path) -> None:
    install_speaker(tmp_path, "acme-speech", name="acme", model="acme/ann")
    before = python(tmp_path, "-c", STAMP).stdout.split()
    metadata = tmp_path / "acme_speech-1.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text(encoding="utf-8").replace("Version: 1.0", "Version: 1.1"), encoding="utf-8")
    after = python(tmp_path, "-c", STAMP).stdout.split()
    assert len(before) == len(after) == 2
    assert before[0] == after[0]
    assert before[1] != after[1]
