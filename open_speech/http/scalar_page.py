"""Scalar's API reference at `/docs/scalar`: a second view of the API documentation, from the optional package offapi.

The package contains Scalar's script. Only that file is read; the package is never imported. A file that is not the tested one is not
served, because it would run in the browser beside the API key of the user.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from open_speech.errors import UnknownItem
from open_speech.http import static_pages
from open_speech.http.static_pages import Asset

log = logging.getLogger("open_speech.http")

PATH = "/docs/scalar"
SCRIPT_PATH = f"{PATH}/api-reference.js"
PACKAGE, FILE = "offapi", "scalar.js"
SHA256 = "13176f0b9477746e0c2ea6fa991222046d2d28e72cba162ab9c04be43cfb4590"
"""Of Scalar 1.74.0 in offapi 0.1.4, the version of the extra `scalar`."""
INSTALL = "pip install 'open-speech[scalar]'"
HEADERS = {
    # Scalar adds its styles to the page by script. Scripts, connections, images and fonts remain those of this server.
    "Content-Security-Policy": static_pages.CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
}


def routes(root: Path) -> list[BaseRoute]:
    """Return the routes of the page, of Scalar's script, and the redirect from `/scalar`; `root` is the folder of the web pages."""
    pages = static_pages.read(root)

    async def short(_request: Request) -> Response:
        """Redirect to the page. The location is relative, so a prefix of a proxy is preserved."""
        return RedirectResponse(PATH.removeprefix("/"), headers={"Cache-Control": "no-cache"})

    async def page(request: Request) -> Response:
        await _installed()
        return static_pages.respond(pages, "scalar.html", request, HEADERS)

    async def script(request: Request) -> Response:
        return static_pages.respond({FILE: await _installed()}, FILE, request)

    endpoints = {"/scalar": short, PATH: page, SCRIPT_PATH: script}
    return [Route(path, endpoint, methods=["GET"], include_in_schema=False) for path, endpoint in endpoints.items()]


async def _installed() -> Asset:
    """Return Scalar's script. Raises UnknownItem with the command that installs it."""
    folder = package_folder()
    asset = None if folder is None else await asyncio.to_thread(read_script, folder / FILE)
    if asset is None:
        raise UnknownItem(f"Scalar is not installed on this server. Install it with `{INSTALL}`; `/docs` needs no installation.")
    return asset


def package_folder() -> Path | None:
    """Return the folder of the package; None if it is not installed."""
    spec = find_spec(PACKAGE)
    return None if spec is None or not spec.submodule_search_locations else Path(spec.submodule_search_locations[0])


@functools.lru_cache(maxsize=1)
def read_script(file: Path) -> Asset | None:
    """Read the script and compress it, once: it has 4.7 MB. None if there is no such file or its SHA-256 is another."""
    try:
        body = file.read_bytes()
    except OSError as error:
        log.warning("Scalar's script cannot be read: %s", error)
        return None
    if hashlib.sha256(body).hexdigest() != SHA256:
        log.warning("%s is not the tested version of Scalar and is not served. Install it with: %s", file, INSTALL)
        return None
    return Asset.of(body, static_pages.MEDIA_TYPES[file.suffix])
