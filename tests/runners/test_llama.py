"""llama.cpp: faults of files without weights, and the life of answers with Gemma 3 270M."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from open_speech import config
from open_speech.backends import ModelEntry, Setup
from open_speech.errors import (
    BackendFailed,
    ContextOverflow,
    InvalidValue,
    NotEnoughMemory,
    SpeechError,
    WeightsCorrupt,
    WeightsUnavailable,
)
from runners import catalog, llama
from runners.llama import Llama, default_threads
from runners.wiring.factories import host_options, local_files
from tests.gguf_files import ATTENTION, gguf, tensor
from tests.waiting import PATIENCE_S, until

pytest.importorskip("xllamacpp", reason="needs open-speech[llama]")

ROOT = Path(__file__).parents[2]
MODEL = next(model for model in catalog.own_models() if model.id == "gemma-3-270m")
F32 = 0
USER = {"role": "user", "content": "What is the capital of France?"}
ENDLESS = {"prompt": "Count: 1, 2, 3,", "max_tokens": 1500, "temperature": 0, "logit_bias": {"1": -100}}
"""A text that the model continues up to the limit: its end token is excluded."""


def setup(folder: Path, model: ModelEntry = MODEL, **environ: Any) -> Setup:
    settings = config.load({name: str(value) for name, value in environ.items()})
    return Setup(model, folder, device="cpu", threads=2, settings=host_options(settings, "llama").settings)


def fails(folder: Path, data: bytes | None, error: type[SpeechError], **environ: Any) -> str:
    if data is not None:
        (folder / "model.gguf").write_bytes(data)
    with pytest.raises(error) as failed:
        Llama(setup(folder, **environ)).load()
    assert type(failed.value) is error
    assert str(folder) not in str(failed.value), "clients must not see a path"
    return str(failed.value)


def test_no_file_is_an_error(tmp_path: Path) -> None:
    assert fails(tmp_path, None, WeightsUnavailable) == "The model `gemma-3-270m` has no GGUF file."


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    assert fails(tmp_path, b"<html>Not found</html>", WeightsCorrupt) == "The file `model.gguf` of the model is not a GGUF file."


def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    data = gguf(ATTENTION, [tensor("a", [1000], F32, 0)], data=4000)
    assert "is incomplete: it has" in fails(tmp_path, data[:-1], WeightsCorrupt)
    assert "is incomplete: it ends within its header" in fails(tmp_path, data[:40], WeightsCorrupt)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").mkdir()
    assert fails(tmp_path, None, WeightsUnavailable) == "The file `model.gguf` of the model cannot be read: Is a directory."


def test_an_unknown_architecture_is_an_error_with_llama_cpps_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = gguf({"general.architecture": ("str", "perceptron")})
    with caplog.at_level(logging.ERROR, logger="open_speech.runner"):
        message = fails(tmp_path, data, BackendFailed)
    assert message == "llama.cpp cannot load `model.gguf` (architecture `perceptron`): unknown model architecture: 'perceptron'."
    assert any("unknown model architecture: 'perceptron'" in line for line in caplog.messages)
    assert "perceptron" not in capfd.readouterr().err, "llama.cpp's own lines must not be on the standard error output"


def test_a_model_that_needs_more_memory_than_there_is_is_not_loaded(tmp_path: Path) -> None:
    data = gguf({**ATTENTION, "gemma3.block_count": ("u32", 4096)})
    message = fails(tmp_path, data, NotEnoughMemory, LLM_CONTEXT_SIZE=1_000_000, LLM_PARALLEL=64)
    assert message.startswith(
        "The model `gemma-3-270m` needs up to 256000000 MiB of memory (0 for the model, 256000000 for 64 conversations"
    )
    assert message.endswith("Choose a smaller model, or lower LLM_CONTEXT_SIZE or LLM_PARALLEL.")


def test_a_path_in_the_settings_is_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"no")
    settings = config.load({"LLM_MODEL": str(path)})
    (entry,) = local_files(settings)
    with pytest.raises(WeightsCorrupt, match="`mine.gguf`"):
        Llama(setup(tmp_path / "elsewhere", entry, LLM_MODEL=path)).load()
    with pytest.raises(WeightsUnavailable, match="`local/mine` has no GGUF file"):
        path.unlink()
        Llama(setup(tmp_path, entry, LLM_MODEL=path)).load()


def test_a_failed_load_leaves_no_folder_in_the_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "model").mkdir()
    fails(tmp_path / "model", gguf({"general.architecture": ("str", "perceptron")}), BackendFailed)
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(("available_mib", "cache_mib"), [(None, 300), (10_000, 300), (1000, 200), (600, 0), (100, 0)])
def test_the_prompt_cache_has_room_for_the_slots_and_leaves_half_of_the_memory(available_mib: int | None, cache_mib: int) -> None:
    mib = 1 << 20
    assert llama.prompt_cache_mib(300 * mib, 300 * mib, available_mib and available_mib * mib) == cache_mib


def test_the_installed_build_names_its_gpus() -> None:
    assert all(isinstance(name, str) for name in llama.gpus())


@pytest.fixture(scope="module")
def folder(model_folder: Callable[[str], Path]) -> Path:
    return model_folder("gemma-3-270m")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Iterator[Llama]:
    """The model with two slots."""
    made = Llama(setup(folder, LLM_PARALLEL=2, LLM_CONTEXT_SIZE=2048, LLM_BATCH_SIZE=256))
    made.load()
    yield made
    made.close()


def ask(backend: Llama, *messages: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Answer a conversation whose messages are by turns of the user and the assistant; return the text and the usage."""
    roles = ("user", "assistant")
    conversation = [{"role": roles[at % 2], "content": text} for at, text in enumerate(messages)]
    chunks = [chunk for chunk in backend.generate({"messages": conversation, "temperature": 0, "max_tokens": 8, **fields}) if chunk]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    return text, dict(chunks[-1]["usage"])


