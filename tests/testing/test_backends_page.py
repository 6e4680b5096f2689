"""docs/backends.md: the table of what the kit checks, and the files of the example, are those that are tested."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from open_speech import testing
from open_speech.backends import BackendEntry, ModelEntry, Task
from open_speech.plugins import GROUP, Problem
from runners.wiring import bento_service

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/backend-espeak"
PAGE = (ROOT / "docs/backends.md").read_text(encoding="utf-8")
KIT = [kind for name, kind in sorted(vars(testing).items()) if name.endswith("Conformance")]
FILES = re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LISTED = re.compile(r"^\| `(\w+)`((?:, `\w+`)*) \|", re.MULTILINE)


def table() -> str:
    """Write what the kit checks as a Markdown table: the first paragraph of the docstring of each test."""
    rows = ["| Class | Test | What must hold |", "|---|---|---|"]
    for kind in KIT:
        for name, test in vars(kind).items():
            if name.startswith("test_"):
                paragraph = inspect.cleandoc(test.__doc__ or "").partition("\n\n")[0]
                rows.append(f"| `{kind.__name__}` | {name.removeprefix('test_').replace('_', ' ')} | {' '.join(paragraph.split())} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_checks_is_that_of_the_kit() -> None:
    how = 'paste what this prints: python -c "from tests.testing.test_backends_page import table; print(table())"'
    assert PAGE.partition("<!-- kit:begin -->\n")[2].partition("<!-- kit:end -->")[0] == table(), how


def test_every_check_of_the_kit_says_what_must_hold() -> None:
    assert [row for row in table().splitlines() if row.endswith("|  |")] == []


@pytest.mark.parametrize(("path", "text"), FILES, ids=[path for path, _ in FILES])
def test_a_file_of_the_page_is_that_of_the_example(path: str, text: str) -> None:
    assert text == (EXAMPLE / path).read_text(encoding="utf-8")


def test_the_page_has_every_file_of_the_example() -> None:
    files = {
        str(path.relative_to(EXAMPLE))
        for path in EXAMPLE.rglob("*")
        if path.suffix in (".py", ".toml") and "build" not in path.parts and path.is_file()
    }
    assert {path for path, _ in FILES} == files


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def names_in(text: str) -> set[str]:
    """Return the names in the first column of the tables of a text."""
    return {name for first, more in LISTED.findall(text) for name in (first, *re.findall(r"\w+", more))}


def test_the_fields_of_an_entry_and_the_keys_of_a_row_exist_and_are_complete() -> None:
    fields = set(BackendEntry.__dataclass_fields__)
    assert names_in(section("The backend")) == fields - {"extra", "apart", "language_modules", "language_extras", "package"}
    keys = {"voices": "voice", "files": "file", "sources": "source"}
    assert names_in(section("The models")) == {keys.get(name, name) for name in ModelEntry.__dataclass_fields__} - {"parts"}


def test_the_names_of_the_page_exist() -> None:
    assert f"`{GROUP}`" in PAGE
    assert all(f": {problem}: …" in section("What doctor says") for problem in Problem)
    assert all(f"Task.{task.name}" in PAGE for task in Task if task not in (Task.VAD, Task.TURNS))
    assert all(hasattr(bento_service, f"{task}_service") for task in ("stt", "tts", "diarize", "llm"))
    named = re.findall(r"`(\w+)`(?:, `(\w+)`)? \| `?", section("The class"))
    errors = {name for pair in named for name in pair if name and name[0].isupper()}
    assert {"UnknownVoice", "NothingToSpeak", "WeightsCorrupt"} <= errors
