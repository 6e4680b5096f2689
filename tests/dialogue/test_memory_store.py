"""Sessions on disk: private files that are replaced as a whole, and damaged ones that are forgotten."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from open_speech.dialogue.memory import Conversation, SessionKey, Turn
from open_speech.dialogue.memory_store import FILE_BYTES, MemoryStore

KEY = SessionKey("name:ann", "../kitchen\n")
TALK = Conversation((Turn("Hello", "Hi \u2603", 4), Turn("\ud800", "What?", 2)), 12.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dialogues"


def test_a_session_is_read_back(folder: Path) -> None:
    MemoryStore(folder).write(KEY, TALK)
    assert MemoryStore(folder).read() == {KEY: TALK}


def test_a_folder_that_is_not_there_has_no_sessions(folder: Path) -> None:
    assert MemoryStore(folder).read() == {}


def test_files_are_private_and_named_by_a_digest(folder: Path) -> None:
    MemoryStore(folder).write(KEY, TALK)
    (path,) = folder.iterdir()
    assert path.name == f"{KEY.digest}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_session_is_replaced_and_deleted(folder: Path) -> None:
    store = MemoryStore(folder)
    store.write(KEY, TALK)
    store.write(KEY, Conversation((), 13.0))
    assert store.read() == {KEY: Conversation((), 13.0)}
    store.delete(KEY)
    store.delete(KEY)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version": 2}', b"[" * 100_000,
        json.dumps({"version": 1, "owner": "", "id": "x", "used_at": 1, "turns": [{"user": 1, "assistant": "", "tokens": 1}]}).encode(),
        json.dumps({"version": 1, "owner": "", "id": "x", "used_at": 1, "turns": []}).encode(),
        b" " * (FILE_BYTES + 1),
    ],
    ids=["empty", "cut", "list", "null", "no text", "version", "deep", "type", "another name", "large"],
)  # fmt: skip
def test_a_damaged_file_is_logged_and_forgotten(folder: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(folder)
    store.write(KEY, TALK)
    damaged = folder / f"{'0' * 64}.json"
    damaged.write_bytes(content)
    damaged.chmod(0o600)
    assert store.read() == {KEY: TALK}
    assert not damaged.exists()
    assert "damaged" in caplog.text
    assert "Hello" not in caplog.text


def test_what_an_interrupted_write_left_is_deleted(folder: Path) -> None:
    store = MemoryStore(folder)
    store.write(KEY, TALK)
    (folder / f"{KEY.digest}.part").write_bytes(b"{")
    assert store.read() == {KEY: TALK}
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    MemoryStore(folder).read()
    (folder / f"{KEY.digest}.json").symlink_to(other)
    assert MemoryStore(folder).read() == {}
    assert other.exists()
