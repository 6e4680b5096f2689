"""docs/security.md names a test for each promise, SECURITY.md says how to report, docs/release.md how dependencies are audited."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SECURITY = (ROOT / "docs/security.md").read_text(encoding="utf-8")
THREATS = (
    "A network client without an API key", "A low-trust API key holder", "A foreign web page", "A hostile file",
    "A hostile upstream server", "A hostile model index", "Another user on the host",
)  # fmt: skip
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def section(title: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    _, _, rest = SECURITY.partition(f"\n### {title}\n")
    return re.split(r"\n##+ ", rest)[0]


def promises(title: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The rows of a threat's table: what is promised, and the tests that hold it."""
    rows = [line.strip("|").split("|") for line in section(title).splitlines() if line.startswith("|")]
    return [(row[0].strip(), _TEST.findall(row[-1])) for row in rows[2:]]


@pytest.mark.parametrize("title", THREATS)
def test_every_promise_names_a_test(title: str) -> None:
    found = promises(title)
    assert len(found) >= 3
    assert [promise for promise, tests in found if not tests] == []


def missing(named: list[tuple[str, str]]) -> list[str]:
    """List the tests that are named and do not exist."""
    return [f"{file}::{name}" for file, name in named if not (ROOT / file).is_file() or name not in functions(ROOT / file)]


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_every_test_that_is_named_exists() -> None:
    named = _TEST.findall(SECURITY)
    assert len(named) > 40
    assert missing(named) == []


def test_a_test_that_does_not_exist_would_be_found() -> None:
    gone = [("tests/test_security.py", "test_of_yesterday"), ("tests/test_nowhere.py", "test_x"), ("tests/test_security.py", "missing")]
    assert missing(gone) == ["tests/test_security.py::test_of_yesterday", "tests/test_nowhere.py::test_x"]


def test_every_threat_of_the_model_is_looked_at_here() -> None:
    model = SECURITY.partition("\n## Threat model\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", model, re.MULTILINE) == list(THREATS)


def test_a_weakness_is_reported_privately_and_to_no_made_up_address() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private vulnerability reporting" in text
    assert "docs/security.md#threat-model" in text
    assert not re.search(r"[\w.]+@[\w.]+", text)


def test_the_release_checklist_shows_the_commands_that_make_runs() -> None:
    makefile = re.sub(r"\\\n\s*", "", (ROOT / "Makefile").read_text(encoding="utf-8")).replace("$(AUDIT_SERVICE)", "pypi")
    block = (ROOT / "docs/release.md").read_text(encoding="utf-8").partition("## The tools")[2].partition("```sh\n")[2].partition("```")[0]
    commands = re.sub(r"\\\n\s*", "", block).splitlines()
    assert len(commands) == 2
    assert [command for command in commands if command not in makefile] == []


def test_an_audit_that_can_look_nothing_up_fails() -> None:
    assert "pip-audit --strict" in (ROOT / "Makefile").read_text(encoding="utf-8")
