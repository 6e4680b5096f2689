"""A real HTTP server on loopback for the files of a folder."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE_S


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Redirect `/to?URL` to the URL, and serve every other path."""
        path, _, query = self.path.partition("?")
        if path != "/to":
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", query)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def serve_files(folder: Path) -> Iterator[str]:
    """Serve a folder; the URL has no slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()
