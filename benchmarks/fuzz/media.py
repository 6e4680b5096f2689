"""Invalid media files: every container and codec damaged, false headers, decompression bombs, texts, empty files."""

from __future__ import annotations

import functools
import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame

from benchmarks.fuzz.attack import Answer, Attack, Target, damaged, post

RATE = 48_000
CODECS = (
    ("wav", "pcm_s16le"), ("wav", "pcm_f32le"), ("wav", "pcm_mulaw"), ("wav", "adpcm_ms"), ("w64", "pcm_s16le"), ("mp3", "libmp3lame"),
    ("ogg", "libopus"), ("flac", "flac"), ("mp4", "aac"), ("mov", "alac"), ("ipod", "aac"), ("matroska", "libopus"), ("webm", "libopus"),
    ("adts", "aac"), ("mpegts", "mp2"), ("aiff", "pcm_s16be"), ("au", "pcm_s16be"), ("caf", "alac"),
)  # fmt: skip
"""Containers and codecs of valid files; the server does not accept some of them."""
ENDPOINTS = (
    "/v1/audio/transcriptions", "/v1/audio/transcriptions", "/v1/audio/transcriptions/verbose", "/v1/audio/transcriptions/batch",
    "/v1/audio/translations", "/asr", "/detect-language", "/bazarr/asr?encode=false", "/asr?encode=false&output=json",
)  # fmt: skip
SAMPLES = (
    ("/v1/audio/speech/clone", "reference_audio"), ("/v1/audio/voices", "audio_sample"), ("/v1/audio/voice_consents", "recording"),
)  # fmt: skip
"""Endpoints that accept the recording of a voice, and the form field for it."""
FIELDS: Mapping[str, str] = {"model": "whisper-1", "response_format": "json"}


@functools.cache
def whole(container: str, codec: str) -> bytes:
    """Return a file with 0.4 s of noise."""
    samples = np.random.default_rng(7).integers(-8000, 8000, round(0.4 * RATE), dtype=np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=RATE)
        noise = AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        noise.sample_rate = RATE
        fifo = av.AudioFifo()
        for part in resampler.resample(noise):
            fifo.write(part)
        step = stream.codec_context.frame_size or len(samples)
        while (piece := fifo.read(step, partial=True)) is not None:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def wav(  # noqa: PLR0913 - one keyword for each number in the header
    rate: int = RATE, channels: int = 1, bits: int = 16, *, kind: int = 1, claim: int | None = None, data: bytes = bytes(9600)
) -> bytes:
    """Return a WAV file with any values in its header; `claim` is the stated length of the audio in bytes."""
    size = len(data) if claim is None else claim
    align = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels & 0xFFFF, rate & 0xFFFFFFFF, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits & 0xFFFF)
    riff = struct.pack("<4sI4s4sI", b"RIFF", (size + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", size & 0xFFFFFFFF) + data


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(64 << 20))
    return file.getvalue()


def _silent_flac() -> bytes:
    """Return a small FLAC file with 19 minutes of silence."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as out:
        stream = out.add_stream("flac", rate=8000, layout="mono")
        frame = AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for _ in range(2000):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


LIES: Mapping[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "one byte": lambda: b"R",
    "a text": lambda: b"ID3 is how an mp3 begins, and this is none. " * 400,
    "a playlist": lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1:1/x\n",
    "a list for concat": lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a page": lambda: b"<!doctype html><svg><audio src='file:///etc/passwd'>" * 50,
    "zip bomb": _zip,
    "gzip bomb": lambda: gzip.compress(bytes(64 << 20)),
    "4 GiB of sound": lambda: wav(claim=0xFFFFFFFF),
    "sound of no end": lambda: wav(claim=0),
    "no rate": lambda: wav(rate=0),
    "1 Hz": lambda: wav(rate=1),
    "4 GHz": lambda: wav(rate=0xFFFFFFFF),
    "no channels": lambda: wav(channels=0),
    "65 535 channels": lambda: wav(channels=65_535),
    "33 channels": lambda: wav(channels=33),
    "no bits": lambda: wav(bits=0),
    "3 bits": lambda: wav(bits=3),
    "64 bits": lambda: wav(bits=64, kind=3),
    "not a number": lambda: wav(bits=32, kind=3, data=struct.pack("<f", float("nan")) * 4800),
    "infinite": lambda: wav(bits=32, kind=3, data=struct.pack("<ff", float("inf"), float("-inf")) * 2400),
    "extensible": lambda: wav(kind=0xFFFE),
    "codec 0xFFFF": lambda: wav(kind=0xFFFF),
    "half a sample": lambda: wav(data=bytes(9601)),
    "header alone": lambda: wav(data=b""),
    "half a header": lambda: wav()[:30],
    "silence of hours": _silent_flac,
    "ID3 of 256 MiB": lambda: b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(4096),
    "MP4 box of 2 ** 63": lambda: struct.pack(">I4sQ", 1, b"ftyp", 1 << 63) + bytes(64),
    "EBML of 2 ** 56": lambda: b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" + bytes(64),
    "Ogg page without end": lambda: (b"OggS\x00\x02" + bytes(20) + b"\xff" + b"\xff" * 255) * 20,
}  # fmt: skip


def form(name: str, data: bytes, fields: Mapping[str, str] = FIELDS) -> tuple[bytes, str]:
    """Return the body and the content type of a multipart form with one file."""
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode() for field, value in fields.items()]
    for part in ("file", "audio_file"):  # Bazarr's endpoints have another name for it
        parts.append(f'--edge\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join([*parts, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


async def _upload(target: Target, path: str, data: bytes) -> Answer:
    return await post(target, path, *form("a.wav", data))


def lie(name: str) -> Attack:
    """Return the attack that sends one of LIES to an endpoint."""

    async def attack(target: Target, rng: Random) -> str:
        return (await _upload(target, rng.choice(ENDPOINTS), LIES[name]())).judged()

    return attack


async def damaged_file(target: Target, rng: Random) -> str:
    """Send a damaged file of a random container, sometimes two concatenated files."""
    data = whole(*rng.choice(CODECS))
    if rng.random() < 0.1:
        data += whole(*rng.choice(CODECS))
    return (await _upload(target, rng.choice(ENDPOINTS), damaged(rng, data))).judged()


async def damaged_head(target: Target, rng: Random) -> str:
    """Send a file that is damaged only in its first bytes, which contain the lengths."""
    data = whole(*rng.choice(CODECS))
    return (await _upload(target, rng.choice(ENDPOINTS), damaged(rng, data[:96], strokes=3) + data[96:])).judged()


async def damaged_sample(target: Target, rng: Random) -> str:
    """Send a damaged recording as a voice to clone or to store."""
    data = damaged(rng, whole(*rng.choice(CODECS)))
    path, part = rng.choice(SAMPLES)
    fields = {"model": "tts-1", "input": "x", "name": "a", "consent": "c", "language": "en"}
    body, content_type = form("a.wav", data, fields)
    return (await post(target, path, body.replace(b'name="audio_file"', f'name="{part}"'.encode()), content_type)).judged()


ATTACKS: dict[str, Attack] = {
    "media: damaged": damaged_file,
    "media: damaged head": damaged_head,
    "media: damaged sample of a voice": damaged_sample,
    **{f"media: {name}": lie(name) for name in LIES},
}
