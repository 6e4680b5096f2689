"""What BentoML 1.4 needs to carry speech: two cures for its client, seven for its arbiter, two for its server.

Import before a service is built.

1. Its client never closes the response of an abandoned stream, so a runner would synthesise to the end for nobody.
   `_parse_stream_response` below closes the connection, and that cancels the runner's generator.
2. Its client tears its session down every 100 requests or 300 seconds, under the calls that are in flight. RUNNER_CONNECTION
   switches that off; every dependency service must carry it.
3. Its arbiter looks for dead processes every 10 seconds; a voice agent waits for none of them. It looks every second here.
4. Its server answers 504 to whatever has not begun to answer after `traffic.timeout`, keeps a timer for every request until then, and
   hangs as long when a handler raises first. A film takes hours, and every wait of ours has its own deadline: it is switched off.
5. Its server passes no WebSocket options on to uvicorn, whose limit for a message is 16 MiB and whose patience for a pong is 20 seconds.
   A Realtime client may send 21 MiB at once, and one whose sound is not read at the moment has its pong read late. Nor does it bound
   the heads of requests, and small frames that nobody reads: `_protocols` does. It believes the `X-Forwarded-For` of whoever is on this
   machine, where whom to believe is our setting; and it reads a certificate once, where one that is renewed is to be shown from then on.
6. In a container its arbiter does not start a process again that has ended, and ends the whole server instead. Runners end by themselves
   to give memory back, and a crash of one is no reason to stop: they are started again everywhere.
7. Its arbiter stops all processes at once, and before that deletes the sockets between them. The doors finish what they have accepted, and
   need the runners for that: they go first, and the sockets last.

The rest is in `runners/host/arbiter.py`, and docs/decisions/0001-arbiter-sockets.md says more of it:

8. Its arbiter listens for commands on two TCP ports of the loopback address and asks for no password. Any user of the machine could read
   the server's API keys there and run programs as the server. Here the arbiter listens on nothing; with `--reload`, whose plugin needs the
   sockets, they are unix sockets in a folder of mode 0700.
9. Runners listen on loopback TCP when `BENTOML_NO_UDS` is set, and on WSL always. They accept pickle, so any user of the machine could run
   code in them. Here they always listen on unix sockets in a folder of mode 0700. The folder of metrics gets that mode, too.
10. Each process gets the whole environment. Here it gets what is no secret, and its own secrets (`runners/host/environment.py`).
11. Each process inherits the sockets of all, so a runner could accept the front's connections. Here it gets its own socket only.
12. The front listens on TCP only. With OS_UNIX_SOCKET it listens on a Unix socket (`runners/host/front_socket.py`).
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import uvicorn
from _bentoml_impl.client import proxy2  # noqa: TID251 - this file is the home of what we change in BentoML
from _bentoml_impl.serde import Payload  # noqa: TID251
from bentoml import serving  # noqa: TID251
from bentoml._internal import log  # noqa: TID251
from bentoml._internal.context import server_context  # noqa: TID251
from bentoml._internal.server.http import traffic  # noqa: TID251
from bentoml._internal.utils import circus  # noqa: TID251
from opentelemetry import trace

from open_speech import logs
from open_speech.config import Settings
from open_speech.http import tls
from runners.host import arbiter
from runners.host.uvicorn_limits import BoundedHttp, BoundedWebSocket

RUNNER_CONNECTION = {"max_requests": 1_000_000_000, "max_age": 1e9}
ARBITER_CHECK_S = 1.0
_create = uvicorn.config.create_ssl_context
DOORS = ("service", "service_wyoming_door")
"""The arbiter's names for the processes that take requests; the others are runners."""
UVICORN = {
    "http": BoundedHttp, "ws": BoundedWebSocket, "proxy_headers": False, "ws_max_size": 24 << 20, "ws_ping_timeout": 60.0,
    "ws_per_message_deflate": False,  # a frame of 24 KiB would become 24 MiB in one turn of the event loop
}  # fmt: skip


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


async def _stop_doors_first(self: Any, close_output_streams: bool = False, watcher_iter_func: Any = None) -> None:
    watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
    doors = [watcher for watcher in watchers if watcher.name in DOORS]
    for door in doors:
        door.stop_children = False  # its children decode what it has accepted
    await asyncio.gather(*(_stopped(door, close_output_streams) for door in doors))
    await asyncio.gather(*(_stopped(watcher, close_output_streams) for watcher in watchers if watcher not in doors))
    if self._stopping:  # at a reload the processes start again on the same sockets
        self.exit_stack.close()


def _stop(self: Any) -> Any:
    return circus.Arbiter.__base__.stop(self)


async def _stopped(watcher: Any, close_output_streams: bool) -> None:
    await watcher._stop(close_output_streams)


def _create_ssl_context(certfile: Any, keyfile: Any, *arguments: Any, **more: Any) -> ssl.SSLContext:
    context = _create(certfile, keyfile, *arguments, **more)
    tls.follow(context, str(certfile), str(keyfile or certfile))
    return context


def _never() -> bool:
    return False


def apply() -> None:
    """Put the cures in place; safe to call again. Raises AttributeError when a new BentoML has moved what they replace."""
    client = proxy2.AsyncClient
    _ = client._parse_stream_response, client._get_stream, circus.create_standalone_arbiter, traffic.TimeoutMiddleware.__call__
    _ = circus.Arbiter._stop_watchers, circus.Arbiter.stop, serving.running_inside_container
    arbiter.apply()
    circus.Arbiter._stop_watchers = _stop_doors_first
    circus.Arbiter.stop = _stop  # type: ignore[method-assign]
    serving.running_inside_container = _never  # type: ignore[assignment]
    uvicorn.config.create_ssl_context = _create_ssl_context
    traffic.TimeoutMiddleware.__call__ = _no_timeout  # type: ignore[method-assign]
    client._parse_stream_response = _parse_stream_response
    client._get_stream = _get_stream
    if not isinstance(circus.create_standalone_arbiter, functools.partial):
        circus.create_standalone_arbiter = functools.partial(circus.create_standalone_arbiter, check_delay=ARBITER_CHECK_S)
    if not isinstance(vars(uvicorn.Config)["__init__"], functools.partialmethod):
        uvicorn.Config.__init__ = functools.partialmethod(uvicorn.Config.__init__, **UVICORN)  # type: ignore[method-assign, assignment]


apply()


@contextmanager
def quiet() -> Iterator[None]:
    """Build a BentoML service without the deprecation warnings of BentoML's own use of pydantic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def share_log(settings: Settings) -> None:
    """Have BentoML's log lines and ours written in one form; called in a served process, where BentoML has set up its own."""
    logs.install(settings.os_log_format, settings.os_log_level, fields=_whereabouts, foreign=("bentoml", "uvicorn.error", "circus"))


def prepare_log(settings: Settings) -> None:
    """Have the arbiter, which sets up its log when it starts, write in that form, too."""
    log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": functools.partial(logs.formatter, settings.os_log_format, _whereabouts)}


def _whereabouts() -> dict[str, str]:
    """Tell for a log line which process writes it, and the trace it belongs to where traces are collected."""
    told = {"service": server_context.service_name or "arbiter"}
    span = trace.get_current_span().get_span_context()
    if span.is_valid and span.trace_flags.sampled:
        told |= {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}
    return told
