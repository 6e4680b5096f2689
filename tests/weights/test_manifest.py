"""What a folder's manifest says, and when it is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.model_files import HubSource, WeightFile
from open_speech.weights.manifest import NAME, Manifest, merge, read


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest("a/b", (WeightFile("x", "0" * 64, 3), WeightFile("y")), complete=True, source="hub", revision="abc")
    manifest.write(tmp_path / "new")
    assert read(tmp_path / "new") == manifest


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"model": "a", "files": [{}], "complete": true}'])
def test_a_manifest_that_cannot_be_understood_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read(tmp_path) is None


def test_a_file_of_another_size_makes_the_folder_incomplete(tmp_path: Path, make_model) -> None:
    model = make_model({"x": b"abc"})
    (tmp_path / "x").write_bytes(b"abc")
    manifest = Manifest(model.id, model.files, complete=True)
    assert manifest.is_whole(tmp_path, model)
    (tmp_path / "x").write_bytes(b"ab")
    assert not manifest.is_whole(tmp_path, model)


def test_an_unfinished_manifest_is_not_whole(tmp_path: Path, make_model) -> None:
    model = make_model({"x": b"abc"})
    (tmp_path / "x").write_bytes(b"abc")
    assert not Manifest(model.id, model.files).is_whole(tmp_path, model)


def test_the_catalog_wins_where_it_knows_and_the_record_fills_in() -> None:
    recorded = [WeightFile("a", "1" * 64, 1), WeightFile("b", "2" * 64, 2), WeightFile("gone", "3" * 64, 3)]
    assert merge([WeightFile("a", "9" * 64, 9), WeightFile("b"), WeightFile("c")], recorded) == (
        WeightFile("a", "9" * 64, 9), WeightFile("b", "2" * 64, 2), WeightFile("c"),
    )  # fmt: skip
    assert merge((), recorded) == tuple(recorded)


def test_a_hub_source_is_held_to_the_listed_commit(make_model) -> None:
    model = make_model({}, HubSource("a/b"))
    assert Manifest("a/b", (), revision="abc").sources(model) == (HubSource("a/b", "abc"),)
    assert Manifest("a/b", ()).sources(model) == (HubSource("a/b"),)
