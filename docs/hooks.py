"""Adapt pages to the documentation site: the files are written to be read in the repository, and link to files that are not on the site.

Four files from the root of the repository become pages. A link to a file that has no page is shown as plain text.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
FROM_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
}
"""File in the root of the repository -> its page."""
PAGES = FROM_ROOT | {"README.md": "index.md"}
"""File outside docs/ -> the page that a link to it leads to."""

_CODE_OR_LINK = re.compile(r"(?P<code>^ *```.*?^ *```|`[^`\n]*`)|\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s]+)\)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from the root of the repository."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - the tests import this module without mkdocs

    for name, page in FROM_ROOT.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite the links of a page."""
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, page: str) -> str:
    """Return a page with links that lead to pages of the site; `page` is its path below docs/. Code is left as it is."""
    sources = {uri: name for name, uri in FROM_ROOT.items()}
    folder = dirname(sources.get(page, f"docs/{page}"))

    def link(match: re.Match[str]) -> str:
        target = match["target"] or ""
        if match["code"] or "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, mark, heading = target.partition("#")
        file = normpath(join(folder, path))
        there = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") and file.endswith(".md") else None)
        return f"[{match['text']}]({relpath(there, dirname(page) or '.')}{mark}{heading})" if there else match["text"]

    return _CODE_OR_LINK.sub(link, markdown)
