"""Invalid HTTP requests: forms without boundaries, JSON without an end, floods of headers, bodies that are truncated or endless."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from benchmarks.fuzz.attack import WEIRD, Answer, Attack, Fault, Target, connected, damaged, exchange, post, pour, request, rest
from benchmarks.fuzz.media import ENDPOINTS, form, wav

JSON = "application/json"
FORM = "multipart/form-data; boundary=edge"
SPEECH: Mapping[str, Any] = {"model": "tts-1", "input": "a b", "voice": "alloy", "response_format": "pcm", "speed": 1.0}
TRANSCRIPTION: Mapping[str, Any] = {
    "model": "whisper-1",
    "response_format": "json",
    "language": "en",
    "temperature": 0,
    "input_audio": {"data": ""},
}
BODIES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("/v1/audio/speech", SPEECH),
    ("/v1/audio/speech", {**SPEECH, "stream_format": "sse", "instructions": "x", "lang_code": "a"}),
    ("/v1/audio/transcriptions", TRANSCRIPTION),
    ("/v1/realtime/client_secrets", {"session": {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}}),
    ("/v1/realtime/sessions", {"model": "tts-1", "voice": "alloy", "turn_detection": {"type": "server_vad", "threshold": 0.5}}),
    ("/v1/realtime/transcription_sessions", {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}),
)
PATHS = (
    "/", "/health", "/v1/models", "/v1/models/x", "/v1/audio/voices", "/api/models", "/api/ps", "/metrics", "/web/", "/docs",
    "/v1/realtime",
)  # fmt: skip
FIELD_NAMES = (
    "model", "language", "prompt", "response_format", "temperature", "timestamp_granularities[]", "stream", "include[]", "diarize", "task",
    "chunking_strategy", "hotwords", "vad_filter", "known_speaker_names[]", "known_speaker_references[]", "beam_size", "best_of", "output",
    "clip_timestamps", "initial_prompt", "word_timestamps", "video_file", "max_line_width", "max_line_count",
)  # fmt: skip
STRANGE_PATHS = (
    "*", "http://localhost/health", "//health", "/%00", "/%0a", "/v1/models/%ff%fe", "/v1//models", "/" + "a" * 60_000,
    "/?" + "a=1&" * 10_000,
    "/web/%2e%2e/%2e%2e/etc/passwd", "/v1/models/../../health", "/v1/audio/voices?model=%ff%00&%ff=", "/v1/audio/voices/%2e%2e/sample",
    "/api/models/%2e%2e", "/v1/audio/jobs/%2e%2e/result",
)  # fmt: skip
LENGTHS = (
    "-1", "9" * 5000, "0x10", "4294967296", "\u0664", "5, 5", "+5", "5 ", "", "1e3",
    "5\r\nContent-Length: 6", "5\r\nTransfer-Encoding: chunked", "5\r\nTransfer-Encoding: gzip, chunked",
)  # fmt: skip
CHUNKS = (b"zz\r\n", b"ffffffffffffffff\r\nx", b"5;" + b"x" * 9000 + b"\r\nabcde\r\n0\r\n\r\n", b"0\r\n" + b"T: x\r\n" * 5000)


def _part(name: str, value: bytes, *, head: str = "") -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode("utf-8", "replace") + value + b"\r\n"


def _nested(depth: int) -> bytes:
    inner = b"--edge%d\r\n\r\nx\r\n--edge%d--\r\n" % (depth, depth)
    for at in range(depth):
        kind = b"--edge%d\r\nContent-Disposition: form-data; name=file\r\nContent-Type: multipart/mixed; boundary=edge%d\r\n\r\n"
        inner = kind % (depth - at - 1, depth - at) + inner + b"\r\n--edge%d--\r\n" % (depth - at - 1)
    return inner


END = b"--edge--\r\n"
FORMS: Mapping[str, Callable[[], tuple[bytes, str]]] = {
    "no edge named": lambda: (_part("model", b"x") + END, "multipart/form-data"),
    "another edge": lambda: (_part("model", b"x") + END, "multipart/form-data; boundary=ledge"),
    "edge of nothing": lambda: (_part("model", b"x") + END, "multipart/form-data; boundary="),
    "edge of 70 000": lambda: (_part("model", b"x") + END, f"multipart/form-data; boundary={'e' * 60_000}"),
    "no end": lambda: (_part("file", bytes(5000), head='; filename="a"')[:3000], FORM),
    "nothing": lambda: (b"", FORM),
    "a part without a name": lambda: (b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END, FORM),
    "a part without a head": lambda: (b"--edge\r\n\r\nx\r\n" + END, FORM),
    "10 000 fields": lambda: (b"".join(_part(f"f{n}", b"x") for n in range(10_000)) + END, FORM),
    "10 000 files": lambda: (b"".join(_part("file", b"x", head='; filename="a"') for _ in range(10_000)) + END, FORM),
    "10 000 models": lambda: (b"".join(_part("model", b"x") for _ in range(900)) + END, FORM),
    "a name of 200 000": lambda: (_part("n" * 200_000, b"x") + END, FORM),
    "a file name of 200 000": lambda: (_part("file", wav(), head=f'; filename="{"n" * 200_000}"') + END, FORM),
    "a file name that leads out": lambda: (_part("file", wav(), head='; filename="../../../etc/passwd\x00.wav"') + END, FORM),
    "a field of 8 MiB": lambda: (_part("prompt", bytes(8 << 20)) + END, FORM),
    "forms in forms": lambda: (_nested(50), "multipart/form-data; boundary=edge0"),
    "a strange charset": lambda: (_part("model", b"\xff\xfe") + END, FORM + "; charset=zlib_codec"),
    "fields in fields": lambda: (b"".join(_part(f"a[{n}]", b"1") for n in range(500)) + _part("a", b"2") + _part("a[]", b"3") + END, FORM),
    "lists of lists": lambda: (_part("file", wav(), head='; filename="a"') + _part("languages", b"[" * 100_000) + END, FORM),
    "url-encoded": lambda: (b"model=%ff&" * 20_000, "application/x-www-form-urlencoded"),
    "no type": lambda: (_part("model", b"x") + END, ";;;==\xff"),
}
DEEP: Mapping[str, bytes] = {
    "lists": b"[" * 300_000,
    "objects": b'{"a":' * 200_000,
    "a list in a field": b'{"model":"tts-1","input":"x","voice":' + b"[" * 990 + b"]" * 990 + b"}",
    "a number of 5000 digits": b'{"model":"tts-1","input":"x","speed":' + b"9" * 5000 + b"}",
    "UTF-16": json.dumps(SPEECH).encode("utf-16"),
    "no UTF-8": b'{"model":"tts-1","input":"\xff\xfe"}',
    "twice the same": b'{"model":"tts-1","model":1,"input":"x"}',
    "the end missing": b'{"model":"tts-1","input":"x',
}


def strange_form(name: str) -> Attack:
    """Return the attack that sends one of FORMS."""

    async def attack(target: Target, rng: Random) -> str:
        return (await post(target, rng.choice(ENDPOINTS), *FORMS[name]())).judged()

    return attack


def deep_json(name: str) -> Attack:
    """Return the attack that sends one of DEEP."""

    async def attack(target: Target, rng: Random) -> str:
        return (await post(target, rng.choice(BODIES)[0], DEEP[name], JSON)).judged()

    return attack


def changed(rng: Random, value: Any) -> Any:
    """Change JSON at a random position: replace a value by an unusual one, remove a key, or add an unknown key."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        match rng.randrange(4):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {**value, rng.choice(("", "\ud800", "__proto__", "type", "id", key * 2)): rng.choice(WEIRD)}
        return {**value, key: changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        return [*value[1:], changed(rng, value[0])] * rng.choice((1, 1, 50))
    return rng.choice(WEIRD)


def dumped(value: Any) -> bytes:
    """Return JSON as from a client that validates nothing: with infinite numbers and lone surrogates."""
    return json.dumps(value).encode()


async def changed_json(target: Target, rng: Random) -> str:
    """Send a JSON body that is almost valid."""
    path, body = rng.choice(BODIES)
    if "input_audio" in body:
        body = {**body, "input_audio": {"data": base64.b64encode(damaged(rng, wav())).decode()}}
    for _ in range(rng.randint(1, 3)):
        body = changed(rng, body)
    return (await post(target, path, dumped(body), JSON)).judged()


async def changed_fields(target: Target, rng: Random) -> str:
    """Send a form with a valid file and invalid fields."""
    fields = {"model": "whisper-1"} | {rng.choice(FIELD_NAMES): str(rng.choice(WEIRD))[:2000] for _ in range(rng.randint(1, 4))}
    parts = b"".join(_part(name, value.encode("utf-8", "replace")) for name, value in fields.items())
    body, content_type = form("a.wav", wav(), {})
    return (await post(target, rng.choice(ENDPOINTS), parts + body, content_type)).judged()


async def header_flood(target: Target, rng: Random) -> str:
    """Send many headers, long headers, and headers with invalid characters."""
    many = {f"X-{number}": "a" * rng.choice((1, 30)) for number in range(rng.choice((10, 900, 5000)))}
    odd = {
        "Authorization": rng.choice(("Bearer \xff\xfe", "Basic ////", "Basic", "Bearer", " ", "Digest x", "Basic " + "A" * 9000)),
        "X-Request-Id": rng.choice(("\xff", "a" * 9000, "\x7f", "{}")),
        "X-Forwarded-For": rng.choice((",,,", "::1%x", "999.1.1.1", "a, b, c")),
        "Accept": rng.choice(("*", "text/event-stream;q=9", "/")),
        "Origin": rng.choice(("null", "http://[", "\xff")),
        "Host": rng.choice(("", "[", "a b", ":", "x" * 9000)),
        "Range": "bytes=9-1",
        "Idempotency-Key": "\xff" * 300,
        "If-None-Match": '"' * 500,
        "Accept-Encoding": "gzip;q=nan,,;",
        "Traceparent": "00-zz",
        "Content-Type": rng.choice((JSON, "\xff", "multipart/form-data")),
    }
    some = dict(rng.sample(sorted(odd.items()), rng.randint(1, 6)))
    method = rng.choice(("GET", "HEAD", "OPTIONS", "POST"))
    return (await exchange(target, [request(target, method, rng.choice(PATHS), {**many, **some})])).judged()


async def endless_header(target: Target, rng: Random) -> str:
    """Send a header without an end; the server must close the connection or reject it."""

    def header() -> Iterator[bytes]:
        yield f"GET {rng.choice(PATHS)} HTTP/1.1\r\nHost: x\r\nX: ".encode()
        for _ in range(2000):
            yield b"a" * 65_536

    answer = await exchange(target, header())
    if answer.status not in (0, 400, 431):
        raise Fault(f"128 MiB of a header: {answer.status}")
    return str(answer.status or "closed")


async def strange_line(target: Target, rng: Random) -> str:
    """Send an invalid request line, or an unusual path."""
    method = rng.choice(("GET", "POST", "DELETE", "OPTIONS", "BREW", "TRACE", "CONNECT", "get"))
    whole = request(target, method, rng.choice(STRANGE_PATHS))
    data = rng.choice((whole, damaged(rng, whole) + b"\r\n\r\n", rng.randbytes(500) + b"\r\n\r\n"))
    return (await _exchange_until_closed(target, data)).judged()


async def strange_length(target: Target, rng: Random) -> str:
    """Send a body whose length is wrong, repeated, or not a number."""
    head = request(target, "POST", rng.choice(BODIES)[0], {"Content-Type": JSON, "Content-Length": rng.choice(LENGTHS)})
    return (await _exchange_until_closed(target, head + b'{"a":')).judged()


async def strange_chunks(target: Target, rng: Random) -> str:
    """Send a chunked body that is damaged, or declares huge chunks."""
    head = request(target, "POST", rng.choice(BODIES)[0], {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    good = b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    body = rng.choice((damaged(rng, good), *CHUNKS))
    return (await _exchange_until_closed(target, head + body)).judged()


async def half_a_body(target: Target, rng: Random) -> str:
    """Send part of a body, then disconnect."""
    body, content_type = form("a.wav", wav(data=bytes(200_000)))
    async with connected(target) as (_, writer):
        head = request(target, "POST", rng.choice(ENDPOINTS), {"Content-Type": content_type}, length=len(body))
        await pour(writer, [head, body[: rng.randrange(len(body))]])
    return "left"


async def _exchange_until_closed(target: Target, data: bytes) -> Answer:
    """Send a possibly incomplete request, and return the response of the next second; no response is also valid."""
    async with connected(target) as (reader, writer):
        await pour(writer, [data])
        try:
            received = await rest(reader, within_s=1.0)
        except Fault:  # the server waits for the rest, with its own timeout
            return Answer(0, b"")
    status = received.partition(b"\r\n")[0].split(b" ")[1:2]
    return Answer(int(status[0]) if status and status[0].isdigit() else 0, received)


ATTACKS: dict[str, Attack] = {
    "http: JSON nearly right": changed_json,
    "http: fields nearly right": changed_fields,
    "http: headers": header_flood,
    "http: a header without end": endless_header,
    "http: request lines": strange_line,
    "http: lengths": strange_length,
    "http: chunks": strange_chunks,
    "http: half a body": half_a_body,
    **{f"http: form, {name}": strange_form(name) for name in FORMS},
    **{f"http: deep, {name}": deep_json(name) for name in DEEP},
}
