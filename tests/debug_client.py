"""A client of the Debug Adapter Protocol, by which editors attach to a process: a header with the length, and JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.waiting import PATIENCE_S, until


class Debugger:
    """One connection to a process that listens for a debugger."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._stream = self._socket.makefile("rwb")
        self._sent = 0

    def send(self, command: str, **arguments: Any) -> int:
        self._sent += 1
        body = json.dumps({"seq": self._sent, "type": "request", "command": command, "arguments": arguments}).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._stream.flush()
        return self._sent

    def until(self, **wanted: Any) -> dict[str, Any]:
        """Read messages up to the first with these fields."""
        while True:
            length = 0
            while line := self._stream.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert length, "the process closed the connection"
            message: dict[str, Any] = json.loads(self._stream.read(length))
            if wanted.items() <= message.items():
                return message

    def attach(self) -> None:
        self.send("initialize", adapterID="test", pathFormat="path")
        self.until(type="response", command="initialize", success=True)
        self.send("attach", justMyCode=False)
        self.until(type="event", event="initialized")
        self.send("configurationDone")
        self.until(type="response", command="attach", success=True)

    def evaluate(self, expression: str) -> str:
        """Stop the process, and evaluate an expression in its main thread."""
        self.send("threads")
        threads = self.until(type="response", command="threads")["body"]["threads"]
        main = next(thread["id"] for thread in threads if thread["name"] == "MainThread")
        self.send("pause", threadId=main)
        self.until(type="event", event="stopped")
        self.send("stackTrace", threadId=main)
        frame = self.until(type="response", command="stackTrace")["body"]["stackFrames"][0]["id"]
        self.send("evaluate", expression=expression, frameId=frame)
        result: str = self.until(type="response", command="evaluate")["body"]["result"]
        self.send("disconnect", terminateDebuggee=False)
        self.until(type="response", command="disconnect")
        return result

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


@contextmanager
def attached(port: int) -> Iterator[Debugger]:
    """Attach to what listens on a port, once it does."""

    def connected() -> Debugger | None:
        with suppress(ConnectionRefusedError):
            return Debugger(port)
        return None

    client = until(connected, why=lambda: f"nothing listens on port {port}")
    try:
        client.attach()
        yield client
    finally:
        client.close()
