"""The page's pure modules, tested with plain values by node's own test runner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from open_speech.app import create_app
from open_speech.config import Settings
from tests.waiting import PATIENCE_S

MODULES = Path(__file__).parent / "modules"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


@pytest.mark.parametrize("module", sorted(MODULES.glob("*.test.mjs")), ids=lambda path: path.name.partition(".")[0])
def test_a_module_does_what_its_tests_say(module: Path, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(create_app(Settings(os_models_dir=tmp_path)).openapi()), encoding="utf-8")
    environment = {**os.environ, "OPENAPI": str(document), "NODE_NO_WARNINGS": "1", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run([str(NODE), "--test", str(module)], capture_output=True, text=True, timeout=PATIENCE_S, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\n# pass 0\n" not in ran.stdout
