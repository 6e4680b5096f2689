"""What BentoML 1.4 needs to carry speech: two cures for its client, one for its arbiter, one for its server.

Import before a service is built.

1. Its client never closes the response of an abandoned stream, so a runner would synthesise to the end for nobody.
   `_parse_stream_response` below closes the connection, and that cancels the runner's generator.
2. Its client tears its session down every 100 requests or 300 seconds, under the calls that are in flight. RUNNER_CONNECTION
   switches that off; every dependency service must carry it.
3. Its arbiter looks for dead processes every 10 seconds; a voice agent waits for none of them. It looks every second here.
4. Its server answers 504 to whatever has not begun to answer after `traffic.timeout`, keeps a timer for every request until then, and
   hangs as long when a handler raises first. A film takes hours, and every wait of ours has its own deadline: it is switched off.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import aiohttp
from _bentoml_impl.client import proxy2  # noqa: TID251 - this file is the home of what we change in BentoML
from _bentoml_impl.serde import Payload  # noqa: TID251
from bentoml._internal.server.http import traffic  # noqa: TID251
from bentoml._internal.utils import circus  # noqa: TID251
from bentoml.exceptions import BentoMLException, ServiceUnavailable  # noqa: TID251

from open_speech.errors import BackendFailed
from open_speech.remote import RunnerGone
from open_speech.wire import DiarizeCall, HearCall, SpeakCall, TranscribeCall

RUNNER_CONNECTION = {"max_requests": 1_000_000_000, "max_age": 1e9}
ARBITER_CHECK_S = 1.0


async def _parse_stream_response(self: Any, endpoint: Any, response: Any) -> AsyncGenerator[Any, None]:
    try:
        async for data in response.content.iter_any():
            yield self._deserialize_output(Payload((data,), response.headers), endpoint)
    finally:
        response.close()  # not release(): the connection must drop for the runner to notice


async def _get_stream(self: Any, endpoint: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any, None]:
    async with aclosing(await self._call(endpoint, args, kwargs)) as chunks:
        async for data in chunks:
            yield data


async def _no_timeout(self: Any, scope: Any, receive: Any, send: Any) -> None:
    await self.app(scope, receive, send)


def apply() -> None:
    """Put the cures in place; safe to call again. Raises AttributeError when a new BentoML has moved what they replace."""
    client = proxy2.AsyncClient
    _ = client._parse_stream_response, client._get_stream, circus.create_standalone_arbiter, traffic.TimeoutMiddleware.__call__
    traffic.TimeoutMiddleware.__call__ = _no_timeout  # type: ignore[method-assign]
    client._parse_stream_response = _parse_stream_response
    client._get_stream = _get_stream
    if not isinstance(circus.create_standalone_arbiter, functools.partial):
        circus.create_standalone_arbiter = functools.partial(circus.create_standalone_arbiter, check_delay=ARBITER_CHECK_S)


apply()


@contextmanager
def quiet() -> Iterator[None]:
    """Build a BentoML service without the deprecation warnings of BentoML's own use of pydantic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def share_log() -> None:
    """Send our log lines where BentoML sends its own; called in a served process, which has set those up."""
    ours = logging.getLogger("open_speech")
    ours.handlers = logging.getLogger("bentoml").handlers
    ours.setLevel(logging.INFO)
    ours.propagate = False


class ServiceLink:
    """A runner behind a BentoML dependency, as `open_speech.remote.Link`: its client's failures become RunnerGone or a SpeechError."""

    def __init__(self, dependency: Any) -> None:
        """Wrap what `bentoml.depends` gave the front service."""
        self._calls = dependency.to_async
        self._dependency = dependency

    async def transcribe(self, call: TranscribeCall) -> AsyncGenerator[bytes, None]:
        """Pass the call on; yields bytes of frames."""
        async with aclosing(_mapped(self._calls.transcribe(call=call))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def hear(self, call: HearCall) -> AsyncGenerator[bytes, None]:
        """Pass the call on; yields bytes of frames."""
        async with aclosing(_mapped(self._calls.hear(call=call))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def diarize(self, call: DiarizeCall) -> AsyncGenerator[bytes, None]:
        """Pass the call on; yields bytes of frames."""
        async with aclosing(_mapped(self._calls.diarize(call=call))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def synthesize(self, call: SpeakCall) -> AsyncGenerator[bytes, None]:
        """Pass the call on; yields bytes of frames."""
        async with aclosing(_mapped(self._calls.synthesize(call=call))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def load(self, model: str) -> AsyncGenerator[bytes, None]:
        """Pass the call on; yields bytes of frames."""
        async with aclosing(_mapped(self._calls.load_model(model=model))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def unload(self, model: str) -> bool:
        """Pass the call on."""
        with _mapping():
            return bool(await self._calls.unload_model(model=model))

    async def status(self) -> dict[str, Any]:
        """Pass the call on."""
        with _mapping():
            return dict(await self._calls.status())


@contextmanager
def _mapping() -> Iterator[None]:
    try:
        yield
    except (OSError, aiohttp.ClientError, ServiceUnavailable) as gone:
        raise RunnerGone(type(gone).__name__) from gone
    except BentoMLException as broken:
        raise BackendFailed("The backend refused the call.") from broken


async def _mapped(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    with _mapping():
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
