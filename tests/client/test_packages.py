from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from open_speech import __version__

ROOT = Path(__file__).parent.parent.parent


def project(file: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / file).read_text(encoding="utf-8"))["project"]
    return found


def test_the_packages_have_the_version_of_the_server() -> None:
    javascript = json.loads((ROOT / "clients/js/package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "clients/js/package-lock.json").read_text(encoding="utf-8"))
    assert {project("clients/python/pyproject.toml")["version"], javascript["version"], lock["version"]} == {__version__}


def test_the_client_package_needs_httpx_and_websockets_in_the_ranges_of_the_server() -> None:
    server, client = project("pyproject.toml"), project("clients/python/pyproject.toml")
    assert sorted(client["dependencies"]) == sorted(server["optional-dependencies"]["client"])
    assert set(client["dependencies"]) <= set(server["dependencies"])


def test_the_client_package_has_the_source_of_the_server_and_no_copy() -> None:
    package = ROOT / "clients/python/open_speech"
    assert [path.name for path in package.iterdir() if path.name != "__pycache__"] == ["client"]
    assert (package / "client").resolve() == (ROOT / "open_speech/client").resolve()


def test_the_licence_is_the_same_everywhere() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    assert [(ROOT / f"clients/{name}/LICENSE").read_bytes() == licence for name in ("python", "js")] == [True, True]
