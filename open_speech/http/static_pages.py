"""The web page and the API documentation: files that are read once at startup and sent with strict security headers."""

from __future__ import annotations

import gzip
import hashlib
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
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
"""Types of the files of a page; files with other suffixes are not served."""

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
"""No content of other origins and no inline scripts or styles; `blob:` is audio that the page recorded or the user selected."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # File names do not change with their content: a browser revalidates each time and receives 304.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
_INSTALLED = Path("share/open-speech/web")
_MIN_GZIP_BYTES = 512
"""Size in bytes below which files are not compressed."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, with its compressed form and its headers."""

    body: bytes
    gzipped: bytes | None
    """The body compressed with gzip; None if that is not smaller."""
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Asset:
        """Return the asset with this content."""
        gzipped = gzip.compress(body, mtime=0) if len(body) >= _MIN_GZIP_BYTES else None
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(body, gzipped if gzipped and len(gzipped) < len(body) else None, media_type, etag)


def folder() -> Path:
    """Return the folder of the page: next to the package in a checkout and in a Bento, in the environment's data in an installation."""
    checkout = Path(__file__).resolve().parents[2] / "web"
    return checkout if (checkout / "index.html").is_file() else Path(sysconfig.get_path("data")) / _INSTALLED


def read(root: Path) -> dict[str, Asset]:
    """Read all files of the page under `root`, by relative path; none if the folder is missing."""
    files = (path for path in sorted(root.rglob("*")) if path.suffix in MEDIA_TYPES and path.is_file())
    return {path.relative_to(root).as_posix(): Asset.of(path.read_bytes(), MEDIA_TYPES[path.suffix]) for path in files}


def routes(root: Path) -> list[BaseRoute]:
    """Return the routes of `/web/`, the files below it, `/docs`, and the redirects to the page.

    A path is looked up among the files that were read, never on disk, so it cannot lead out of the folder.
    """
    assets = read(root)
    # The links of these pages are relative to `/docs` and `/docs/scalar`, so they are served at no other path.
    docs: dict[str, Asset] = {name: assets.pop(name) for name in ("docs.html", "scalar.html") if name in assets}

    async def home(_request: Request) -> Response:
        """Redirect a browser to the page. The location is relative, so a prefix of a proxy is preserved."""
        return RedirectResponse("web/", headers={"Cache-Control": "no-cache"})

    async def page(request: Request) -> Response:
        return respond(assets, request.path_params["path"] or "index.html", request)

    async def documentation(request: Request) -> Response:
        return respond(docs, "docs.html", request)

    endpoints = {"/": home, "/web": home, "/web/{path:path}": page, "/docs": documentation}
    return [Route(path, endpoint, methods=["GET"], include_in_schema=False) for path, endpoint in endpoints.items()]


def respond(assets: Mapping[str, Asset], name: str, request: Request, more: Mapping[str, str] | None = None) -> Response:
    """Return the file with this name, or 304 if the client has it; `more` headers replace those of HEADERS. Raises UnknownItem."""
    asset = assets.get(name)
    if asset is None:
        raise UnknownItem(f"The page has no file `{name[:64]}`.")
    headers = {**HEADERS, **(more or {}), "ETag": asset.etag}
    if asset.etag in _etags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    if asset.gzipped is not None and _accepts_gzip(request.headers.getlist("accept-encoding")):
        return Response(asset.gzipped, media_type=asset.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def _etags(tags: str) -> Iterator[str]:
    """Parse `If-None-Match`. A proxy that compressed the response has made its tag a weak one."""
    return (tag.strip().removeprefix("W/") for tag in tags.split(","))


def _accepts_gzip(values: Iterable[str]) -> bool:
    for coding in ",".join(values).lower().split(","):
        name, _, weight = (part.strip() for part in coding.partition(";"))
        if name == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
