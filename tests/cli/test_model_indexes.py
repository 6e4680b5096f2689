"""`open-speech models search`, `add`, `indexes`, `remove-index`, and what list, show and doctor report about added models."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from open_speech import config
from open_speech.app import create_app
from open_speech.config import PREFIXES
from open_speech.testing.clips import BECKETT
from open_speech.testing.words import ALLOWED_ERRORS, word_errors
from runners.wiring.engine import local_engine
from tests.cli.conftest import Run
from tests.file_server import serve_files
from tests.model_indexes.indexes import toml
from tests.waiting import PATIENCE_S

WEIGHTS = b"the weights of a voice"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """An index with one model on the tones backend whose file is on the same server: the URL and its SHA-256."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "beep.bin").write_bytes(WEIGHTS)
    with serve_files(folder) as url:
        row = {
            "id": "acme/beep", "backend": "tones-tts", "task": "text-to-speech", "licence": "CC0-1.0", "languages": ["de"],
            "description": "A voice that beeps.", "sample_rate": 24000, "default_voice": "tone",
            "voice": [{"id": "tone", "language": "de-DE"}],
            "file": [{"path": "beep.bin", "sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}],
            "source": [{"urls": {"beep.bin": f"{url}/beep.bin"}}],
        }  # fmt: skip
        content = toml({"format": 1, "name": "acme", "revision": 1, "model": [row]})
        (folder / "index.toml").write_bytes(content)
        yield f"{url}/index.toml", hashlib.sha256(content).hexdigest()


@pytest.fixture
def cli(tones: dict[str, str | None]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own, online."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
    environ |= {name: value for name, value in tones.items() if value is not None} | {"PYTHONPATH": str(ROOT), "OS_OFFLINE": "false"}

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "open_speech.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    return run


def test_a_model_of_an_index_is_added_found_listed_pulled_and_used(
    cli: Callable[..., subprocess.CompletedProcess[str]], web: tuple[str, str], tones: dict[str, str | None], tmp_path: Path
) -> None:
    url, pin = web
    added = cli("models", "add", f"{url}#sha256={pin}", "--allow-private")
    assert added.stdout == "acme/beep\n"
    found = cli("models", "search", "BEEP", "german").stdout
    assert found == "acme/beep\ttext-to-speech\ttones-tts\tde\tCC0-1.0\tindex acme\tA voice that beeps.\n"
    assert "acme/beep\ttext-to-speech\ttones-tts\t0.0 MB\tnot downloaded\tCC0-1.0\n" in cli("models", "list").stdout
    assert cli("models", "pull", "acme/beep").stdout == f"acme/beep\t{tmp_path / 'models/acme/beep'}\n"
    assert (tmp_path / "models/acme/beep/beep.bin").read_bytes() == WEIGHTS

    settings = config.load({name: value for name, value in tones.items() if value is not None} | {"STT_VAD_ENABLED": "false"})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        listed = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
        assert listed["acme/beep"]["owned_by"] == "acme"
        request = {"model": "acme/beep", "input": "Hello there world.", "voice": "tone", "response_format": "wav"}
        speech = client.post("/v1/audio/speech", json=request)
        assert speech.status_code == 200, speech.text
        heard = client.post("/v1/audio/transcriptions", data={"model": "tones/listen"}, files={"file": ("a.wav", speech.content)})
        assert heard.json()["text"] == "Hello there world."


@pytest.mark.weights
def test_a_copy_of_a_model_under_another_name_transcribes(
    run: Run, model_folder: Callable[[str], Path], speech_clips: dict[str, Path], tones: dict[str, str | None], tmp_path: Path
) -> None:
    """Moonshine's files, hosted on loopback: the row is all that the server knows about the model."""
    files = sorted(path for path in model_folder("moonshine/tiny").iterdir() if not path.name.startswith("."))
    row = {
        "id": "acme/moon", "backend": "moonshine", "task": "speech-to-text", "licence": "MIT", "languages": ["en"], "description": "Copy.",
        "file": [
            {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size} for path in files
        ],
    }  # fmt: skip
    with serve_files(files[0].parent) as url:
        content = toml(
            {
                "format": 1,
                "name": "acme",
                "revision": 1,
                "model": [{**row, "source": [{"urls": {path.name: f"{url}/{path.name}" for path in files}}]}],
            }
        )
        (tmp_path / "index.toml").write_bytes(content)
        pin = hashlib.sha256(content).hexdigest()
        assert run("models", "add", f"{tmp_path / 'index.toml'}#sha256={pin}", "--allow-private").stdout == "acme/moon\n"
        pulled = run("models", "pull", "acme/moon", OS_OFFLINE="0")
        assert pulled.exit_code == 0, pulled.stderr
    known = {name: value for name, value in tones.items() if value is not None}
    settings = config.load(known | {"STT_BACKENDS": "moonshine", "STT_MODEL": "acme/moon"})
    with TestClient(create_app(settings, local_engine(settings))) as client:
        request = {"model": "acme/moon", "response_format": "text"}
        heard = client.post("/v1/audio/transcriptions", data=request, files={"file": speech_clips["beckett"].read_bytes()})
        assert heard.status_code == 200, heard.text
        assert word_errors(BECKETT, heard.text) <= ALLOWED_ERRORS, heard.text


def test_an_index_without_a_pin_is_checked_and_its_pin_is_printed(run: Run, web: tuple[str, str], tmp_path: Path) -> None:
    index = tmp_path / "web/index.toml"
    refused = run("models", "add", str(index), "--allow-private")
    assert refused.exit_code == 1
    assert f"open-speech models add '{index}#sha256={web[1]}' --allow-private" in refused.stderr
    assert run("models", "indexes").stdout == ""


def test_a_removed_index_takes_its_models_with_it(run: Run, web: tuple[str, str], tmp_path: Path) -> None:
    assert run("models", "add", str(tmp_path / "web/index.toml"), "--sha256", web[1], "--allow-private").exit_code == 0
    assert "acme/beep" in run("models", "list").stdout
    assert run("models", "remove-index", "acme").stdout == "acme: removed\n"
    assert "acme/beep" not in run("models", "list").stdout
    assert run("models", "indexes").stdout == ""


def test_doctor_and_show_report_where_a_model_is_from(run: Run, web: tuple[str, str], tmp_path: Path) -> None:
    index = tmp_path / "web/index.toml"
    assert run("models", "add", str(index), "--sha256", web[1], "--allow-private").exit_code == 0
    origin = f"{index}, revision 1, SHA-256 {web[1]}"
    assert f"ok\tmodel index acme\t{origin}: acme/beep\n" in run("doctor").stdout
    assert "from\tindex acme\n" in run("models", "show", "acme/beep").stdout
    assert "from\tOpen Speech\n" in run("models", "show", "tones/speak").stdout
    assert run("models", "indexes").stdout == f"acme\t1\t1\t{index}\t{web[1]}\t\n"


def test_a_changed_copy_is_reported_by_doctor_and_the_rest_goes_on(run: Run, web: tuple[str, str], tmp_path: Path) -> None:
    assert run("models", "add", str(tmp_path / "web/index.toml"), "--sha256", web[1], "--allow-private").exit_code == 0
    (stored,) = (tmp_path / "models/.indexes/acme").glob("*.toml")
    stored.write_bytes(stored.read_bytes() + b"\n")
    line = "warning\tmodel index acme\tits stored content does not have the accepted SHA-256: add the index again\n"
    assert line in run("doctor").stdout
    assert "acme/beep" not in run("models", "list").stdout


def test_a_row_of_a_backend_that_is_not_installed_is_reported_at_once(run: Run, tmp_path: Path) -> None:
    row = {"id": "acme/hear", "backend": "qwen", "task": "text-to-speech", "licence": "MIT", "languages": ["en"], "description": "Q."}
    file = {"path": "a.bin", "sha256": "a" * 64, "size": 1}
    row |= {
        "sample_rate": 24000,
        "default_voice": "a",
        "voice": [{"id": "a", "language": "en"}],
        "file": [file],
        "source": [{"hub": "a/b"}],
    }
    content = toml({"format": 1, "name": "acme", "revision": 1, "model": [row]})
    (tmp_path / "index.toml").write_bytes(content)
    added = run("models", "add", str(tmp_path / "index.toml"), "--sha256", hashlib.sha256(content).hexdigest())
    assert (added.exit_code, added.stdout) == (0, "")
    assert "the model `acme/hear`: its backend `qwen` is not installed: make runner NAME=qwen" in added.stderr
    assert "acme/hear" not in run("models", "list").stdout


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["piper", "joe"], "piper/en_US-joe-medium"),
        (["en_us-JOE-medium"], "piper/en_US-joe-medium"),
        (["japanese", "af_heart"], "kokoro"),
        (["ja", "text-to-speech", "af_heart"], "kokoro"),
    ],
)
def test_search_finds_models_by_all_words(run: Run, words: list[str], model: str) -> None:
    lines = run("models", "search", *words).stdout.splitlines()
    assert model in [line.split("\t")[0] for line in lines]


def test_search_without_a_match_fails(run: Run) -> None:
    result = run("models", "search", "piper", "klingon")
    assert (result.exit_code, result.stderr) == (1, "Error: No model has all of these words: piper klingon\n")


def test_an_index_that_is_not_there_is_not_removed(run: Run) -> None:
    result = run("models", "remove-index", "acme")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: name: There is no model index `acme`.")
