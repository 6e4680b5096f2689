"""Speak text while it is generated: text on standard input, raw audio on standard output.

    ollama run llama3.2 "Tell me a story." | python read_aloud.py alloy | aplay -q -t raw -f S16_LE -r 24000 -c 1

Needs `pip install websockets`. `OPENAI_BASE_URL` and `OPENAI_API_KEY` set the server, as for every client of OpenAI's API; the default
is a server on this machine.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import threading

from websockets.sync.client import ClientConnection, connect

READ_BYTES = 4096
"""Maximum size of one message of text."""


def main() -> None:
    """Speak in the voice given on the command line."""
    base = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8100/v1")
    url = f"ws{base.removeprefix('http').rstrip('/')}/audio/speech/stream"
    key = os.environ.get("OPENAI_API_KEY")
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"} if key else None) as socket:
        voice = {"voice": sys.argv[1]} if len(sys.argv) > 1 else {}
        socket.send(json.dumps({"type": "config", "sample_rate": 24_000, **voice}))
        threading.Thread(target=write, args=(socket,), daemon=True).start()
        play(socket)


def write(socket: ClientConnection) -> None:
    """Send text as it arrives, until standard input ends."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := os.read(sys.stdin.fileno(), READ_BYTES):
        socket.send(json.dumps({"type": "text", "text": decoder.decode(data)}))
    socket.send(json.dumps({"type": "end"}))


def play(socket: ClientConnection) -> None:
    """Write audio as it arrives, until the end of the speech; exit with the message of an error."""
    for message in socket:
        if isinstance(message, bytes):
            sys.stdout.buffer.write(message)
            sys.stdout.buffer.flush()
        elif (event := json.loads(message))["type"] == "error":
            sys.exit(event["error"]["message"])


if __name__ == "__main__":
    main()
