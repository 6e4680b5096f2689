"""The retrieval of a model index and its signature, from a file or a URL. Blocking."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from open_speech.model_indexes.values import MAX_BYTES, IndexRefused
from open_speech.security.network import is_loopback
from open_speech.security.public_address import NotPublic, require_public_url
from open_speech.weights.reach import Reach, SourceFailed
from open_speech.weights.web import Web

WITHIN_S = 60.0
"""Maximum time for the download of an index in seconds."""
_PIN = re.compile(r"#sha256=([0-9A-Fa-f]{64})\Z")
_PRINTED = re.compile(r"[!-~]{1,500}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an index is: a URL, or the absolute path of a file; and the pin in its fragment, if any."""

    source: str
    sha256: str = ""

    @property
    def is_url(self) -> bool:
        """Whether the index is retrieved with HTTP."""
        return self.source.startswith(("https://", "http://"))


def address_of(text: str) -> Address:
    """Parse what the operator wrote: `https://…`, `file:…` or a path, with `#sha256=…` or without it. Raises IndexRefused."""
    pin = _PIN.search(text)
    place = text[: pin.start()] if pin else text
    sha256 = pin[1].lower() if pin else ""
    if place.lower().startswith(("https://", "http://")):
        parts = urlsplit(place)
        if not _PRINTED.fullmatch(place) or not parts.hostname or parts.username is not None or parts.fragment:
            raise IndexRefused("The URL must name a host, without a user name; a fragment must be `#sha256=` and 64 hexadecimal digits.")
        return Address(parts.geturl(), sha256)
    if place.lower().startswith("file:"):
        place = url2pathname(urlsplit(place).path)
    return Address(str(Path(place).expanduser().absolute()), sha256)


def fetch(address: Address, suffix: str = "", *, allow_private: bool, limit: int = MAX_BYTES) -> bytes:
    """Read an index, or the file beside it with `suffix`, of at most `limit` bytes. Raises IndexRefused.

    A URL must begin with `https://` and lead to a public address, also after redirects. A URL on loopback may begin with `http://`, and
    `allow_private` allows private addresses.
    """
    place = address.source + suffix
    if not address.is_url:
        return _read(Path(place), limit)

    def check(url: str) -> None:
        """Raise NotPublic for a URL that must not be requested."""
        host = urlsplit(url).hostname or ""
        if is_loopback(host) and (allow_private or is_loopback(urlsplit(address.source).hostname or "")):
            return
        if allow_private and url.startswith("https://"):
            return
        require_public_url(url)

    try:
        with Web(Reach(), check=check) as web:
            return web.page(place, "application/toml, */*;q=0.1", {"Accept-Encoding": "identity"}, limit=limit, within_s=WITHIN_S).body
    except (SourceFailed, NotPublic) as failed:
        raise IndexRefused(f"{place} cannot be read: {failed}.") from failed


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise IndexRefused(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > limit:
        raise IndexRefused(f"{path} is larger than {limit} bytes.")
    return content
