"""Calls that end the process of their runner: how the process ended, and which calls are not sent again."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from open_speech.dispatch.frames import Call
from open_speech.errors import BackendCrashed

FATAL = 3
"""Deaths of the runner after which a call is given up."""
FORGET_S = 600.0
"""Seconds after the last death at which a call may be sent again: an update, or more memory, may have removed the cause."""
MOST_CALLS = 256
"""Maximum calls that are remembered; the oldest is forgotten first."""
_TURN_FIELDS = {"urgency", "patience_s", "asker"}
"""Fields of a call that determine its turn in the runner, and not its work."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a runner's process."""

    pid: int
    code: int
    """Its exit status, or minus the number of the signal that killed it."""

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Exit | None:
        """Return the end of the process before the one that returned this status; None if it is the first, or does not report it."""
        match status.get("previous_exit"):
            case {"pid": int(pid), "code": int(code)}:
                return cls(pid, code)
        return None

    def __str__(self) -> str:
        """Say what happened: `was killed by SIGILL (illegal instruction)`."""
        if self.code >= 0:
            return f"ended with exit status {self.code}"
        number = -self.code
        try:
            name = signal.Signals(number).name
        except ValueError:
            return f"was killed by signal {number}"
        # macOS adds the number: "Illegal instruction: 4".
        meaning = (signal.strsignal(number) or "").partition(":")[0].lower()
        if number == signal.SIGKILL:
            meaning = "killed from outside, or by the kernel because memory was exhausted"
        return f"was killed by {name} ({meaning})"


class FatalCalls:
    """The calls of one runner during which its process ended. Only deaths with a known cause and no other call in progress count.

    A call is compared by its content: the same text with the same voice is the same call, from any client.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`name` is the name of the backend, for messages."""
        self._name = name
        self._clock = clock
        self._deaths: OrderedDict[bytes, tuple[float, str, list[Exit]]] = OrderedDict()

    async def check(self, call: Call) -> None:
        """Raise BackendCrashed if the call was given up. Costs nothing as long as no runner has died."""
        self._expire()
        if self._deaths:
            _, _, exits = self._deaths.get(await asyncio.to_thread(fingerprint, call), (0.0, "", []))
            self._raise_if_fatal(exits)

    async def record(self, call: Call, ended: Exit) -> None:
        """Record that the process ended during a call while no other was in progress. Raises BackendCrashed if that gives up the call."""
        key = await asyncio.to_thread(fingerprint, call)
        self._expire()
        _, _, exits = self._deaths.pop(key, (0.0, "", []))
        exits.append(ended)
        self._deaths[key] = (self._clock(), call.model, exits)
        if len(self._deaths) > MOST_CALLS:
            self._deaths.popitem(last=False)
        self._raise_if_fatal(exits)

    def forget(self, model: str) -> None:
        """Forget all calls of a model: it is loaded or unloaded on request, and its calls may be sent again."""
        for key in [key for key, (_, of, _) in self._deaths.items() if of == model]:
            del self._deaths[key]

    def _expire(self) -> None:
        while self._deaths and self._clock() - next(iter(self._deaths.values()))[0] > FORGET_S:
            self._deaths.popitem(last=False)

    def _raise_if_fatal(self, exits: list[Exit]) -> None:
        if len(exits) < FATAL:
            return
        raise BackendCrashed(
            f"The runner `{self._name}` {exits[-1]} three times on this call. This call is refused for {FORGET_S / 60:g} minutes "
            "or until its model is loaded again; other calls are served."
        )


def fingerprint(call: Call) -> bytes:
    """Return a hash of what a call asks for. Takes about 0.5 s for an hour of audio."""
    values = dict(call) if isinstance(call, BaseModel) else {item.name: getattr(call, item.name) for item in fields(call)}
    digest = hashlib.sha256(type(call).api.encode())
    for name in sorted(values.keys() - _TURN_FIELDS):
        for value in values[name] if isinstance(values[name], tuple) else (values[name],):
            data = value if isinstance(value, bytes) else repr(value).encode()
            digest.update(f"{name} {len(data)} ".encode())
            digest.update(data)
    return digest.digest()
