from __future__ import annotations

import gzip
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from starlette.applications import Starlette
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.http import static_pages

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "web"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    """The app without an engine: the page needs none."""
    return TestClient(create_app(Settings(os_models_dir=tmp_path, os_api_key="sesame")), follow_redirects=False)


def test_a_browser_is_led_to_the_page(client: TestClient) -> None:
    for path in ("/", "/web"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (307, "web/")
    assert "<title>Open Speech</title>" in client.get("/web/").text


@pytest.mark.parametrize("path", ["/web/", "/web/js/app.js", "/web/css/base.css", "/web/icon.svg", "/docs"])
def test_the_page_needs_no_key_and_trusts_nobody_else(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in static_pages.HEADERS if name != "Vary"} == {
        n: v for n, v in static_pages.HEADERS.items() if n != "Vary"
    }
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert client.get("/v1/models").status_code == 401


def test_a_file_is_sent_once_and_then_only_asked_for(client: TestClient) -> None:
    first = client.get("/web/js/app.js")
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get("/web/js/app.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/web/js/app.js", headers={"If-None-Match": '"other"'}).content == first.content


@pytest.mark.parametrize(("accepts", "packed"), [("gzip", True), ("br;q=1.0, GZIP;q=0.8", True), ("gzip;q=0", False), ("identity", False)])
def test_a_file_is_packed_for_who_can_unpack_it(tmp_path: Path, accepts: str, packed: bool) -> None:
    (tmp_path / "index.html").write_text("<p>word</p>" * 200, encoding="utf-8")
    with TestClient(Starlette(routes=static_pages.routes(tmp_path))).stream("GET", "/web/", headers={"Accept-Encoding": accepts}) as answer:
        raw = b"".join(answer.iter_raw())
        assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert (gzip.decompress(raw) if packed else raw) == (tmp_path / "index.html").read_bytes()


OUTSIDE = ["../service.py", "..%2fservice.py", "%2e%2e/service.py", "//etc/passwd", "js", "js/", "nowhere.js", "docs.html"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_there_is_no_way_out_of_the_page(client: TestClient, path: str) -> None:
    answer = client.get(f"http://testserver/web/{path}")
    assert answer.status_code in (401, 404)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_only_what_a_page_is_made_of_is_read(tmp_path: Path) -> None:
    for name in ("index.html", "notes.txt", ".env", "js/app.js", "js/app.js.map"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert sorted(static_pages.read(tmp_path)) == ["index.html", "js/app.js"]
    assert static_pages.read(tmp_path / "missing") == {}


def test_nothing_is_loaded_from_elsewhere_and_no_script_or_style_is_in_the_markup() -> None:
    for file in PAGE.rglob("*"):
        if file.suffix not in static_pages.MEDIA_TYPES:
            continue
        text = file.read_text(encoding="utf-8")
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r"//www\.w3\.org/2000/svg", "", text)))
        assert found == set(), file
        if file.suffix == ".html":
            assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\bsrc=)", text), file
        if file.suffix == ".js":
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), file


def test_no_file_of_the_page_is_longer_than_400_lines_or_of_a_kind_that_is_not_served() -> None:
    files = [path for path in PAGE.rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix not in static_pages.MEDIA_TYPES] == []
    long = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_the_page_is_found_in_a_checkout_and_goes_into_an_installation_and_a_bento() -> None:
    assert static_pages.folder() == PAGE
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    placed = {place: sorted(path.name for pattern in patterns for path in ROOT.glob(pattern)) for place, patterns in data.items()}
    folders = [PAGE, *sorted(path for path in PAGE.iterdir() if path.is_dir())]
    share = Path("share/open-speech/web")
    assert placed == {
        str(share / folder.relative_to(PAGE)): sorted(path.name for path in folder.iterdir() if path.is_file()) for folder in folders
    }
    assert "/web/" in yaml.safe_load((ROOT / "bentofile.yaml").read_text(encoding="utf-8"))["include"]
