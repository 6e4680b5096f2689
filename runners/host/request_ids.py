"""The request id in calls to a runner: sent as a header of each call, and added to each log line of the runner."""

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
    """An OpenTelemetry propagator that adds the request id; BentoML's client gets the headers of each call from propagators."""

    def extract(self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter) -> Context:
        """Return the context unchanged: Receiver reads the id on the receiving side."""
        return Context() if context is None else context

    def inject(self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter) -> None:
        """Write the id of the current request, if there is one."""
        if (doing := logs.context()) is not None:
            setter.set(carrier, HEADER, doing.id)

    @property
    def fields(self) -> set[str]:
        """The names of the headers that `inject` may write."""
        return {HEADER}


class Receiver:
    """ASGI middleware of a runner: handles each call in the log context of the request id in its header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one call."""
        told = next((value for name, value in scope.get("headers", ()) if name == HEADER.encode()), b"")[:_LONGEST]
        if not told:
            await self._app(scope, receive, send)
            return
        with logs.on(logs.RequestContext(told.decode("latin-1"))):
            await self._app(scope, receive, send)


def send_along() -> None:
    """Send the request id with every call of this process; safe to call again."""
    present = get_global_textmap()
    if not isinstance(present, _Composite):
        set_global_textmap(_Composite([present, _Sender()]))


class _Composite(CompositePropagator):
    """A type of our own, by which `send_along` recognizes that it was already called."""
