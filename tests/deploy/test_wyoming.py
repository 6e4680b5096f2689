"""What is in deploy/wyoming/: compose files that start `open-speech wyoming` in front of other servers, and the module `wyoming_openai`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from open_speech import config
from open_speech.cli import wyoming
from open_speech.config import Settings
from tests.manifests import read
from tests.waiting import PATIENCE_S

FOLDER = Path(__file__).parent.parent.parent / "deploy" / "wyoming"
PACKAGE = FOLDER / "package"
FILES = sorted(FOLDER.glob("*.yaml"))
KEYS = {"STT_OPENAI_KEY": "one", "TTS_OPENAI_KEY": "two"}
OURS = {str(option.envvar) for option in wyoming.OPTIONS if option.envvar} | set(config.names())


def resolved(value: str, environ: dict[str, str]) -> str:
    """Replace `${NAME:-default}` and `${NAME:?message}`, as Compose does."""

    def one(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if environ.get(name):
            return environ[name]
        assert kind == ":-", f"{name} is required: {rest}"
        return str(rest)

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", one, value)


def services(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(file)["services"]
    return found


def environment(*files: Path, **environ: str) -> dict[str, str]:
    """The environment of the `wyoming` container with these files merged; the last one wins."""
    merged: dict[str, str] = {}
    for file in files:
        merged |= services(file)["wyoming"]["environment"]
    return {name: resolved(value, environ) for name, value in merged.items()}


def settings(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of `open-speech wyoming` in that environment alone."""
    monkeypatch.setattr(os, "environ", environ)
    given = dict(wyoming.command.make_context("wyoming", []).params)
    return wyoming.settings_of(wyoming.options_of(given), given["tts_speed"])


def named(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def test_there_is_a_file_for_each_server() -> None:
    assert [file.stem for file in FILES] == ["kokoro-fastapi", "localai", "openai", "speaches"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_variable_is_a_setting_or_an_option_of_the_command(file: Path) -> None:
    service = services(file)["wyoming"]
    assert service["command"] == ["wyoming"]
    assert set(service["environment"]) <= OURS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_command_takes_its_environment_and_asks_the_server_beside_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = environment(file, **KEYS)
    found = settings(environ, monkeypatch)
    urls = {task: getattr(found, f"{task}_upstream_url") for task in ("stt", "tts") if getattr(found, f"{task}_backends")}
    assert list(urls) == (["tts"] if file.stem == "kokoro-fastapi" else ["stt", "tts"])
    for url in urls.values():
        host = urlsplit(url).hostname
        assert host == "api.openai.com" if file.stem == "openai" else host in services(file)
    assert {found.stt_upstream_dialect, found.tts_upstream_dialect} - {"auto"} == {file.stem}


def test_one_file_on_another_decides_where_speech_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(environment(named("speaches"), named("kokoro-fastapi")), monkeypatch)
    assert (found.stt_upstream_url, found.tts_upstream_url) == ("http://speaches:8000/v1", "http://kokoro:8880/v1")
    assert (found.stt_upstream_models, found.tts_upstream_models) == (("Systran/faster-whisper-small",), ("kokoro",))


def test_the_keys_of_openai_are_required_and_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="STT_OPENAI_KEY is required"):
        environment(named("openai"))
    found = settings(environment(named("openai"), **KEYS), monkeypatch)
    assert (found.stt_upstream_api_key, found.tts_upstream_api_key) == ("one", "two")


def test_speaches_downloads_the_models_that_are_asked_of_it() -> None:
    preloaded = json.loads(resolved(services(named("speaches"))["speaches"]["environment"]["PRELOAD_MODELS"], {}))
    environ = environment(named("speaches"))
    assert preloaded == [environ["STT_MODELS"], environ["TTS_MODELS"]]


def test_localai_installs_the_models_that_are_asked_of_it() -> None:
    environ = environment(named("localai"))
    assert services(named("localai"))["localai"]["command"] == [environ["STT_MODELS"], environ["TTS_MODELS"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_wyoming_is_open_to_this_machine_alone_and_can_do_no_more_than_it_needs(file: Path) -> None:
    service = services(file)["wyoming"]
    port = urlsplit(environment(file, **KEYS)["WYOMING_URI"]).port
    assert [resolved(each, {}) for each in service["ports"]] == [f"127.0.0.1:{port}:{port}"]
    assert service["healthcheck"]["test"] == ["CMD", "healthcheck", f"tcp://127.0.0.1:{port}"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    volumes = {volume.partition(":")[0] for each in services(file).values() for volume in each.get("volumes", ())}
    assert volumes == set(read(file)["volumes"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_wyoming_waits_until_the_server_beside_it_is_healthy(file: Path) -> None:
    beside = set(services(file)) - {"wyoming"}
    assert services(file)["wyoming"].get("depends_on", {}) == {name: {"condition": "service_healthy"} for name in beside}
    assert all("healthcheck" in services(file)[name] for name in beside)


def module(*arguments: str, path: tuple[Path, ...] = (PACKAGE,), **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m wyoming_openai` as a service file does."""
    root = FOLDER.parent.parent
    command = [sys.executable, "-m", "wyoming_openai", *arguments]
    variables = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(map(str, (*path, root)))} | environ
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_module_of_wyoming_openai_is_our_command() -> None:
    shown = module("--help")
    assert shown.returncode == 0
    assert "--tts-streaming-max-chars" in shown.stdout
    wrong = module("--stt-backend", "MYSELF")
    assert (wrong.returncode, "--stt-backend" in wrong.stderr) == (2, True)
    assert "STT_UPSTREAM_URL" in module(STT_OPENAI_URL="ftp://x", WYOMING_URI="stdio://").stderr


def test_the_module_refuses_to_be_mixed_with_the_package_of_that_name(tmp_path: Path) -> None:
    there = tmp_path / "wyoming_openai-0.8.0.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: wyoming-openai\nVersion: 0.8.0\n")
    refused = module("--help", path=(PACKAGE, tmp_path))
    assert refused.returncode == 2
    assert "pip uninstall wyoming-openai open-speech-wyoming-openai" in refused.stderr
