from __future__ import annotations

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from open_speech.app import create_app
from open_speech.config import Settings
from open_speech.http import scalar_page

installed = pytest.mark.skipif(find_spec(scalar_page.PACKAGE) is None, reason="the extra `scalar` is not installed")


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(create_app(Settings(os_models_dir=tmp_path, os_api_key="sesame")), follow_redirects=False)


@installed
def test_the_page_and_its_script_need_no_key_and_load_nothing_from_elsewhere(client: TestClient) -> None:
    page, script = client.get("/docs/scalar"), client.get("/docs/scalar/api-reference.js")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "http" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:" in policy
    assert "connect-src 'self'" in policy
    assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert hashlib.sha256(script.content).hexdigest() == scalar_page.SHA256
    assert script.headers["content-encoding"] == "gzip"
    for answer in (page, script):
        assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "DENY")
        again = client.get(answer.request.url.path, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_short_path_leads_to_the_page_below_any_prefix(client: TestClient) -> None:
    answer = client.get("/scalar")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs/scalar")


def test_the_page_is_served_at_no_other_path(client: TestClient) -> None:
    assert client.get("/web/scalar.html").status_code == 404


def test_without_the_package_the_error_has_the_command(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    for path in ("/docs/scalar", "/docs/scalar/api-reference.js"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "pip install 'open-speech[scalar]'" in answer.json()["error"]["message"]
    assert client.get("/docs").status_code == 200


def test_a_script_that_was_not_tested_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = tmp_path / "scalar.js"
    other.write_text("alert(1)", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert scalar_page.read_script(other) is None
        assert scalar_page.read_script(tmp_path / "missing.js") is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "not the tested version" in caplog.text
    assert "cannot be read" in caplog.text


@installed
def test_the_file_of_the_extra_is_the_tested_one() -> None:
    folder = scalar_page.package_folder()
    assert folder is not None
    asset = scalar_page.read_script(folder / scalar_page.FILE)
    assert asset is not None
    assert asset.gzipped is not None
    assert b"@scalar/api-reference@1.74.0" in asset.body[:400]
