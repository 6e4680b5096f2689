from pathlib import Path

import numpy as np
import pytest

from open_speech.errors import WeightsCorrupt
from runners import kokoro_torch
from runners.host.device import has_cuda
from runners.kokoro import VOICE_SHAPE
from runners.support import kokoro_config


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the real shape, written by the library's own class: what the hub's file is, but for its values."""
    torch = pytest.importorskip("torch", reason="needs open-speech[kokoro-torch]")
    kokoro = pytest.importorskip("kokoro.model", reason="needs open-speech[kokoro-torch]")
    from transformers import AlbertConfig

    config = kokoro_config.config()
    torch.manual_seed(1)
    parts = {
        "bert": kokoro.CustomAlbert(AlbertConfig(vocab_size=config["n_token"], **config["plbert"])),
        "bert_encoder": torch.nn.Linear(config["plbert"]["hidden_size"], config["hidden_dim"]),
        "predictor": kokoro.ProsodyPredictor(
            style_dim=config["style_dim"],
            d_hid=config["hidden_dim"],
            nlayers=config["n_layer"],
            max_dur=config["max_dur"],
            dropout=config["dropout"],
        ),
        "text_encoder": kokoro.TextEncoder(
            channels=config["hidden_dim"],
            kernel_size=config["text_encoder_kernel_size"],
            depth=config["n_layer"],
            n_symbols=config["n_token"],
        ),
        "decoder": kokoro.Decoder(
            dim_in=config["hidden_dim"], style_dim=config["style_dim"], dim_out=config["n_mels"], **config["istftnet"]
        ),
    }
    path = tmp_path_factory.mktemp("kokoro") / kokoro_torch.WEIGHTS
    torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    return path


@pytest.mark.parametrize("asked", ["auto", "cpu", "cuda"])
def test_without_the_original_weights_no_gpu_is_used(tmp_path: Path, asked: str) -> None:
    assert kokoro_torch.gpu_for(asked, tmp_path) is None


def test_the_cpu_is_used_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / kokoro_torch.WEIGHTS).touch()
    assert kokoro_torch.gpu_for("cpu", tmp_path) is None


def test_a_checkpoint_speaks_phonemes_as_samples(checkpoint: Path) -> None:
    model = kokoro_torch.TorchModel(checkpoint, "cpu")
    style = np.random.default_rng(1).normal(0, 0.1, VOICE_SHAPE).astype(np.float32)
    spoken = "həlˈO, wˈɜɹld. "
    plain, fast = model.speak(spoken, style, 1.0), model.speak(spoken, style, 2.0)
    assert plain.dtype == np.float32
    assert plain.ndim == 1
    assert np.isfinite(plain).all()
    assert 0 < len(fast) < len(plain)


@pytest.mark.parametrize("content", [b"", b"not weights", bytes(100)])
def test_a_broken_checkpoint_is_named(checkpoint: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / kokoro_torch.WEIGHTS
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt, match=kokoro_torch.WEIGHTS):
        kokoro_torch.TorchModel(path, "cpu")


@pytest.mark.gpu
def test_on_a_gpu_the_samples_come_back_to_memory(checkpoint: Path) -> None:
    if not has_cuda():
        pytest.skip("needs a CUDA device")
    model = kokoro_torch.TorchModel(checkpoint, "cuda")
    assert np.isfinite(model.speak("həlˈO.", np.zeros(VOICE_SHAPE, np.float32), 1.0)).all()
