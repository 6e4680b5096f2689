"""Which file the speech detector is: that of an installed package by its hash, without an import of the package."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech.codecs import decode
from open_speech.recognition.vad import VAD_RATE, SpeechModel
from open_speech.weights import Store
from runners import catalog
from runners.wiring.speech_detector import detector_file

PACKAGED, DEFAULT = catalog.speech_detectors()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, bytes], Path]:
    """Lay a package with one file on the path of Python, before the installed one; its import raises."""

    def lay(package: str, path: str, content: bytes) -> Path:
        file = tmp_path / "site" / package / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        (tmp_path / "site" / package / "__init__.py").write_text("raise ImportError('it must not be imported')\n", encoding="utf-8")
        monkeypatch.delitem(sys.modules, package, raising=False)  # another test may have imported the installed one
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.delitem(sys.modules, package, raising=False)  # another test may have imported the real one
        return file

    return lay


def test_another_network_in_silero_vad_is_not_used_and_logged(
    install: Callable[[str, str, bytes], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = install("silero_vad", f"data/{PACKAGED.files[0].path}", b"another network")
    default = install("faster_whisper", f"assets/{DEFAULT.files[0].path}", b"the default")
    with caplog.at_level(logging.WARNING):
        assert detector_file(Store(tmp_path / "models", offline=True)) == default
    assert f"{file} is not used: its SHA-256 is not {PACKAGED.files[0].sha256}" in caplog.text


def test_a_release_of_silero_vad_without_the_file_is_no_fault(
    install: Callable[[str, str, bytes], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("silero_vad", "data/other.onnx", b"")
    default = install("faster_whisper", f"assets/{DEFAULT.files[0].path}", b"the default")
    assert detector_file(Store(tmp_path / "models", offline=True)) == default
    assert caplog.text == ""


@pytest.mark.weights
def test_the_file_of_silero_vad_precedes_and_finds_speech_in_nearly_the_same_frames(
    install: Callable[[str, str, bytes], Path], weights_root: Path, speech_clips: dict[str, Path]
) -> None:
    """The file is taken out of the wheel of silero-vad, which is not installed: it would bring torch.

    It is a later training of the network than that of faster-whisper: of 1387 frames, 37 are on the other side of 0.5.
    """
    store = Store(weights_root)
    content = (store.pull(PACKAGED) / PACKAGED.files[0].path).read_bytes()
    file = install("silero_vad", f"data/{PACKAGED.files[0].path}", content)
    assert detector_file(store) == file
    other = SpeechModel(store.pull(DEFAULT) / DEFAULT.files[0].path)
    samples = decode(speech_clips["two_cities"], VAD_RATE, max_seconds=60).samples
    found, expected = (model.stream().feed(samples, last=True) for model in (SpeechModel(file), other))
    assert ((found > 0.5) == (expected > 0.5)).mean() > 0.95
    assert 0.6 < (found > 0.5).mean() < 0.95
