"""Packages with a backend, written into a folder as pip installs them: modules beside a `*.dist-info` with the entry points."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from open_speech.config import PREFIXES
from open_speech.plugins import GROUP
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
ESPEAK = ROOT / "examples/backend-espeak"

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed: apt-get install espeak-ng")

ROWS = """
from open_speech.backends import BackendEntry, ModelEntry, Task, Voice
from open_speech.plugins import Plugin

PLUGIN = Plugin(
    BackendEntry("{name}", Task.TTS, "{module}.runner:Speaker", (), "", "MIT"),
    (
        ModelEntry(
            "{model}", "{name}", Task.TTS, "MIT", ("en",), "A tone.", (Voice("beep", "en-US"),), "beep", 24_000,
        ),
    ),
)
"""
RUNNER = """
from runners.tones import TonesSynthesizer
from runners.wiring.bento_service import Resources, tts_service

class Speaker(TonesSynthesizer):
    pass

Runner = tts_service("{name}", Speaker, Resources())
"""


def install(folder: Path, package: str, entry_points: Mapping[str, str], modules: Mapping[str, str], *, group: str = GROUP) -> None:
    """Write a package of version 1.0: its entry points (name -> value) of a group, and its modules (path -> code)."""
    for path, code in modules.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entry_points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def install_speaker(folder: Path, package: str, *, name: str, model: str, runner: str = RUNNER) -> None:
    """Write a package with one speaking backend, whose voice is `beep`; `runner` is the code of the module with its class."""
    module = package.replace("-", "_")
    values = {"name": name, "module": module, "model": model}
    modules = {f"{module}/__init__.py": ROWS.format(**values), f"{module}/runner.py": runner.format(**values)}
    install(folder, package, {name: f"{module}:PLUGIN"}, modules)


def install_broken(folder: Path, package: str, *, name: str) -> None:
    """Write a package whose module raises when it is imported."""
    module = package.replace("-", "_")
    install(folder, package, {name: f"{module}:PLUGIN"}, {f"{module}.py": 'raise OSError("libengine.so is missing")\n'})


def copy_example(folder: Path) -> None:
    """Lay examples/backend-espeak into a folder as pip would, with its entry points and without a build."""
    project = tomllib.loads((ESPEAK / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(folder, project["name"], project["entry-points"][GROUP], {})
    shutil.copytree(ESPEAK / "src/open_speech_espeak", folder / "open_speech_espeak", ignore=shutil.ignore_patterns("__pycache__"))


def pip_install(folder: Path, package: Path, scratch: Path) -> None:
    """Build a package and install it into a folder, without what it depends on; `scratch` is where its files are copied to."""
    source = scratch / package.name
    shutil.copytree(package, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", folder, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr


def found_in(folder: Path) -> list[importlib.metadata.EntryPoint]:
    """List the entry points of the packages in a folder, which must be on the path of Python for them to be imported."""
    points = [point for package in importlib.metadata.distributions(path=[str(folder)]) for point in package.entry_points]
    return [point for point in points if point.group == GROUP]


def python(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages in a folder, with these settings and no others."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "OS_OFFLINE": "true"} | settings
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
