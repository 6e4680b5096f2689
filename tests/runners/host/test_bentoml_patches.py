"""Patches that need no server, and the page that describes all of them."""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from _bentoml_impl.client.proxy2 import AsyncClient
from _bentoml_impl.server.allocator import ResourceAllocator
from bentoml import serving
from bentoml._internal.utils import circus
from packaging.requirements import Requirement

from open_speech.config import Settings
from open_speech.http.tls import certificate
from runners.host import arbiter, bentoml_patches, uvicorn_limits, ws_frames

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/decisions/0009-bentoml-patches.md").read_text(encoding="utf-8")
ROWS = {row[0].split("`")[1]: row for line in PAGE.splitlines() if line.startswith("| `") and (row := line.strip("| ").split(" | "))}
SUBCLASSES = {name for name in ROWS if name.startswith("Bounded") or name == "Cutter"}


async def app(scope: object, receive: object, send: object) -> None:
    """Do nothing."""


def test_the_page_was_reviewed_for_the_versions_that_are_installed() -> None:
    named = {Requirement(text).name: Requirement(text) for text in re.findall(r"`([a-z]+==[0-9.]+)`", PAGE.split("## Context")[0])}
    lines = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    assert named == {line.name: line for line in lines if line.name in named}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pinned,) = (line for line in map(Requirement, project["dependencies"]) if line.name == "bentoml")
    assert named["bentoml"] == pinned
    assert named.keys() == {"bentoml", "kantoku", "uvicorn", "websockets"}


def test_the_page_lists_every_patch() -> None:
    patches = {patch.__name__ for patch in bentoml_patches.PATCHES}
    assert ROWS.keys() - SUBCLASSES == patches | {"RUNNER_CONNECTION"}
    assert set(arbiter.PATCHES) <= set(bentoml_patches.PATCHES)
    for name in SUBCLASSES:
        owner, _, method = name.partition(".")
        assert method in vars(getattr(uvicorn_limits, owner)) if method else hasattr(ws_frames, owner), name


@pytest.mark.parametrize("name", ROWS)
def test_a_patch_has_its_upstream_issue_its_test_and_its_end(name: str) -> None:
    _, upstream, without, tests, end = ROWS[name]
    assert re.search(r"github\.com/[\w-]+/[\w-]+/(issues|pull)/\d+|^None found", upstream)
    assert without
    assert end
    found = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert found
    for file, function in found:
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{function}"
    for anchor in re.findall(r"\(#([\w-]+)\)", upstream):
        titles = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)]
        assert anchor in titles


def test_what_a_new_version_has_moved_is_named_with_the_page() -> None:
    with pytest.raises(AttributeError, match=r"has no `_stream`\. A patch replaces it, see docs/decisions/0009-bentoml-patches\.md"):
        arbiter.replace(AsyncClient, "_stream", app)


def test_patches_are_applied_once() -> None:
    owners = circus.Arbiter, uvicorn.Config, AsyncClient
    before = [dict(vars(owner)) for owner in owners]
    bentoml_patches.apply()
    assert [dict(vars(owner)) for owner in owners] == before


def test_the_arbiter_looks_for_dead_processes_every_second() -> None:
    assert circus.create_standalone_arbiter([]).check_delay == 1.0


def test_a_process_is_respawned_in_a_container_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_CONTAINERIZED", "true")
    getattr(serving.running_inside_container, "cache_clear", lambda: None)()  # BentoML's own keeps its first result
    assert serving.create_watcher("x", ["-c", "pass"]).respawn


def test_bentoml_assigns_no_gpu_to_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENTOML_DISABLE_GPU_ALLOCATION", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    declared = {"first": {"workers": 1, "resources": {"gpu": 0.5}}, "second": {"workers": 1, "resources": {"gpu": 1.0}}}
    found = [ResourceAllocator().get_worker_env(SimpleNamespace(name=name), declared) for name in declared]
    assert found == [(1, {}), (1, {})]


def test_uvicorn_gets_our_options() -> None:
    config = uvicorn.Config(app, host="127.0.0.1")
    config.load()
    assert config.http_protocol_class is uvicorn_limits.BoundedHttp
    assert config.ws_protocol_class is uvicorn_limits.BoundedWebSocket
    assert (config.ws_max_size, config.ws_ping_timeout, config.ws_per_message_deflate) == (24 << 20, 60.0, False)
    assert not config.proxy_headers


def test_uvicorn_serves_a_renewed_certificate(tmp_path: Path) -> None:
    settings = Settings(os_ssl_enabled=True, os_ssl_dir=tmp_path)
    made = certificate(settings, datetime.now(UTC) - timedelta(days=390))  # about to end
    assert made is not None
    config = uvicorn.Config(app, ssl_certfile=made.certfile, ssl_keyfile=str(made.keyfile))
    config.load()
    assert config.ssl is not None
    first = served(config.ssl)
    renewed = certificate(settings)
    assert renewed is not None
    assert os.path.samefile(renewed.certfile, made.certfile)
    assert served(config.ssl) == first  # this connection notices
    second = served(config.ssl)
    assert second != first
    assert second == ssl.PEM_cert_to_DER_cert(renewed.public.read_text(encoding="utf-8"))


def served(context: ssl.SSLContext) -> bytes:
    """Make a TLS connection in memory; return the certificate of the server."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    client = trusting.wrap_bio(down, up, server_hostname="localhost")
    server = context.wrap_bio(up, down, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""
