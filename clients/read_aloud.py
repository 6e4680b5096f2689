"""Speak text while it is written: text on standard input, raw sound on standard output.

    ollama run llama3.2 "Tell me a story." | python read_aloud.py alloy | aplay -q -t raw -f S16_LE -r 24000 -c 1

Needs `pip install websockets`. `OPENAI_BASE_URL` and `OPENAI_API_KEY` say where the server is, as for every client of OpenAI's; without
them it is this machine's.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import threading

from websockets.sync.client import ClientConnection, connect

MOST_AT_ONCE = 4096
"""Bytes."""


def main() -> None:
    """Speak in the voice that is named on the command line."""
    base = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8100/v1")
    url = f"ws{base.removeprefix('http').rstrip('/')}/audio/speech/stream"
    key = os.environ.get("OPENAI_API_KEY")
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"} if key else None) as socket:
        voice = {"voice": sys.argv[1]} if len(sys.argv) > 1 else {}
        socket.send(json.dumps({"type": "config", "sample_rate": 24_000, **voice}))
        threading.Thread(target=write, args=(socket,), daemon=True).start()
        play(socket)


def write(socket: ClientConnection) -> None:
    """Send text as it comes, to its end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while piece := os.read(sys.stdin.fileno(), MOST_AT_ONCE):
        socket.send(json.dumps({"type": "text", "text": decoder.decode(piece)}))
    socket.send(json.dumps({"type": "end"}))


def play(socket: ClientConnection) -> None:
    """Write sound out as it is made, until all is said; leaves with the message of an error."""
    for message in socket:
        if isinstance(message, bytes):
            sys.stdout.buffer.write(message)
            sys.stdout.buffer.flush()
        elif (told := json.loads(message))["type"] == "error":
            sys.exit(told["error"]["message"])


if __name__ == "__main__":
    main()
