from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.errors import UnknownModel, WeightsUnavailable
from open_speech.model_files import WeightFile
from open_speech.registry import Defaults, Registry
from open_speech.weights import Progress, Store
from runners.host.weights import Files
from tests.waiting import PATIENCE_S

OURS = BackendEntry("ours", Task.STT, "x:X", (), "", "MIT", open_ended=True)
THEIRS = BackendEntry("theirs", Task.TTS, "x:X", (), "", "MIT")


def model(name: str, *paths: str, backend: str = "ours", parts: tuple[ModelEntry, ...] = ()) -> ModelEntry:
    task = OURS.task if backend == "ours" else THEIRS.task
    return ModelEntry(name, backend, task, "MIT", ("en",), files=tuple(WeightFile(path) for path in paths), parts=parts)


MODELS = [
    model("plain", "a.bin"),
    model("missing", "b.bin"),
    model("free"),
    model("whole", parts=(model("whole/one", "1.bin"), model("whole/two", "2.bin"))),
    model("half", parts=(model("half/one", "1.bin"), model("half/two", "2.bin"))),
    model("other", "c.bin", backend="theirs"),
]


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    """Put a model's files into the models folder, as a user does by hand."""

    def put(entry: ModelEntry, content: bytes = b"12345") -> None:
        folder = tmp_path / entry.id
        folder.mkdir(parents=True, exist_ok=True)
        for file in entry.files:
            (folder / file.path).write_bytes(content)
        Store(tmp_path, offline=True).pull(entry)

    return put


def files(folder: Path) -> Files:
    registry = Registry([OURS, THEIRS], MODELS, {"ours": "process"}, Defaults("", "", ""))
    return Files(registry, Store(folder, offline=True))


def test_what_is_here_in_whole_is_told_with_its_bytes(tmp_path: Path, put: Callable[..., None]) -> None:
    for entry in (MODELS[0], *MODELS[3].parts, MODELS[4].parts[0], MODELS[5]):
        put(entry)
    assert files(tmp_path).kept() == {"plain": 5, "free": 0, "whole": 10}


def test_a_repository_that_the_catalog_does_not_list_is_told_too(tmp_path: Path, put: Callable[..., None]) -> None:
    put(model("acme/whisper", "model.bin"))
    assert files(tmp_path).kept()["acme/whisper"] == 5


def test_removing_gives_the_bytes_of_all_parts(tmp_path: Path, put: Callable[..., None]) -> None:
    for part in MODELS[3].parts:
        put(part)
    ours = files(tmp_path)
    assert asyncio.run(ours.remove("whole")) >= 10
    assert "whole" not in ours.kept()
    assert asyncio.run(ours.remove("whole")) == 0


def test_a_pull_of_what_is_here_ends_at_once(tmp_path: Path, put: Callable[..., None]) -> None:
    put(MODELS[0])

    async def pull() -> int:
        return len([None async for _ in files(tmp_path).pull("plain", heartbeat_s=1)])

    assert asyncio.run(asyncio.wait_for(pull(), 5)) == 0


@pytest.mark.parametrize(("name", "error"), [("missing", WeightsUnavailable), ("nothing", UnknownModel)])
def test_a_pull_raises_what_is_wrong(tmp_path: Path, name: str, error: type[Exception]) -> None:
    async def pull() -> None:
        async for _ in files(tmp_path).pull(name, heartbeat_s=1):
            pass

    with pytest.raises(error):
        asyncio.run(pull())


class SlowStore(Store):
    """A store whose fetches take until they are let, and tell their progress all the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, offline=True)
        self.gate = threading.Event()
        self.ended = threading.Event()

    def pull(self, model: ModelEntry, on_progress: Callable[[Progress], None] | None = None) -> Path:
        assert on_progress is not None
        try:
            while not self.gate.wait(0.01):
                on_progress(Progress(model.id, "a.bin", 1, 2, "hub", "downloading"))
        finally:
            self.ended.set()
        return Path()


def test_closing_a_pull_ends_the_fetch(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    ours = Files(Registry([OURS], MODELS, {"ours": "process"}, Defaults("", "", "")), store)

    async def leave() -> dict[str, object]:
        async with aclosing(ours.pull("plain", heartbeat_s=0.05)) as beats:
            await anext(beats)
            seen = dict(ours.progress["plain"])
        return seen

    assert asyncio.run(leave())["state"] == "downloading"
    assert store.ended.wait(PATIENCE_S)
    assert ours.progress == {}


def test_who_waits_for_a_fetch_does_not_hide_how_far_it_is(tmp_path: Path) -> None:
    class Waiting(Store):
        def pull(self, model: ModelEntry, on_progress: Callable[[Progress], None] | None = None) -> Path:
            assert on_progress is not None
            for state in ("downloading", "waiting"):
                on_progress(Progress(model.id, "a.bin", 1, 2, "hub", state))  # type: ignore[arg-type]
                seen.append(ours.progress[model.id]["state"])
            return Path()

    seen: list[str] = []
    ours = Files(Registry([OURS], MODELS, {"ours": "process"}, Defaults("", "", "")), Waiting(tmp_path))
    ours.bring(MODELS[0])
    assert seen == ["downloading", "downloading"]
