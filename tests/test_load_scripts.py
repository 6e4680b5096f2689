"""The load tests of docs/load-testing.md: they are valid, they read the variables of the page, and Locust's runs against a server."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
LOCUST = ROOT / "benchmarks/locust/locustfile.py"
K6 = ROOT / "benchmarks/k6/speech.js"
PAGE = (ROOT / "docs/load-testing.md").read_text(encoding="utf-8")
NODE = shutil.which("node")
PROGRAM = os.environ.get("LOCUST") or shutil.which("locust")
"""Locust is no dependency of the project: the variable LOCUST names the one to use."""


@pytest.mark.parametrize("script", [LOCUST, K6], ids=lambda path: path.suffix)
def test_every_variable_that_a_script_reads_is_on_the_page(script: Path) -> None:
    read = set(re.findall(r"\bLOAD_[A-Z_]+", script.read_text(encoding="utf-8")))
    documented = set(re.findall(r"\bLOAD_[A-Z_]+", PAGE))
    assert read
    assert read <= documented


def test_every_variable_and_user_of_the_page_is_in_a_script() -> None:
    code = LOCUST.read_text(encoding="utf-8") + K6.read_text(encoding="utf-8")
    assert [name for name in set(re.findall(r"\bLOAD_[A-Z_]+", PAGE)) if name not in code] == []
    users = re.findall(r"^class (\w+)\(HttpUser\)", code, re.MULTILINE)
    assert users == re.findall(r"^\| `(\w+)` \| (?:Uploads|Requests|Sends|Lets)", PAGE, re.MULTILINE)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_script_for_k6_is_an_es_module(tmp_path: Path) -> None:
    text = K6.read_text(encoding="utf-8")
    for content, passes in ((text, True), (text + "}", False)):
        module = tmp_path / "speech.mjs"
        module.write_text(content, encoding="utf-8")
        checked = subprocess.run([str(NODE), "--check", str(module)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (checked.returncode == 0) is passes, checked.stderr


@pytest.mark.skipif(PROGRAM is None, reason="locust is not installed")
def test_locust_loads_a_server_without_a_failure(tones_upstream: str, tmp_path: Path) -> None:
    command = [
        str(PROGRAM), "-f", str(LOCUST), "--host", tones_upstream.removesuffix("/v1"), "--headless", "--users", "4", "--spawn-rate", "4",
        "--run-time", "12s", "--stop-timeout", "30", "--csv", str(tmp_path / "load"),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"LOAD_API_KEY": "sesame"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=environment, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with (tmp_path / "load_stats.csv").open(encoding="utf-8") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    measured = {"/v1/audio/transcriptions", "/v1/audio/speech", "/v1/audio/speech: first audio", "/v1/audio/stream: end to transcript"}
    assert measured <= rows.keys()
    assert {name: row["Failure Count"] for name, row in rows.items() if row["Failure Count"] != "0"} == {}
    assert all(int(rows[name]["Request Count"]) > 0 for name in measured)
