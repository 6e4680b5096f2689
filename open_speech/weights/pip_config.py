"""The package indexes of pip (or uv), read from their own configuration, so that a company's mirror works without further settings."""

from __future__ import annotations

import configparser
import functools
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECTIONS = ("global", "install", "download")
_URL = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_EXTRA = ("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
INDEX_VARIABLES = frozenset((*_URL, *_EXTRA))
"""Variables whose URLs may carry a user and password."""
_CERTIFICATE = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class PipConfig:
    """The part of pip's configuration that names the sources of packages."""

    indexes: tuple[str, ...] = ()
    """URLs of package indexes in the order in which they are tried; they may contain a user and password."""
    find_links: tuple[Path, ...] = ()
    """Local folders of archives."""
    certificate: Path | None = None
    """File of certificate authorities; None for the default ones."""


def pip_config(environ: Mapping[str, str] | None = None, files: tuple[Path, ...] | None = None) -> PipConfig:
    """Read the environment (the process's by default) and pip's files; variables override files, later files earlier ones."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - these variables are pip's, not settings of this server
    values: dict[str, str] = {}
    for path in _files(environ) if files is None else files:
        values |= _read(path)
    first = _first(environ, _URL) or values.get("index-url") or default_index()
    extra = [*values.get("extra-index-url", "").split(), *(url for name in _EXTRA for url in environ.get(name, "").split())]
    # uv may name an index: `name=https://…`.
    urls = [url for url in (first,) if url]
    urls += (url.split("=", 1)[1] if _is_named(url) else url for url in extra)
    if (environ.get("PIP_NO_INDEX") or values.get("no-index", "")).lower() in ("1", "true", "yes", "on"):
        urls = []
    links = (environ.get("PIP_FIND_LINKS") or values.get("find-links", "")).split()
    certificate = environ.get("PIP_CERT") or values.get("cert") or _first(environ, _CERTIFICATE)
    folders = tuple(Path(link.removeprefix("file://")) for link in links if "://" not in link or link.startswith("file://"))
    return PipConfig(tuple(dict.fromkeys(urls)), folders, Path(certificate) if certificate else None)


@functools.cache
def default_index() -> str:
    """Return pip's default index; empty if pip is not installed, because this project names no host of its own."""
    try:
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _is_named(url: str) -> bool:
    return "=" in url.partition("://")[0]


def _files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """List pip's configuration files in pip's documented order: global, user, environment, then that of PIP_CONFIG_FILE."""
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return ()
    home = Path(environ.get("HOME") or Path.home())
    shared = [Path(folder) / "pip" for folder in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if folder]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    if sys.platform == "darwin":
        shared = [Path("/Library/Application Support/pip")]
        application = home / "Library/Application Support/pip"
        user = application if application.is_dir() else user
    folders = [*shared, Path("/etc"), home / ".pip", user, Path(sys.prefix)]
    return (*(folder / "pip.conf" for folder in folders), *((Path(named),) if named else ()))


def _read(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return {key: value for section in _SECTIONS if parser.has_section(section) for key, value in parser.items(section)}