@pytest.mark.weights
def test_a_conversation_is_answered(loaded: Llama) -> None:
    text, usage = ask(loaded, "What is the capital of France?")
    assert "Paris" in text
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.weights
def test_a_text_is_continued(loaded: Llama) -> None:
    chunks = [chunk for chunk in loaded.generate({"prompt": "One, two, three,", "max_tokens": 4, "temperature": 0}) if chunk]
    assert "four" in "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completion_tokens"] == 4


@pytest.mark.weights
def test_no_port_is_opened_and_the_socket_is_private(folder: Path) -> None:
    code = f"""
import os
from pathlib import Path
from tests.runners.test_llama import Llama, setup
backend = Llama(setup(Path({str(folder)!r}), LLM_PARALLEL=1, LLM_CONTEXT_SIZE=512))
backend.load()
own = {{os.readlink(f"/proc/self/fd/{{name}}") for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{{name}}")}}
lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{{table}}").read_text().splitlines()[1:]]
ports = [line[1] for line in lines if line[3] == "0A" and f"socket:[{{line[9]}}]" in own]
print(ports, oct(backend.socket_folder.stat().st_mode & 0o777))
"""
    assert run(code) == "[] 0o700\n"


def metric(backend: Llama, name: str) -> float:
    """Return a metric of llama.cpp's own."""
    (server,) = backend._loaded
    (value,) = [line.split()[-1] for line in server.handle_metrics().splitlines() if line.startswith(f"llamacpp:{name} ")]
    return float(value)


def is_at_rest(backend: Llama) -> bool:
    return not metric(backend, "requests_processing") and not answer_threads()


def answer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "answer"]


@pytest.mark.weights
def test_a_reader_who_leaves_ends_the_answer_within_a_token(loaded: Llama) -> None:
    answer = loaded.generate(ENDLESS)
    seen = 0
    while seen < 5:
        seen += bool(next(answer))
    before = metric(loaded, "n_decode_total")
    answer.close()  # type: ignore[attr-defined]
    until(lambda: is_at_rest(loaded))
    assert metric(loaded, "n_decode_total") - before <= 5, "a few tokens may have been computed while the metrics were read"


@pytest.mark.weights
def test_a_reader_who_leaves_during_a_long_prompt_frees_the_slot_after_the_current_batch(loaded: Llama) -> None:
    request = {"prompt": " ".join(f"word{number}" for number in range(450)), "max_tokens": 1}
    progress = [chunk for chunk in loaded.generate(request) if not chunk]
    assert len(progress) > 5, "the prompt must have several batches"
    before = metric(loaded, "prompt_tokens_total")
    answer = loaded.generate({"prompt": "Again: " + str(request["prompt"]), "max_tokens": 1500})
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    until(lambda: is_at_rest(loaded))
    assert metric(loaded, "prompt_tokens_total") - before <= 2 * 256, "no further batch may have been computed"
    assert ask(loaded, "What is the capital of France?")[1]["completion_tokens"] <= 8


@pytest.mark.weights
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#/nowhere"}}}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "look", "parameters": "nonsense"}}]}, "tools"),
        ({"stop": ["x"] * 1000}, "stop"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": "broken"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
    ],
)
def test_a_broken_request_is_refused_by_name_and_others_are_answered(loaded: Llama, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        list(loaded.generate({"messages": [USER], "max_tokens": 4, **fields}))
    assert refused.value.param == param
    assert "Paris" in ask(loaded, "What is the capital of France?")[0]


@pytest.mark.weights
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000},
        {"type": "string", "pattern": "^(a{900}){900}$"},
        {"type": "string", "maxLength": 100_000_000},
    ],
)
def test_an_expensive_schema_neither_hangs_nor_breaks_the_model(loaded: Llama, schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    try:
        list(loaded.generate({"messages": [USER], "max_tokens": 4, "response_format": form}))
    except SpeechError as error:
        assert error.status < 500, error
    assert "Paris" in ask(loaded, "What is the capital of France?")[0]


@pytest.mark.weights
def test_a_tool_with_a_schema_of_an_unknown_type_breaks_nothing(loaded: Llama) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "nonsense"}}}]
    try:
        list(loaded.generate({"messages": [USER], "max_tokens": 4, "tools": tools, "tool_choice": "required"}))
    except SpeechError as error:
        assert (error.status, error.param) == (400, "tools")
    assert "Paris" in ask(loaded, "What is the capital of France?")[0]


