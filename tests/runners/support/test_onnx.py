from pathlib import Path

import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from runners.support.onnx import cpu_session

pytest.importorskip("onnxruntime", reason="needs open-speech[kokoro] or open-speech[piper]")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"model\.onnx"):
        cpu_session(tmp_path / "model.onnx", 1)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000)])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=r"model\.onnx"):
        cpu_session(path, 1)
