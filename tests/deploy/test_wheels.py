"""Wheels for Linux on arm64: what deploy/test/wheels.py makes of uv's answers, and the answers themselves where uv is installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.manifests import read

ROOT = Path(__file__).parent.parent.parent
LOCK = """
lock-version = "1.0"

[[packages]]
name = "numpy"
version = "2.4.6"
sdist = { url = "https://files.example/numpy-2.4.6.tar.gz" }
wheels = [{ url = "https://files.example/numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl" }]

[[packages]]
name = "srt"
version = "3.5.3"
sdist = { url = "https://files.example/srt-3.5.3.tar.gz" }

[[packages]]
name = "colorama"
version = "0.4.6"
wheels = []
"""


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("open_speech_wheels", ROOT / "deploy/test/wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wheels = _script()


def test_a_package_without_a_wheel_for_the_platform_is_found() -> None:
    assert wheels.without_wheel(LOCK) == {"srt": "3.5.3", "colorama": "0.4.6"}
    assert wheels.without_wheel('lock-version = "1.0"') == {}


def test_every_extra_that_can_be_installed_is_checked() -> None:
    found = wheels.extras()
    assert {"embedded", "all", "webrtc", "diarize", "kokoro-ja"} <= set(found)
    assert not {"qwen", "dev"} & set(found)


def test_the_images_are_for_the_python_that_is_checked() -> None:
    assert read(ROOT / "bentofile.yaml")["docker"]["python_version"] == wheels.PYTHON
    assert not wheels.SOURCE & wheels.COMPILED


@pytest.fixture(scope="module")
def package_index() -> None:
    """Skip if uv cannot resolve packages here at all: the control is the base install on the most common platform."""
    if shutil.which("uv") is None and importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed: `make constraints` installs it")
    try:
        wheels.locked("", "x86_64-manylinux_2_28")
    except (RuntimeError, subprocess.TimeoutExpired):
        pytest.skip("uv cannot resolve the base install on x86-64 either: it reaches no package index")


@pytest.mark.weights  # of the tier that has a network
@pytest.mark.usefixtures("package_index")
@pytest.mark.parametrize("extra", ["", "all", "webrtc", "kokoro-torch"])
def test_an_extra_is_installed_from_wheels_on_arm64(extra: str) -> None:
    assert set(wheels.without_wheel(wheels.locked(extra))) <= wheels.SOURCE
