from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from open_speech import config
from open_speech.app import create_app
from open_speech.backends import Task
from open_speech.cli import COMMANDS
from open_speech.config import Settings, old_names
from open_speech.registry import OPENAI_STT, OPENAI_TTS, OPENAI_VOICES
from runners import catalog

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
API, SETTINGS, ENGINES, CLI = ((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("api", "settings", "engines", "cli"))


def between(name: str, text: str = README) -> str:
    """Cut out what stands between a pair of markers."""
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]


def section(title: str, text: str = README) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_settings_table_is_the_one_that_the_code_writes() -> None:
    how = 'paste what this prints: python -c "from open_speech.config import table; print(table())"'
    assert between("settings", SETTINGS) == config.table() + "\n", how


def test_the_table_of_old_names_is_the_one_that_the_code_writes() -> None:
    how = 'paste what this prints: python -c "from open_speech.config import old_names; print(old_names.table())"'
    assert between("old names", SETTINGS) == old_names.table() + "\n", how


def snippet() -> ast.Module:
    code = re.fullmatch(r"```python\n(.*)```\n", between("sdk"), re.DOTALL)
    assert code is not None
    return ast.parse(code[1])


def test_the_snippet_compiles_and_needs_nothing_but_the_sdk() -> None:
    tree = snippet()
    compile(tree, "README.md", "exec")
    assert [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)] == ["openai"]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]


def test_the_snippet_asks_the_address_that_the_server_listens_on() -> None:
    settings = Settings()
    assert f'base_url="http://{settings.os_host}:{settings.os_port}/v1"' in between("sdk")


def test_the_snippet_names_models_and_a_voice_that_are_aliases_here() -> None:
    named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords() if isinstance(keyword.value, ast.Constant)}
    assert named["voice"] in OPENAI_VOICES
    models = {ast.literal_eval(keyword.value) for keyword in keywords() if keyword.arg == "model"}
    assert models & set(OPENAI_STT)
    assert models & set(OPENAI_TTS)


def keywords() -> Iterator[ast.keyword]:
    return (node for node in ast.walk(snippet()) if isinstance(node, ast.keyword))


def test_every_endpoint_is_in_the_table_and_the_table_has_no_other() -> None:
    described = create_app(Settings()).openapi()["paths"]
    served = {(verb.upper(), unnamed(path)) for path, verbs in described.items() for verb in verbs}
    written = {(verb, unnamed(path)) for verb, path in re.findall(r"`(GET|POST|DELETE) (/[^`]*)`", section("Endpoints", API))}
    assert written - {("GET", path) for path in ("/docs", "/docs/scalar", "/scalar", "/web/")} == served


def unnamed(path: str) -> str:
    """Drop the names of placeholders: the path is what counts."""
    return re.sub(r"\{.*\}", "{}", path)


@pytest.mark.parametrize("backend", catalog.BACKENDS, ids=lambda backend: backend.name)
def test_every_backend_is_in_the_table_with_its_extra_and_licence(backend: catalog.BackendEntry) -> None:
    row = next(line for line in ENGINES.splitlines() if line.startswith("|") and f"`{backend.name}`" in line)
    assert backend.licence in row
    assert f"`{backend.extra}`" in row or not backend.extra
    assert ("speech to text" in row) is (backend.task is Task.STT) or "tones" in row


def test_the_licence_of_each_default_model_is_in_the_table() -> None:
    for model in catalog.models():
        if f"`{model.id}` (" in ENGINES:
            assert f"`{model.id}` ({model.licence})" in ENGINES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_table(command: str) -> None:
    assert f"| `open-speech {command}" in CLI


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    command = re.search(r"```sh\n(.*?)\n```", section("Tests"))
    assert command is not None
    assert f"exec {command[1]} </dev/null" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_every_page_of_the_documentation_is_linked_from_the_front_page() -> None:
    pages = {str(path.relative_to(ROOT)) for folder in ("docs", "docs/uses") for path in (ROOT / folder).glob("*.md")}
    pages -= {"docs/index.md", "docs/release.md"}
    assert pages <= set(re.findall(r"\]\((docs/[^)#]+)\)", README))
