"""The documentation: links lead somewhere, in the repository and on the site, and the pages for a use name what exists."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from open_speech import config
from open_speech.cli import COMMANDS
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
USES = sorted((DOCS / "uses").glob("*.md"))
WRITTEN = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md")] + PAGES
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
MKDOCS = ROOT / ".venv-docs/bin/mkdocs"

FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
THEIRS = {
    *(f"AUDIO_{task}_{name}" for task in ("STT", "TTS") for name in ("ENGINE", "OPENAI_API_BASE_URL", "OPENAI_API_KEY", "MODEL")),
    "AUDIO_TTS_VOICE", "OPENAI_BASE_URL", "OPENAI_API_KEY", "NODE_EXTRA_CA_CERTS", "BENTOML_DO_NOT_TRACK", "OS_BIND",
    "RENDER_GID", "VIDEO_GID", "ROCM_WHEELS_SHA256", "HSA_OVERRIDE_GFX_VERSION", "GGML_VULKAN",
}  # fmt: skip
"""Variables of other programs (Open WebUI, OpenAI's SDKs, Node.js, BentoML, ROCm, whisper.cpp), of the Makefile and of compose files."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page; all headings here differ."""
    titles = [title.replace("`", "").strip().lower() for title in HEADING.findall(FENCE.sub("", read(page)))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> Iterator[str]:
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))):
        if re.match(r"\w+:", link):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert list(broken_links(page, read(page))) == []


@pytest.mark.parametrize("link", ["nowhere.md", "../README.md#nowhere", "#nowhere", "uses/gpu.md#nowhere"])
def test_a_broken_link_is_found(link: str) -> None:
    assert list(broken_links(DOCS / "index.md", f"[Here]({link})")) == [link]


# -- The site


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_navigation(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    for entry in entries.values() if isinstance(entries, dict) else entries if isinstance(entries, list) else ():
        yield from in_navigation(entry)


def test_every_page_is_in_the_navigation_once(hooks: ModuleType) -> None:
    listed = sorted(in_navigation(SITE["nav"]))
    assert listed == sorted([*(str(page.relative_to(DOCS)) for page in PAGES), *hooks.FROM_ROOT.values()])
    assert all((ROOT / name).is_file() for name in hooks.FROM_ROOT)


def test_the_site_loads_nothing_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert SITE["plugins"] == ["search"]
    assert not {"extra_css", "extra_javascript", "repo_url"} & SITE.keys()
    assert SITE["extra"] == {"generator": False}


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("security.md", "[SECURITY.md](../SECURITY.md)", "[SECURITY.md](vulnerabilities.md)"),
        ("uses/gpu.md", "[a](../deploy.md#systemd) [b](bazarr.md)", "[a](../deploy.md#systemd) [b](bazarr.md)"),
        ("decisions/0008-text-normalization.md", "see [the tables](../../tests/data/normalization/en)", "see the tables"),
        ("contributing.md", "[a](docs/architecture.md) [b](SECURITY.md) [c](LICENSE)", "[a](architecture.md) [b](vulnerabilities.md) c"),
        ("vulnerabilities.md", "[a](docs/security.md#threat-model)", "[a](security.md#threat-model)"),
        ("uses/gpu.md", "[a](../../README.md) [b](#settings) [c](https://example.org/x.md)", "[a](../index.md) [b](#settings) [c](https://example.org/x.md)"),
        ("api.md", "`[a](../x.py)`\n\n```md\n[a](../x.py)\n```\n", "`[a](../x.py)`\n\n```md\n[a](../x.py)\n```\n"),
    ],
)  # fmt: skip
def test_links_are_rewritten_for_the_site(hooks: ModuleType, page: str, written: str, shown: str) -> None:
    assert hooks.relinked(written, page) == shown


@pytest.mark.skipif(not MKDOCS.exists(), reason="make check installs mkdocs into .venv-docs")
def test_the_built_site_refers_to_its_own_files_alone(tmp_path: Path) -> None:
    command = [MKDOCS, "build", "--strict", "--quiet", "--site-dir", tmp_path]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (built.returncode, built.stderr) == (0, "")
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?((?:https?:)?//[^\s\"'>]+)|<link\b[^>]*\bhref=[\"']?((?:https?:)?//[^\s\"'>]+)"
    )
    assert {page.name: loaded.findall(read(page)) for page in tmp_path.rglob("*.html") if loaded.search(read(page))} == {}
    assert not (tmp_path / "hooks.py").exists()


# -- Pages for a use


def code_of(page: Path) -> str:
    """Return the inline code and the code blocks of a page."""
    blocks = FENCE.findall(read(page))
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", FENCE.sub("", read(page)))])


def endpoints() -> set[str]:
    """Return the paths of docs/api.md, which another test compares with the app."""
    table = read(DOCS / "api.md").partition("\n## Endpoints\n")[2].partition("\n## ")[0]
    return {re.sub(r"\{\w+\}", "{}", path) for path in re.findall(r"`(?:[A-Z]+ )?(/[^`]*)`", table)}


@pytest.mark.parametrize("page", USES, ids=name_of)
def test_every_setting_of_a_use_exists(page: Path) -> None:
    assert set(VARIABLE.findall(code_of(page))) <= {*config.names(), *THEIRS}


def test_every_variable_of_other_programs_is_named_by_a_use() -> None:
    assert set().union(*(VARIABLE.findall(code_of(page)) for page in USES)) >= THEIRS


@pytest.mark.parametrize("page", USES, ids=name_of)
def test_every_path_of_a_use_is_an_endpoint(page: Path) -> None:
    known = [re.escape(path).replace(r"\{\}", "[^/]+") for path in endpoints()]
    named = re.findall(r"(?<![\w.])(?:https?://[\w.:@-]+)?(/(?:v1|api|asr|bazarr|detect-language|readyz|livez)\b[\w/.-]*)", code_of(page))
    bases = {"/v1", "/bazarr"}
    assert [path for path in named if path not in bases and not any(re.fullmatch(pattern, path) for pattern in known)] == []


@pytest.mark.parametrize("page", USES, ids=name_of)
def test_every_command_and_file_of_a_use_exists(page: Path) -> None:
    code = code_of(page)
    assert set(re.findall(r"\bopen-speech ([a-z]+)", code)) <= set(COMMANDS)
    phony = re.search(r"^\.PHONY: (.*)$", read(ROOT / "Makefile"), re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"\bmake ([a-z][\w-]*)", code)) <= set(phony[1].split())
    files = re.findall(r"(?<![\w./])(?:tests|deploy|clients|docs)/[\w/.-]+", code)
    assert [file for file in files if file != "deploy/.env" and not (ROOT / file).exists()] == []
