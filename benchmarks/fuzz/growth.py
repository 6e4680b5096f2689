"""Bodies, frames and events that are small on the wire and large once parsed, or slow to parse: one attack per input.

The attack is in the structure: 15 MiB of `[],` are five million lists. `python -m benchmarks growth` measures the memory that each
attack costs the server, and the latency of a probe during it.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from random import Random

from benchmarks.fuzz.attack import Attack, Target, connected, post, pour
from benchmarks.fuzz.media import wav
from benchmarks.fuzz.sockets import BINARY, TEXT, frame, opened

MIB = 1 << 20
JSON = "application/json"
WAIT_S = 2.0
"""Seconds that a WebSocket or Wyoming server has to respond before the connection is closed."""


@functools.cache
def repeated(head: bytes, piece: bytes, tail: bytes, mib: float) -> bytes:
    """Return JSON of about `mib` MiB that repeats `piece`."""
    return head + piece * int(mib * MIB / len(piece)) + tail


@functools.cache
def audio(mib: float) -> bytes:
    """Return `mib` MiB of silence in base64."""
    return base64.b64encode(bytes(int(mib * MIB)))


def lists(head: bytes, mib: float = 15.0, tail: bytes = b"[]]}") -> Callable[[], bytes]:
    """Return a function that returns `head` followed by millions of empty lists."""
    return lambda: repeated(head + b"[", b"[],", tail, mib)


def http(path: str, body: Callable[[], bytes], content_type: str = JSON) -> Attack:
    """Return the attack that posts one body."""

    async def attack(target: Target, _rng: Random) -> str:
        return (await post(target, path, body(), content_type)).judged()

    return attack


def socket(path: str, payload: Callable[[], bytes], code: int = TEXT) -> Attack:
    """Return the attack that sends one message to a WebSocket and waits up to WAIT_S for a response or the end of the connection."""

    @functools.cache
    def framed() -> bytes:
        return frame(code, payload())

    async def attack(target: Target, _rng: Random) -> str:
        async with opened(target, path) as (reader, writer):
            await pour(writer, [framed()])
            return await _outcome(reader)

    return attack


def wyoming(*pieces: Callable[[], bytes]) -> Attack:
    """Return the attack that sends Wyoming events and waits up to WAIT_S for the end of the connection."""

    async def attack(target: Target, _rng: Random) -> str:
        assert target.wyoming_port is not None
        async with connected(target, target.wyoming_port) as (reader, writer):
            await pour(writer, [piece() for piece in pieces])
            return await _outcome(reader)

    return attack


async def _outcome(reader: asyncio.StreamReader) -> str:
    """Read for WAIT_S seconds, or until the server closes the connection; return the outcome."""
    answers = False
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while await reader.read(1 << 16):
                answers = True
            return "closed"
    return "answers" if answers else "silent"


def form(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a multipart form without a file."""
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n" for name, value in fields]
    return b"".join([*parts, b"--edge--\r\n"])


def append(mib: float) -> Callable[[], bytes]:
    """Return a function that returns an append event of a Realtime session with `mib` MiB of audio."""
    return lambda: b'{"type":"input_audio_buffer.append","audio":"' + audio(mib) + b'"}'


SPEECH = b'{"model":"tts-1","input":"a b","voice":"alloy","x":'
TRANSCRIPTION = b'{"model":"whisper-1","x":'
FORM = "multipart/form-data; boundary=edge"
FILE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'


def _data(data: bytes, kind: str = "synthesize") -> bytes:
    return json.dumps({"type": kind, "data_length": len(data)}).encode() + b"\n" + data


def _chunk(mib: int) -> bytes:
    head = {"type": "audio-chunk", "data": {"rate": 16000, "width": 2, "channels": 1}, "payload_length": mib * MIB}
    return json.dumps(head).encode() + b"\n" + bytes(mib * MIB)


def _start() -> bytes:
    return b'{"type":"transcribe"}\n{"type":"audio-start","data":{"rate":16000,"width":2,"channels":1}}\n'


