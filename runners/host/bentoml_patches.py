"""Patches of BentoML 1.4 and of uvicorn. Importing this module applies them; import it before a service is built.

docs/decisions/0009-bentoml-patches.md describes each: the upstream issue, what breaks without it, its test, and when it can be removed.
The patches of the arbiter's sockets and environments are in `runners/host/arbiter.py`, the limits of uvicorn's protocols in
`runners/host/uvicorn_limits.py`.
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
from _bentoml_impl.server import allocator, app  # noqa: TID251
from bentoml import serving  # noqa: TID251
from bentoml._internal import log  # noqa: TID251
from bentoml._internal.context import server_context  # noqa: TID251
from bentoml._internal.marshal.dispatcher import NonBlockSema  # noqa: TID251
from bentoml._internal.server.http import traffic  # noqa: TID251
from bentoml._internal.utils import circus  # noqa: TID251
from opentelemetry import trace

from open_speech import logs
from open_speech.config import Settings
from open_speech.http import tls
from runners.host import arbiter
from runners.host.arbiter import replace
from runners.host.uvicorn_limits import BoundedHttp, BoundedWebSocket

RUNNER_CONNECTION = {"max_requests": 1_000_000_000, "max_age": 1e9}
"""A setting of every dependency service. Without it, the client closes its connections, with their calls, every 100 calls or 300 s."""
ARBITER_CHECK_S = 1.0
FRONT_PROCESSES = ("service", "service_wyoming_door")
"""The arbiter's names of the processes that accept requests; the others are runners."""
UVICORN = {
    "http": BoundedHttp, "ws": BoundedWebSocket, "proxy_headers": False, "ws_max_size": 24 << 20, "ws_ping_timeout": 60.0,
    "ws_per_message_deflate": False,  # a frame of 24 KiB could be decompressed to 24 MiB in one step of the event loop
}  # fmt: skip
"""Options that BentoML does not pass on to uvicorn.

A Realtime client may send 21 MiB in one message (uvicorn's default: 16 MiB), and the pong of a client is read late while its audio is not
read (default: 20 s). `X-Forwarded-For` is accepted only from OS_TRUSTED_PROXIES (default: from every client on this machine).
"""


