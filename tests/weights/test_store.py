"""The store as its callers see it: pull, adopt, list, remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from open_speech.backends import ModelEntry, Task
from open_speech.errors import UnknownModel, WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import HubSource, UrlSource
from open_speech.weights import Progress, Store


def test_a_pull_brings_every_file_and_records_it(store: Store, shelf, make_model) -> None:
    files = {"model.bin": b"m" * 5000, "sub/voice.bin": b"v" * 10}
    shelf.files |= {"/a": files["model.bin"], "/b": files["sub/voice.bin"]}
    model = make_model(files, UrlSource({"model.bin": f"{shelf.url}/a", "sub/voice.bin": f"{shelf.url}/b"}))
    assert not store.is_complete(model)
    folder = store.pull(model)
    assert {path: (folder / path).read_bytes() for path in files} == files
    assert store.is_complete(model)
    (row,) = store.installed()
    assert (row.id, row.folder, row.size_bytes, row.source) == ("acme/model", folder, 5010, "url")
    assert not list(folder.rglob("*.part"))


def test_a_second_pull_asks_nobody(store: Store, shelf, make_model) -> None:
    shelf.files["/a"] = b"x"
    model = make_model({"a": b"x"}, UrlSource({"a": f"{shelf.url}/a"}))
    store.pull(model)
    asked = len(shelf.asked)
    assert store.pull(model).is_dir()
    assert len(shelf.asked) == asked


def test_a_model_without_files_and_sources_is_always_complete(store: Store, make_model) -> None:
    model = make_model({}, id="tones/listen")
    assert store.is_complete(model)
    assert store.pull(model) == store.folder(model)


def test_a_missing_file_is_brought_again(store: Store, shelf, make_model) -> None:
    shelf.files["/a"] = b"content"
    model = make_model({"a": b"content"}, UrlSource({"a": f"{shelf.url}/a"}))
    (store.pull(model) / "a").unlink()
    assert not store.is_complete(model)
    assert (store.pull(model) / "a").read_bytes() == b"content"


def test_a_new_hash_in_the_catalog_makes_the_old_file_incomplete(store: Store, shelf, make_model) -> None:
    shelf.files["/a"] = b"old"
    source = UrlSource({"a": f"{shelf.url}/a"})
    store.pull(make_model({"a": b"old"}, source))
    shelf.files["/a"] = b"new"
    newer = make_model({"a": b"new"}, source)
    assert not store.is_complete(newer)
    assert (store.pull(newer) / "a").read_bytes() == b"new"


def test_files_put_there_by_hand_are_adopted_without_the_network(make_store, make_model, shelf) -> None:
    store = make_store(offline=True)
    model = make_model({"a": b"right"}, UrlSource({"a": f"{shelf.url}/a"}))
    folder = store.folder(model)
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"right")
    assert store.pull(model) == folder
    assert store.is_complete(model)
    assert store.installed()[0].source == "local folder"
    assert not shelf.asked


def test_a_wrong_file_put_there_by_hand_is_refused_and_both_hashes_are_named(make_store, make_model, hashed) -> None:
    store = make_store(offline=True)
    model = make_model({"a": b"right"})
    store.folder(model).mkdir(parents=True)
    (store.folder(model) / "a").write_bytes(b"wrong")
    with pytest.raises(WeightsCorrupt) as raised:
        store.pull(model)
    assert hashed(b"right") in raised.value.message and hashed(b"wrong") in raised.value.message
    assert not store.is_complete(model)


def test_a_wrong_file_put_there_by_hand_is_replaced_by_a_right_one(store: Store, shelf, make_model) -> None:
    shelf.files["/a"] = b"right"
    model = make_model({"a": b"right"}, UrlSource({"a": f"{shelf.url}/a"}))
    store.folder(model).mkdir(parents=True)
    (store.folder(model) / "a").write_bytes(b"wrong")
    assert (store.pull(model) / "a").read_bytes() == b"right"


def test_offline_names_what_is_missing_and_where_to_put_it(make_store, make_model, shelf) -> None:
    model = make_model({"a": b"x", "b": b"y"}, UrlSource({"a": f"{shelf.url}/a"}))
    with pytest.raises(WeightsUnavailable, match=r"is missing a, b \(OS_OFFLINE is set\).*`acme/model` in the models folder"):
        make_store(offline=True).pull(model)
    assert not shelf.asked


def test_any_whisper_put_there_by_hand_works_for_an_open_ended_model(make_store, make_model, shelf) -> None:
    store = make_store(offline=True)
    model = make_model({}, HubSource("my/whisper"), id="my/whisper")
    folder = store.folder(model)
    folder.mkdir(parents=True)
    for name in ("model.bin", "config.json", "vocabulary.txt", "README.md"):
        (folder / name).write_text(name)
    assert store.pull(model) == folder
    assert store.is_complete(model)
    assert store.installed()[0].size_bytes == len("model.binconfig.jsonvocabulary.txt")
    assert not shelf.asked


def test_a_folder_that_is_no_whisper_is_not_taken_for_one(make_store, make_model) -> None:
    store = make_store(offline=True)
    model = make_model({}, HubSource("my/whisper"), id="my/whisper")
    store.folder(model).mkdir(parents=True)
    (store.folder(model) / "notes.txt").write_text("hello")
    with pytest.raises(WeightsUnavailable, match="my/whisper"):
        store.pull(model)


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc", "a//b", "", ".locks/x", "a/b/c/d", "a\\b", "a/b\n"])
def test_an_id_that_leads_out_of_the_models_folder_is_unknown(store: Store, make_model, name: str) -> None:
    with pytest.raises(UnknownModel) as raised:
        store.folder(make_model({"a": b"x"}, id=name))
    assert raised.value.param == "model"


def test_remove_frees_the_bytes_and_the_empty_folders(store: Store, shelf, make_model, tmp_path: Path) -> None:
    shelf.files["/a"] = b"x" * 1000
    model = make_model({"a": b"x" * 1000}, UrlSource({"a": f"{shelf.url}/a"}))
    store.pull(model)
    assert store.remove(model) >= 1000
    assert store.installed() == []
    assert not (tmp_path / "models" / "acme").exists()
    assert store.remove(model) == 0


def test_remove_of_a_linked_folder_leaves_its_files(store: Store, make_model, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a").write_bytes(b"x")
    model = make_model({"a": b"x"})
    store.folder(model).parent.mkdir(parents=True)
    store.folder(model).symlink_to(mine)
    store.pull(model)
    assert store.installed()[0].id == "acme/model"
    assert store.remove(model) == 0
    assert (mine / "a").exists() and not store.folder(model).exists()


def test_progress_ends_with_done(store: Store, shelf, make_model) -> None:
    shelf.files["/a"] = b"x" * 300
    seen: list[Progress] = []
    store.pull(make_model({"a": b"x" * 300}, UrlSource({"a": f"{shelf.url}/a"})), seen.append)
    assert seen[-1] == Progress("acme/model", "", 300, 300, "url", "done")
    assert any(p.state == "downloading" and p.file == "a" and p.total_bytes == 300 for p in seen)
    assert all(p.model == "acme/model" for p in seen)


def test_a_models_folder_that_takes_no_files_is_named(tmp_path: Path, make_model) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(WeightsUnavailable, match="models folder"):
        Store(tmp_path / "models").pull(make_model({"a": b"x"}))


@pytest.mark.weights
def test_the_default_models_are_whole_by_their_content(model_folder: Callable[[str], Path], weights_root: Path) -> None:
    for name in ("Systran/faster-whisper-base", "kokoro", "piper/en_US-joe-medium"):
        assert model_folder(name) == weights_root / name


@pytest.mark.weights
def test_real_speech_comes_out_of_a_package_archive(speech_clips: dict[str, Path]) -> None:
    assert {name: path.read_bytes()[:4] for name, path in speech_clips.items()} == {"beckett": b"RIFF", "two_cities": b"RIFF"}


def test_an_entry_of_another_task_is_pulled_alike(store: Store, shelf) -> None:
    shelf.host_repo("acme/voices", {"en/x.onnx": b"o" * 200})
    from open_speech.backends import WeightFile

    model = ModelEntry(
        "piper/x", "piper", Task.TTS, "MIT", ("en",), files=(WeightFile("x.onnx"),),
        sources=(HubSource("acme/voices", paths={"x.onnx": "en/x.onnx"}),),
    )  # fmt: skip
    assert (store.pull(model) / "x.onnx").read_bytes() == b"o" * 200
