"""What each process of the server imports: start time and memory are paid by every process, so each imports only what it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runners.host.own_service import AWAKE_SUFFIX, ON_DEMAND, VARIABLE, fall_asleep, own_service
from tests.test_layout import MODEL_PACKAGES, ROOT
from tests.waiting import PATIENCE_S

FRONT_ONLY = (
    "fastapi", "jwt", "cryptography", "huggingface_hub", "prometheus_client", "open_speech.app", "open_speech.api", "open_speech.dialogue",
    "open_speech.engine", "open_speech.http.middleware", "open_speech.metrics", "open_speech.recognition", "open_speech.synthesis",
    "open_speech.voices", "open_speech.webrtc", "runners.wiring.engine", "runners.wiring.factories", "runners.wiring.front",
)  # fmt: skip
"""What belongs to the front, to HTTPS or to downloads."""


def loaded(service: str, code: str = "import service", **settings: str) -> set[str]:
    """Return the modules in a process after the import that BentoML makes in it; `service` is empty for the supervisor."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STT_", "TTS_", "LLM_"))}
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted(sys.modules))"],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=PATIENCE_S, env=kept | {VARIABLE: service} | settings,
    )  # fmt: skip
    return set(shown.stdout.split())


def under(modules: set[str], names: tuple[str, ...]) -> list[str]:
    """List the modules that are one of these packages, or in it."""
    return sorted(module for module in modules if f"{module}.".startswith(tuple(f"{name}." for name in names)))


def backends(modules: set[str]) -> set[str]:
    """Return the modules of backends."""
    return {module for module in modules if module.startswith("runners.") and (ROOT / f"{module.replace('.', '/')}.py").is_file()} - {
        module for module in modules if module.startswith(("runners.catalog", "runners.host", "runners.support", "runners.wiring"))
    }


@pytest.mark.parametrize("service", ["tones_stt", "tones_tts", "faster_whisper", "kokoro", "piper"])
def test_a_runner_imports_neither_the_front_nor_another_runner(service: str) -> None:
    tones = service.startswith("tones")
    placed = {"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts"} if tones else {}
    modules = loaded(service, **placed)
    assert under(modules, FRONT_ONLY) == []
    assert {name.partition("_torch")[0] for name in backends(modules)} == {"runners.tones" if tones else f"runners.{service}"}
    assert not modules & MODEL_PACKAGES


@pytest.mark.parametrize("wyoming", ["false", "true"])
def test_the_supervisor_imports_no_engine(wyoming: str) -> None:
    modules = loaded("", OS_WYOMING_ENABLED=wyoming)
    checked = {name for name in modules if name.startswith("open_speech.api")}
    assert set(under(modules, FRONT_ONLY)) <= checked
    addresses = {f"open_speech.api{name}" for name in ("", ".wyoming", ".wyoming.access", ".wyoming.address")}
    assert checked == (addresses if wyoming == "true" else set())


def test_the_front_imports_no_model_package() -> None:
    modules = loaded("open_speech", "import service; service.OpenSpeech.mount_front()")
    assert "open_speech.app" in modules
    assert not modules & MODEL_PACKAGES


def test_only_the_supervisor_has_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "kokoro")
    assert own_service() == "kokoro"
    monkeypatch.delenv(VARIABLE)
    assert own_service() == ""


def test_a_runner_that_ends_by_itself_is_asleep_before_it_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    awake = tmp_path / f"kokoro.sock{AWAKE_SUFFIX}"
    awake.touch()
    monkeypatch.setenv(ON_DEMAND, "1")
    fall_asleep()  # a process that is not a runner
    monkeypatch.delenv(ON_DEMAND)
    fall_asleep()
    assert awake.exists()
    monkeypatch.setenv(ON_DEMAND, str(awake))
    fall_asleep()
    assert not awake.exists()
    fall_asleep()