def close_abandoned_streams() -> None:
    """Make the client close the connection of an abandoned stream, which stops the runner. By default it reads the stream to the end."""

    async def parse_stream_response(self: Any, endpoint: Any, response: Any) -> AsyncGenerator[Any, None]:
        try:
            async for data in response.content.iter_any():
                yield self._deserialize_output(Payload((data,), response.headers), endpoint)
        finally:
            response.close()  # not release(): the connection must drop for the runner to notice

    async def get_stream(self: Any, endpoint: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(await self._call(endpoint, args, kwargs)) as chunks:
            async for data in chunks:
                yield data

    replace(proxy2.AsyncClient, "_parse_stream_response", parse_stream_response)
    replace(proxy2.AsyncClient, "_get_stream", get_stream)


def disable_the_response_timeout() -> None:
    """Disable the response 504 after `traffic.timeout`: a long file takes hours, and every wait has a deadline of its own.

    BentoML also keeps a timer for each request until then, and waits as long when a handler raises before it responds.
    """

    async def no_timeout(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    replace(traffic.TimeoutMiddleware, "__call__", no_timeout)


def look_for_dead_processes_every_second() -> None:
    """Make the arbiter check for ended processes every second instead of every 10 s: a voice agent cannot wait that long."""
    create = functools.partial(circus.create_standalone_arbiter, check_delay=ARBITER_CHECK_S)
    replace(circus, "create_standalone_arbiter", create)


def restart_processes_in_containers() -> None:
    """Make the arbiter restart an ended process in a container, too, instead of stopping the server.

    Runners end by themselves to return memory, and the crash of one runner must not stop the others.
    """
    replace(serving, "running_inside_container", lambda: False)


def leave_gpus_to_the_runners() -> None:
    """Switch off the allocator of GPUs, as BENTOML_DISABLE_GPU_ALLOCATION does: the runners choose by STT_DEVICE and TTS_DEVICE.

    By default each service that declares a GPU gets another one, so with a single GPU only the first of them sees it.
    """
    replace(allocator.ResourceAllocator, "gpu_allocation_disabled", staticmethod(lambda: True))


def decode_one_batch_per_thread() -> None:
    """Let BentoML's batching give a service as many batches at a time as it has threads. By default it waits for the end of each batch."""
    original = app.ServiceAppFactory.__init__

    def init(self: Any, service: Any, *arguments: Any, **options: Any) -> None:
        original(self, service, *arguments, **options)
        for dispatcher in self.dispatchers.values():
            dispatcher._sema = NonBlockSema(service.config.get("threads", 1))

    replace(app.ServiceAppFactory, "__init__", init)


def stop_front_processes_first() -> None:
    """Make the arbiter stop the front processes first, then the runners, and delete the sockets between them last.

    By default it deletes the sockets and then stops all processes at once. The front needs the runners to finish accepted requests.
    """

    async def stop_watchers(self: Any, close_output_streams: bool = False, watcher_iter_func: Any = None) -> None:
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        fronts = [watcher for watcher in watchers if watcher.name in FRONT_PROCESSES]
        for front in fronts:
            front.stop_children = False  # its children decode the files of requests that it has accepted
        await asyncio.gather(*(_stopped(front, close_output_streams) for front in fronts))
        await asyncio.gather(*(_stopped(watcher, close_output_streams) for watcher in watchers if watcher not in fronts))
        if self._stopping:  # at a reload the processes start again on the same sockets
            self.exit_stack.close()

    def stop(self: Any) -> Any:
        return circus.Arbiter.__base__.stop(self)

    replace(circus.Arbiter, "_stop_watchers", stop_watchers)
    replace(circus.Arbiter, "stop", stop)


async def _stopped(watcher: Any, close_output_streams: bool) -> None:
    await watcher._stop(close_output_streams)


def pass_options_to_uvicorn() -> None:
    """Create uvicorn's configuration with UVICORN, which contains our protocols with limits."""
    replace(uvicorn.Config, "__init__", functools.partialmethod(uvicorn.Config.__init__, **UVICORN))


def follow_renewed_certificates() -> None:
    """Reload a certificate when its file changes. uvicorn loads it once."""
    create = uvicorn.config.create_ssl_context

    def create_and_follow(certfile: Any, keyfile: Any, *arguments: Any, **more: Any) -> ssl.SSLContext:
        context = create(certfile, keyfile, *arguments, **more)
        tls.follow(context, str(certfile), str(keyfile or certfile))
        return context

    replace(uvicorn.config, "create_ssl_context", create_and_follow)


PATCHES = (
    close_abandoned_streams,
    disable_the_response_timeout,
    look_for_dead_processes_every_second,
    restart_processes_in_containers,
    leave_gpus_to_the_runners,
    decode_one_batch_per_thread,
    stop_front_processes_first,
    pass_options_to_uvicorn,
    follow_renewed_certificates,
    *arbiter.PATCHES,
)


@functools.cache
def apply() -> None:
    """Apply the patches; a second call does nothing. Raises AttributeError if a new version has moved a replaced function."""
    for patch in PATCHES:
        patch()


apply()


@contextmanager
def quiet() -> Iterator[None]:
    """Build a BentoML service without the deprecation warnings of BentoML's own use of pydantic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def share_log(settings: Settings) -> None:
    """Write BentoML's log lines in our format; called in a served process, after BentoML has set up its own logging."""
    logs.install(settings.os_log_format, settings.os_log_level, fields=_whereabouts, foreign=("bentoml", "uvicorn.error", "circus"))


def prepare_log(settings: Settings) -> None:
    """Make the arbiter, which sets up its logging when it starts, write log lines in our format, too."""
    log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": functools.partial(logs.formatter, settings.os_log_format, _whereabouts)}


def _whereabouts() -> dict[str, str]:
    """Return the log fields that name the process, and the trace and span if the current trace is sampled."""
    told = {"service": server_context.service_name or "arbiter"}
    span = trace.get_current_span().get_span_context()
    if span.is_valid and span.trace_flags.sampled:
        told |= {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}
    return told
