"""The web page and the API's documentation: files that are read once, at the start, and sent with headers that trust nobody else."""

from __future__ import annotations

import gzip
import hashlib
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from open_speech.errors import UnknownItem

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What a page is made of; a file with another ending is not served."""

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing from elsewhere, nothing written into the page; `blob:` is sound that was made or chosen there."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The names do not change with what is in them: a browser asks every time, and is told 304.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
_INSTALLED = Path("share/open-speech/web")
_SMALL = 512
"""Bytes below which compression does not pay."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, ready to be sent."""

    body: bytes
    packed: bytes | None
    """The same in gzip; None where that is no smaller."""
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Asset:
        """Make a file's content ready."""
        packed = gzip.compress(body, mtime=0) if len(body) >= _SMALL else None
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(body, packed if packed and len(packed) < len(body) else None, media_type, etag)


def folder() -> Path:
    """Find the page: beside the package in a checkout and in a Bento, among the environment's data in an installation."""
    beside = Path(__file__).resolve().parents[2] / "web"
    return beside if (beside / "index.html").is_file() else Path(sysconfig.get_path("data")) / _INSTALLED


def read(root: Path) -> dict[str, Asset]:
    """Read every file under `root` that belongs to a page, by its path there; nothing where the folder is missing."""
    files = (path for path in sorted(root.rglob("*")) if path.suffix in MEDIA_TYPES and path.is_file())
    return {path.relative_to(root).as_posix(): Asset.of(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files}


def routes(root: Path) -> list[BaseRoute]:
    """Make the routes: `/web/`, what is under it, `/docs`, and the ways there.

    A path is looked up among the files that were read, never on the disk: there is no way out of the folder.
    """
    assets = read(root)
    docs = {name: assets.pop(name) for name in ("docs.html",) if name in assets}  # its links count from `/docs`, so it is nowhere else

    async def home(_request: Request) -> Response:
        """Lead a browser to the page. The address is relative, so a prefix that a proxy adds is kept."""
        return RedirectResponse("web/", headers={"Cache-Control": "no-cache"})

    async def page(request: Request) -> Response:
        return _sent(assets, request.path_params["path"] or "index.html", request)

    async def documentation(request: Request) -> Response:
        return _sent(docs, "docs.html", request)

    ways = {"/": home, "/web": home, "/web/{path:path}": page, "/docs": documentation}
    return [Route(path, endpoint, methods=["GET"], include_in_schema=False) for path, endpoint in ways.items()]


def _sent(assets: dict[str, Asset], name: str, request: Request) -> Response:
    asset = assets.get(name)
    if asset is None:
        raise UnknownItem(f"The page has no file `{name[:64]}`.")
    headers = {**HEADERS, "ETag": asset.etag}
    if asset.etag in _listed(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    if asset.packed is not None and _accepts_gzip(request.headers.getlist("accept-encoding")):
        return Response(asset.packed, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def _listed(tags: str) -> Iterator[str]:
    """Read `If-None-Match`; a proxy that compressed the answer made its tag a weak one."""
    return (tag.strip().removeprefix("W/") for tag in tags.split(","))


def _accepts_gzip(values: Iterable[str]) -> bool:
    for coding in ",".join(values).lower().split(","):
        name, _, weight = (part.strip() for part in coding.partition(";"))
        if name == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
