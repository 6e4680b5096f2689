"""HTTP client for pages and files: downloads are resumable, requests have timeouts, and failures become SourceFailed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from open_speech.errors import WeightsCorrupt
from open_speech.model_files import WeightFile
from open_speech.weights.part_file import Part, require_space
from open_speech.weights.progress import Meter
from open_speech.weights.reach import DEADLINE_S, Reach, SourceFailed

ATTEMPTS = 4
"""Attempts per file; each resumes the one before."""
PAGE_LIMIT = 64 << 20
"""Maximum size of a page in bytes; the largest page of a package index is below 30 MB."""
PAGE_S = 300.0
"""Maximum time for a whole page in seconds."""
_SILENCE_S = 30.0
PAUSE_S = 0.5
"""Pause before the second attempt in seconds; each later pause is longer by the same time."""
_REDIRECTS = 5
_BUSY = {408, 425, 429, 500, 502, 503, 504}

CheckUrl = Callable[[str], None]
"""Raises ValueError for a URL that must not be requested; the message is a clause that begins with `its`."""


class FileUnavailable(SourceFailed):
    """The server does not have this file, or denies access to it."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(f"{host} returned {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Page:
    """A whole response; `url` is its URL after redirects."""

    content_type: str
    body: bytes
    url: str


class _Retryable(Exception):
    """This attempt failed, and another may succeed."""


class Web:
    """The connections of one pull. A context manager."""

    def __init__(self, reach: Reach, verify: ssl.SSLContext | bool = True, pause_s: float = PAUSE_S, check: CheckUrl | None = None) -> None:
        """`verify` is httpx's parameter: how TLS certificates are verified. `check` decides on each URL, before and after redirects."""
        self._reach = reach
        self._pause_s = pause_s
        self._check = check
        hooks = {"request": [lambda request: self._require(str(request.url))]}
        timeout = httpx.Timeout(_SILENCE_S, connect=DEADLINE_S)
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, verify=verify, event_hooks=hooks)

    def __enter__(self) -> Web:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def _require(self, url: str) -> None:
        """Raise SourceFailed for a URL that must not be requested."""
        if self._check is not None:
            try:
                self._check(url)
            except ValueError as refused:
                raise SourceFailed(str(refused)) from refused

    def page(
        self, url: str, accept: str, headers: Mapping[str, str] | None = None, *, limit: int = PAGE_LIMIT, within_s: float = PAGE_S
    ) -> Page:
        """Get a page of at most `limit` bytes, which must arrive within `within_s` seconds. Raises SourceFailed, or FileUnavailable."""
        deadline = time.monotonic() + within_s
        with self._request("GET", url, {**(headers or {}), "Accept": accept}) as response:
            _raise_for_status(response)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > limit:
                    raise SourceFailed(f"its page is larger than {limit} bytes")
                if time.monotonic() > deadline:
                    raise SourceFailed(f"its page did not arrive within {within_s:g} s")
            return Page(response.headers.get("content-type", ""), bytes(body), str(response.url))

    def head(self, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Get the headers of a file, names in lower case, without redirects to other hosts. Raises SourceFailed, or FileUnavailable."""
        request_headers = {**headers, "Accept-Encoding": "identity"}
        for _ in range(_REDIRECTS):
            with self._request("HEAD", url, request_headers, follow=False) as response:
                redirected = response.next_request
                if redirected is None or redirected.url.host != response.url.host:
                    if not response.is_redirect:
                        _raise_for_status(response)
                    return {name.lower(): value for name, value in response.headers.items()}
                url = str(redirected.url)
        raise SourceFailed("it redirects too often")

    @contextmanager
    def _request(self, method: str, url: str, headers: Mapping[str, str], *, follow: bool = True) -> Iterator[httpx.Response]:
        self._require(url)
        self._reach.check(url)
        try:
            with self._client.stream(method, url, headers=headers, follow_redirects=follow) as response:
                yield response
        except _Retryable as refusal:
            raise SourceFailed(str(refusal)) from refusal
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self._reach.mark_unreachable(url)
            raise SourceFailed(_message(error)) from error

    def download(self, url: str, target: Path, expected: WeightFile, meter: Meter, headers: Mapping[str, str] | None = None) -> WeightFile:
        """Download one file to `target`, resuming an earlier attempt; return it with its true hash and size.

        Raises SourceFailed, FileUnavailable, WeightsCorrupt (wrong content, deleted) or WeightsUnavailable (no room on the disk).
        """
        meter.file(expected.path)
        self._require(url)
        reason = ""
        for attempt in range(ATTEMPTS):
            time.sleep(self._pause_s * attempt)
            self._reach.check(url)
            try:
                return self._attempt(url, target, expected, meter, headers or {})
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.TooManyRedirects) as error:
                # The failed host may be the target of a redirect; another request to the first host would only lead there again.
                self._reach.mark_unreachable(url)
                raise SourceFailed(_message(error)) from error
            except (_Retryable, httpx.HTTPError) as error:
                reason = _message(error)
        raise SourceFailed(reason)

    def _attempt(self, url: str, target: Path, expected: WeightFile, meter: Meter, headers: Mapping[str, str]) -> WeightFile:
        # Without a known hash it could not be verified that the two halves belong to the same file.
        with Part(target, expected, resume=expected.is_identified) as part:
            resumed = part.size
            try:
                if not resumed or resumed != expected.size:
                    self._fill(url, part, meter, headers)
                meter.at(part.size)
                return part.finish()
            except WeightsCorrupt as wrong:
                if resumed:
                    raise _Retryable(wrong.message) from wrong
                raise

    def _fill(self, url: str, part: Part, meter: Meter, headers: Mapping[str, str]) -> None:
        request_headers = {**headers, "Accept-Encoding": "identity"}
        if part.size:
            request_headers["Range"] = f"bytes={part.size}-"
        with self._client.stream("GET", url, headers=request_headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.discard()
                raise _Retryable("it refused to continue the file")
            _raise_for_status(response)
            if not response.headers.get("content-range", "").startswith(f"bytes {part.size}-"):
                part.restart()
            length = int(response.headers.get("content-length") or 0)
            require_space(part.folder, length)
            for chunk in response.iter_raw():
                part.write(chunk)
                meter.at(part.size)


def _raise_for_status(response: httpx.Response) -> None:
    """Raise unless the response is successful: _Retryable, FileUnavailable or SourceFailed."""
    status = response.status_code
    if status in _BUSY:
        raise _Retryable(f"{response.url.host} returned {status}")
    if response.is_error:
        raise FileUnavailable(response.url.host, status)
    if not response.is_success:
        raise SourceFailed(f"{response.url.host} returned {status}")


def _message(error: Exception) -> str:
    return str(error) or type(error).__name__