ATTACKS: Mapping[str, Attack] = {
    "growth: speech, lists": http("/v1/audio/speech", lists(SPEECH)),
    "growth: speech, objects": http("/v1/audio/speech", lambda: repeated(SPEECH + b"[", b'{"a":1},', b"{}]}", 15)),
    "growth: speech, keys": http("/v1/audio/speech", lambda: SPEECH
        + b"{" + b"".join(b'"%d":1,' % n for n in range(1_200_000)) + b'"":1}}'),
    "growth: speech, 90 MiB of text": http("/v1/audio/speech", lambda: repeated(b'{"model":"tts-1","input":"', b"word ", b'"}', 90)),
    "growth: speech, escapes": http("/v1/audio/speech", lambda: repeated(b'{"model":"tts-1","input":"', b"\\u00e9", b'"}', 15)),
    "growth: speech, digits": http("/v1/audio/speech", lambda: repeated(SPEECH + b"0.", b"7", b"}", 15)),
    "growth: speech, blanks": http("/v1/audio/speech", lambda: repeated(SPEECH + b"1", b" ", b"}", 15)),
    "growth: speech, a voice to clone": http(
        "/v1/audio/speech", lambda: SPEECH + b'1,"reference_audio":"' + audio(9.9) + b'"}'
    ),
    "growth: transcriptions, lists": http("/v1/audio/transcriptions", lists(TRANSCRIPTION)),
    "growth: transcriptions, 24 MiB of audio": http(
        "/v1/audio/transcriptions", lambda: TRANSCRIPTION + b'1,"input_audio":{"data":"' + audio(24) + b'"}}'
    ),
    "growth: jobs, lists": http("/v1/audio/jobs", lists(SPEECH)),
    "growth: client secrets, lists": http("/v1/realtime/client_secrets", lists(b'{"session":{"x":', tail=b"[]]}}")),
    "growth: sessions, lists": http("/v1/realtime/sessions", lists(b'{"x":')),
    "growth: pull, lists": http("/api/pull/tones/speak", lists(b'{"x":')),
    "growth: consent, lists": http("/v1/audio/voice_consents/none", lists(b'{"x":')),
    "growth: a form's JSON, lists": http("/v1/audio/transcriptions", lambda: FILE + form(
        [("model", b"whisper-1"), *((name, repeated(b"[", b"[],", b"[]]", 3.9)) for name in ("languages", "chunking_strategy"))]
    ), FORM),
    "growth: a form's list, commas": http("/v1/audio/transcriptions", lambda: FILE + form(
        [("model", b"whisper-1"), ("keywords", repeated(b"", b"a,", b"a", 3.9)), ("languages", repeated(b"", b"b,", b"b", 3.9))]
    ), FORM),
    "growth: a form of long fields": http("/v1/audio/transcriptions", lambda: FILE + form(
        [(f"f{number}", bytes(4_000_000)) for number in range(20)]
    ), FORM),
    "growth: realtime, lists": socket("/v1/realtime?model=tts-1", lists(b'{"type":"session.update","session":{"x":', tail=b"[]]}}")),
    "growth: realtime, 20 MiB of audio": socket(
        "/v1/realtime?intent=transcription", append(15)
    ),
    "growth: realtime, an item of audio": socket("/v1/realtime?model=tts-1", lambda: (
        b'{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_audio","audio":"'
        + audio(15) + b'"}]}}'
    )),
    "growth: live speech, 20 MiB of text": socket(
        "/v1/audio/speech/stream", lambda: repeated(b'{"type":"text","text":"', b"a ", b'"}', 20)
    ),
    "growth: live transcription, 20 MiB of text": socket("/v1/audio/stream?vad=false", lists(b'{"type":', 20)),
    "growth: live transcription, 20 MiB of audio": socket("/v1/audio/stream?vad=false", lambda: bytes(20 * MIB), BINARY),
    "growth: Wyoming, a header of lists": wyoming(lists(b'{"type":"synthesize","data":{"x":', 0.99, b"[]]}}\n")),
    "growth: Wyoming, data of lists": wyoming(lambda: _data(lists(b'{"x":', 0.99)())),
    "growth: Wyoming, 16 MiB of audio": wyoming(_start, lambda: _chunk(16)),
}  # fmt: skip

WARM_UP: tuple[Attack, ...] = (
    http("/v1/audio/speech", lambda: SPEECH + b"1}"),
    http("/v1/audio/transcriptions", lambda: TRANSCRIPTION + b'1,"input_audio":{"data":"' + base64.b64encode(wav()) + b'"}}'),
    socket("/v1/realtime?intent=transcription", append(0.1)),
    socket("/v1/audio/stream", lambda: bytes(MIB // 10), BINARY),
    socket("/v1/audio/speech/stream", lambda: b'{"type":"text","text":"Hello."}'),
    wyoming(_start, lambda: _chunk(1)),
)
"""Normal use of the same endpoints."""
