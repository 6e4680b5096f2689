"""Finding an archive on package indexes of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from open_speech.model_files import Archive
from open_speech.weights.index import PackageIndex, links
from open_speech.weights.pip_config import PipConfig
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import Web

ARCHIVE = Archive("Some.Voice_Pack", "1.0", "some_voice-1.0.whl", "0" * 64)
PAGE = "/simple/some-voice-pack/"


def find(*urls: str, links: tuple[Path, ...] = ()) -> Path | str:
    with Web(Reach(deadline_s=2)) as web:
        return PackageIndex(PipConfig(urls, links)).find(ARCHIVE, web)


def test_a_page_of_links_is_read(shelf) -> None:
    shelf.files[PAGE] = b'<a href="../../f/some_voice-0.9.whl">x</a><a href="../../f/some_voice-1.0.whl#sha256=00">y</a>'
    assert find(f"{shelf.url}/simple/") == f"{shelf.url}/f/some_voice-1.0.whl#sha256=00"


def test_json_is_asked_for_and_read(shelf) -> None:
    shelf.files[PAGE] = json.dumps({"files": [{"filename": "some_voice-1.0.whl", "url": "/f/x.whl"}]}).encode()
    shelf.types[PAGE] = "application/vnd.pypi.simple.v1+json"
    assert find(f"{shelf.url}/simple") == f"{shelf.url}/f/x.whl"
    assert "vnd.pypi.simple.v1+json" in shelf.seen_headers[0]["accept"]


def test_a_base_and_escaped_names_are_understood() -> None:
    page = b'<base href="https://cdn.test/x/"><a href="a%2Bb-1.0.whl">z</a><a>no</a>'
    assert links("text/html", page, "https://i.test/simple/p/") == {"a+b-1.0.whl": "https://cdn.test/x/a%2Bb-1.0.whl"}


def test_the_next_index_is_asked_when_the_first_has_it_not(shelf) -> None:
    shelf.files["/b/some-voice-pack/"] = b'<a href="some_voice-1.0.whl">y</a>'
    assert str(find("http://nowhere.invalid/", f"{shelf.url}/a", f"{shelf.url}/b")).startswith(f"{shelf.url}/b/")


def test_what_every_index_answered_is_told(shelf) -> None:
    shelf.files[PAGE] = b"<html></html>"
    with pytest.raises(SourceFailed, match=r"nowhere\.invalid cannot be reached; the index has no some_voice-1\.0\.whl"):
        find("http://nowhere.invalid/", f"{shelf.url}/simple")


def test_a_garbled_page_is_told(shelf) -> None:
    shelf.files[PAGE] = b"{"
    shelf.types[PAGE] = "application/json"
    with pytest.raises(SourceFailed, match="no readable page"):
        find(f"{shelf.url}/simple")


def test_no_index_at_all_is_told() -> None:
    with pytest.raises(SourceFailed, match="no package index is configured"):
        find()


def test_a_local_folder_of_archives_comes_first(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE.filename).write_bytes(b"x")
    assert find("http://nowhere.invalid/", links=(tmp_path,)) == tmp_path / ARCHIVE.filename


def test_an_index_in_a_local_folder_is_read(tmp_path: Path) -> None:
    page = tmp_path / "simple" / "some-voice-pack"
    page.mkdir(parents=True)
    (page / "index.html").write_text('<a href="../../files/some_voice-1.0.whl#sha256=00">y</a>')
    assert find((tmp_path / "absent").as_uri(), (tmp_path / "simple").as_uri()) == tmp_path / "files" / "some_voice-1.0.whl"


def test_an_indexes_login_goes_with_links_to_its_own_host_only(shelf) -> None:
    host = shelf.url.removeprefix("http://")
    shelf.files[PAGE] = b'<a href="/f/some_voice-1.0.whl">y</a>'
    assert find(f"http://me:secret@{host}/simple") == f"http://me:secret@{host}/f/some_voice-1.0.whl"
    shelf.files[PAGE] = b'<a href="https://cdn.test/f/some_voice-1.0.whl">y</a>'
    assert find(f"http://me:secret@{host}/simple") == "https://cdn.test/f/some_voice-1.0.whl"


def test_a_password_is_not_in_what_is_told() -> None:
    with pytest.raises(SourceFailed) as raised:
        find("http://me:secret@nowhere.invalid/simple")
    assert "secret" not in str(raised.value)