@pytest.mark.weights
def test_an_answer_can_be_json(loaded: Llama) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert json.loads(ask(loaded, "What is the capital of France?", response_format=form, max_tokens=40)[0])["city"] in ("Paris", "Rome")


@pytest.mark.weights
def test_private_fields_of_llama_cpp_have_no_effect(loaded: Llama, tmp_path: Path) -> None:
    private = {"id_slot": 77, "n_predict": -1, "filename": str(tmp_path / "slot"), "grammar": "root ::= broken (", "cache_prompt": False}
    text, usage = ask(loaded, "What is the capital of France?", **private)
    assert "Paris" in text
    assert usage["completion_tokens"] <= 8
    assert list(tmp_path.iterdir()) == []


@pytest.mark.weights
def test_a_conversation_that_is_too_long_is_refused(loaded: Llama) -> None:
    with pytest.raises(ContextOverflow, match=r"LLM_CONTEXT_SIZE") as refused:
        ask(loaded, "word " * 3000)
    assert refused.value.param == "messages"


SYSTEM = "You are a helpful assistant. " * 20


@pytest.mark.weights
def test_the_next_turn_of_a_conversation_finds_its_prompt(loaded: Llama) -> None:
    first = f"{SYSTEM} What is the capital of France?"
    answer, before = ask(loaded, first)
    _, after = ask(loaded, first, answer, "And of Italy?")
    assert after["prompt_tokens_details"]["cached_tokens"] >= 0.9 * before["prompt_tokens"]


@pytest.mark.weights
def test_more_conversations_than_slots_find_their_prompts_by_turns(loaded: Llama) -> None:
    """Four conversations with two slots: the prompt of one that has no slot is in the prompt cache."""
    firsts = [f"{name}. {SYSTEM}{name} asks: what is the capital of France?" for name in ("Anna", "Berta", "Clara", "Doris")]
    with ThreadPoolExecutor(2) as pool:
        begun = list(pool.map(lambda first: ask(loaded, first), firsts))
        ended = list(pool.map(lambda pair: ask(loaded, pair[0], pair[1][0], "And of Italy?"), zip(firsts, begun, strict=True)))
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for _, usage in ended]
    asked = [usage["prompt_tokens"] for _, usage in begun]
    assert all(found >= 0.9 * whole for found, whole in zip(cached, asked, strict=True)), (cached, asked)


@pytest.mark.weights
def test_unloading_returns_the_memory_and_removes_the_socket(folder: Path) -> None:
    code = f"""
import gc, sys
from pathlib import Path
from runners.host.memory import give_back, resident_bytes
from tests.runners.test_llama import MODEL, Llama, ask, setup
import xllamacpp
before = resident_bytes()
backend = Llama(setup(Path({str(folder)!r}), LLM_PARALLEL=1, LLM_CONTEXT_SIZE=1024))
backend.load()
ask(backend, "Hello")
held, place = resident_bytes(), backend.socket_folder
del backend
give_back()
print(before >> 20, held >> 20, resident_bytes() >> 20, place.exists())
"""
    before, held, after, exists = run(code).split()
    assert int(held) - int(before) > 200, "the model must have been in memory"
    assert int(after) - int(before) < (int(held) - int(before)) / 4
    assert exists == "False"


@pytest.mark.weights
@pytest.mark.parametrize("thread", ["main", "daemon"])
def test_a_process_may_end_while_an_answer_is_in_progress(folder: Path, thread: str) -> None:
    code = f"""
import threading
from pathlib import Path
from tests.runners.test_llama import Llama, setup
backend = Llama(setup(Path({str(folder)!r}), LLM_PARALLEL=1, LLM_CONTEXT_SIZE=1024))
backend.load()
answer = backend.generate({{"prompt": "Count: 1, 2, 3,", "max_tokens": 900, "logit_bias": {{"1": -100}}}})
begun = threading.Event()
def read():
    for chunk in answer:
        if chunk:
            begun.set()
if {thread!r} == "daemon":
    threading.Thread(target=read, daemon=True).start()
    begun.wait()
else:
    while not next(answer):
        pass
print(backend.socket_folder)
"""
    assert not Path(run(code).strip()).exists()


def run(code: str) -> str:
    """Run Python code in a process of its own, which must end well and write nothing to its standard error output."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (8, 7)])
def test_a_core_is_left_for_speech(cores: int, expected: int) -> None:
    assert default_threads(cores) == expected
