from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from open_speech.audio import Audio
from open_speech.errors import StorageFailed
from open_speech.voices.record_store import Record, RecordStore


class Note(Record, frozen=True):
    text: str


@pytest.fixture
def shelf(tmp_path: Path) -> RecordStore[Note]:
    clock = itertools.count(1_700_000_000_000_000_000, 1_000_000_000)
    return RecordStore(tmp_path / "notes", Note, "note_", clock=lambda: next(clock))


def put(shelf: RecordStore[Note], text: str, sound: Audio) -> Note:
    name, now = shelf.new_id()
    note = Note(id=name, created_at=now, text=text)
    shelf.put(note, sound)
    return note


def test_a_shelf_without_a_folder_is_empty(shelf: RecordStore[Note], tmp_path: Path) -> None:
    assert shelf.all() == []
    assert list(tmp_path.iterdir()) == []


def test_records_come_back_newest_first_with_their_sound(shelf: RecordStore[Note], murmur: Audio) -> None:
    first, second = put(shelf, "one", murmur), put(shelf, "two", murmur)
    assert shelf.all() == [second, first]
    assert shelf.get(first.id) == first
    assert second.created_at == first.created_at + 1
    assert shelf.audio_path(first.id).stat().st_size == 44 + 2 * len(murmur.samples)


def test_another_shelf_on_the_same_folder_sees_them(shelf: RecordStore[Note], murmur: Audio, tmp_path: Path) -> None:
    note = put(shelf, "one", murmur)
    assert RecordStore(tmp_path / "notes", Note, "note_").all() == [note]


def test_a_changed_record_keeps_its_sound(shelf: RecordStore[Note], murmur: Audio) -> None:
    note = put(shelf, "one", murmur)
    changed = note.model_copy(update={"text": "other"})
    shelf.change(changed)
    assert shelf.all() == [changed]
    assert shelf.audio_path(note.id).is_file()


def test_what_is_removed_leaves_nothing_behind(shelf: RecordStore[Note], murmur: Audio, tmp_path: Path) -> None:
    note = put(shelf, "one", murmur)
    assert shelf.remove(note.id)
    assert not shelf.remove(note.id)
    assert list((tmp_path / "notes").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../notes", "note_", "note_../../etc", "note_" + "g" * 24, "note_" + "0" * 24 + "\n"])
def test_what_is_no_id_is_nothing(shelf: RecordStore[Note], murmur: Audio, name: str) -> None:
    put(shelf, "one", murmur)
    assert shelf.get(name) is None
    assert not shelf.remove(name)


def test_a_damaged_record_hides_no_other(shelf: RecordStore[Note], murmur: Audio) -> None:
    kept, broken = put(shelf, "kept", murmur), put(shelf, "broken", murmur)
    shelf.audio_path(broken.id).with_name("record.json").write_text("{", encoding="utf-8")
    assert shelf.all() == [kept]


def test_what_a_crash_left_is_never_seen_and_swept_away_in_time(shelf: RecordStore[Note], murmur: Audio, tmp_path: Path) -> None:
    half = tmp_path / "notes" / f".note_{'0' * 24}"
    half.mkdir(parents=True)
    (half / "sound.wav").write_bytes(b"half")
    note = put(shelf, "one", murmur)
    assert shelf.all() == [note]
    assert half.exists()
    os.utime(half, (0, 0))
    put(shelf, "two", murmur)
    assert not half.exists()


def test_a_folder_that_takes_no_files_is_named_as_such(shelf: RecordStore[Note], murmur: Audio, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StorageFailed, match="cannot be stored"):
        put(shelf, "one", murmur)


def test_others_on_the_machine_can_read_no_recording(shelf: RecordStore[Note], tmp_path: Path, murmur: Audio) -> None:
    before = os.umask(0)
    try:
        note = put(shelf, "one", murmur)
        shelf.change(note.model_copy(update={"text": "two"}))
    finally:
        os.umask(before)
    found = [tmp_path / "notes", *(tmp_path / "notes").rglob("*")]
    assert len(found) == 4
    assert [path for path in found if path.stat().st_mode & 0o077] == []
