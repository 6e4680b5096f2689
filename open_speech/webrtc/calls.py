"""The open calls of a server: their number, their owners, and the work of each. Independent of the APIs that make calls.

aiortc is an optional dependency and is imported with the first call.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily
from starlette.websockets import WebSocketDisconnect

from open_speech.concurrency.slots import Slots
from open_speech.concurrency.task_group import Tasks
from open_speech.config import Settings
from open_speech.errors import InvalidValue, SpeechError, UnknownItem, UnknownPath
from open_speech.metrics.exposition import Dump, dumped
from open_speech.webrtc.offers import read_offer

if TYPE_CHECKING:
    from open_speech.webrtc.peer import Peer

log = logging.getLogger("open_speech.webrtc")

EXTRA = "webrtc"
ANSWER_S = 15.0
"""Seconds within which an offer is answered; STUN and TURN servers have five of them."""


class WebRtcNotInstalled(SpeechError):
    """The server was installed without the extra for WebRTC."""

    status = 501
    code = "not_installed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a call. Nobody else may end it or attach to it."""

    holder: str
    """Name of the API key; empty on a server without keys."""
    ephemeral_key: str = field(default="", repr=False)
    """The ephemeral key with which the call was made; empty for an API key."""

    def may_use(self, call: Call) -> bool:
        """Return whether this caller may end a call or attach to it: with the API key, also calls of the ephemeral keys that it created."""
        own = call.owner
        is_same_key = hmac.compare_digest(self.ephemeral_key.encode(), own.ephemeral_key.encode())
        return self.holder == own.holder and (is_same_key or not self.ephemeral_key)


@dataclass(eq=False, slots=True)
class Call:
    """One open call."""

    id: str
    owner: Owner
    peer: Peer
    answer: str
    """The SDP answer."""
    session: object = None
    """What the API that made the call keeps of it."""
    work: asyncio.Task[None] | None = None


def is_installed() -> bool:
    """Return whether the packages of the extra are here."""
    return find_spec("aiortc") is not None


class Calls:
    """The calls of one server."""

    def __init__(self, settings: Settings) -> None:
        limit = settings.os_webrtc_max_calls
        self._settings = settings
        self._slots = Slots(limit, "OS_WEBRTC_MAX_CALLS", each=settings.per_key(limit), kind="calls")
        self._calls: dict[str, Call] = {}
        self._tasks = Tasks()

    def check(self) -> None:
        """Raise UnknownPath if calls are switched off, or WebRtcNotInstalled."""
        if not self._settings.os_webrtc_enabled:
            raise UnknownPath("This server accepts no calls over WebRTC: OS_WEBRTC_ENABLED is off.")
        if not is_installed():
            raise WebRtcNotInstalled(f"This server was installed without WebRTC: install `open-speech[{EXTRA}]`.")

    @contextmanager
    def slot(self, owner: Owner) -> Iterator[None]:
        """Use one of the permitted calls within the block. Raises Overloaded, and the errors of `check`."""
        self.check()
        with self._slots.taken(owner.holder):
            yield

    async def answer(self, sdp: str, owner: Owner, *, id: str) -> Call:
        """Answer an offer; `id` is that of the call. Raises InvalidOffer, or Overloaded without a free port.

        The caller has taken a slot, and passes the call to `begin` or `discard`.
        """
        settings = self._settings
        servers = settings.ice_servers
        offer = await asyncio.to_thread(read_offer, sdp, keeps_candidates=bool(servers))
        for name in ("ice", "peer"):
            await asyncio.to_thread(importlib.import_module, f"open_speech.webrtc.{name}")
        from open_speech.webrtc.ice import Network  # noqa: PLC0415 - aiortc takes 0.3 s, and is optional
        from open_speech.webrtc.peer import Peer  # noqa: PLC0415 - as above

        peer = Peer(offer, Network(settings.webrtc_ports, settings.os_webrtc_addresses, servers))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await peer.answer()
        except BaseException as error:
            await peer.aclose()
            if isinstance(error, TimeoutError):
                raise InvalidValue("The offer could not be answered in time.", param="sdp") from None
            raise
        return Call(id, owner, peer, answer)

    def begin(self, call: Call, work: Callable[[Call], Coroutine[Any, Any, None]], held: ExitStack) -> None:
        """Run the work of a call in the background. It begins with `peer.connected`; `held` is closed after it."""
        self._calls[call.id] = call
        call.work = self._tasks.begin(self._run(call, work, held))

    def find(self, call_id: str, caller: Owner) -> Call:
        """Return a call. Raises UnknownItem, also for a call of another owner."""
        call = self._calls.get(call_id)
        if call is None or not caller.may_use(call):
            raise UnknownItem(f"There is no call `{call_id[:64]}`.", param="call_id")
        return call

    async def hang_up(self, call: Call) -> None:
        """End a call, and wait until it has ended."""
        if call.work is not None:
            call.work.cancel()
            await asyncio.wait([call.work])

    async def metrics(self) -> Dump:
        """Return the number of open calls."""
        open_calls = GaugeMetricFamily("open_speech_webrtc_calls", "Open calls over WebRTC.")
        open_calls.add_metric((), len(self._calls))
        return dumped([open_calls])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """End all calls with the block."""
        try:
            yield
        finally:
            await self._tasks.end()

    async def _run(self, call: Call, work: Callable[[Call], Coroutine[Any, Any, None]], held: ExitStack) -> None:
        with held:
            try:
                await work(call)
            except WebSocketDisconnect:
                log.info("the client of a call left before its session began")
            except TimeoutError:
                log.info("the client of a call did not connect within OS_WEBRTC_CONNECT_TIMEOUT_S")
            except Exception:  # noqa: BLE001 - the boundary of a call: nobody awaits this task
                log.exception("a call failed")
            finally:
                del self._calls[call.id]
                await asyncio.shield(call.peer.aclose())
