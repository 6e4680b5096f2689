"""The id of a request on its way to a runner: a header of each call, and there a part of each log line."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import CarrierT, Getter, Setter, TextMapPropagator, default_getter, default_setter
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech import logs

HEADER = "x-request-id"
_LONGEST = 128


class _Sender(TextMapPropagator):
    """Writes the id beside what OpenTelemetry writes, which BentoML's client asks for headers before each call."""

    def extract(self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter) -> Context:
        """Read nothing: who receives a call has Receiver."""
        return Context() if context is None else context

    def inject(self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter) -> None:
        """Write the id of what is being done."""
        if (doing := logs.context()) is not None:
            setter.set(carrier, HEADER, doing.id)

    @property
    def fields(self) -> set[str]:
        """Name what may be written."""
        return {HEADER}


class Receiver:
    """ASGI middleware of a runner: what a call does, and logs, is done for the request whose id came with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        told = next((value for name, value in scope.get("headers", ()) if name == HEADER.encode()), b"")[:_LONGEST]
        if not told:
            await self._app(scope, receive, send)
            return
        with logs.on(logs.RequestContext(told.decode("latin-1"))):
            await self._app(scope, receive, send)


def send_along() -> None:
    """Have the id sent with every call of this process; safe to call again."""
    present = get_global_textmap()
    if not isinstance(present, _Composite):
        set_global_textmap(_Composite([present, _Sender()]))


class _Composite(CompositePropagator):
    """Told from BentoML's own by its type."""
