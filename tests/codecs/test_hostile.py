"""Damaged and forged media: whatever is in a file, it is sound or an InvalidAudio, soon, and the next file is decoded as ever."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

from open_speech.audio import Audio
from open_speech.codecs import decode, encoder, isolation
from open_speech.codecs.isolated import ForkServer
from open_speech.errors import AudioTooLong, InvalidAudio
from tests.codecs.timed import timed

RATE = 16_000
SEEDS = range(24)
LONGEST_S = 60.0
INTERESTING = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x01", b"\xff\xff\xff\x7f", b"\x00\xff")
"""Sizes and counts that parsers stumble over."""
HEAD_BYTES = 600
RARER = [
    ("aiff", "pcm_s16be", 44_100), ("caf", "alac", 44_100), ("au", "pcm_mulaw", 8_000), ("w64", "pcm_s16le", 16_000),
    ("avi", "libmp3lame", 44_100), ("asf", "wmav2", 44_100), ("flv", "nellymoser", 22_050), ("amr", "libopencore_amrnb", 8_000),
    ("tta", "tta", 44_100), ("wv", "wavpack", 44_100), ("vob", "ac3", 48_000),
]  # fmt: skip


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with isolation(memory_mb=256, quiet_s=5) as fork_server:
        yield fork_server


@pytest.fixture
def files(tone: Callable[..., Audio], media: Callable[..., bytes]) -> dict[str, bytes]:
    short = tone(1.0, 24_000)

    def written(format: str) -> bytes:
        file = encoder(format, 24_000)  # type: ignore[arg-type]
        return file.encode(short) + file.finish()

    made = {name: written(name) for name in ("wav", "mp3", "opus", "flac", "aac")}
    for container, codec in (("mp4", "aac"), ("webm", "libopus"), ("mpegts", "aac"), ("mov", "alac"), ("matroska", "pcm_f32le")):
        made[container] = media(container, codec, tone(1.0, 48_000).samples[np.newaxis], 48_000)
    return made | {container: timed(container, codec, tone(1.0, rate), lambda _: 0.0) for container, codec, rate in RARER}


def damaged(file: bytes, seed: int) -> bytes:
    """Change a file as a fuzzer does: bytes turned, sizes forged, pieces cut out, doubled or moved; more at its head than elsewhere."""
    dice = np.random.default_rng(seed)
    data = bytearray(file)
    for _ in range(int(dice.integers(1, 12))):
        reach = min(len(data), HEAD_BYTES) if dice.random() < 0.7 else len(data)
        at = int(dice.integers(0, max(1, reach)))
        match int(dice.integers(0, 6)):
            case 0:
                data[at : at + 1] = dice.bytes(1)
            case 1:
                forged = INTERESTING[int(dice.integers(len(INTERESTING)))]
                data[at : at + len(forged)] = forged
            case 2:
                del data[at : at + int(dice.integers(1, 64))]
            case 3:
                data[at:at] = data[at : at + int(dice.integers(1, 256))]
            case 4:
                data[at:at] = dice.bytes(int(dice.integers(1, 32)))
            case 5:
                del data[max(at, 16) :]
    return bytes(data)


COMMON = ["wav", "mp3", "opus", "flac", "aac", "mp4", "webm", "mpegts", "mov", "matroska"]


@pytest.mark.parametrize("format", [*COMMON, *(row[0] for row in RARER)])
def test_a_damaged_file_is_sound_or_a_problem(fork_server: ForkServer, files: dict[str, bytes], format: str) -> None:
    for seed in SEEDS:
        try:
            audio = decode(damaged(files[format], seed), RATE, max_seconds=LONGEST_S)
        except (InvalidAudio, AudioTooLong) as refused:
            assert refused.param == "file"
        else:
            assert np.isfinite(audio.samples).all()
            assert audio.seconds <= LONGEST_S
    assert decode(files[format], RATE, max_seconds=LONGEST_S).seconds == pytest.approx(1, abs=0.15)


def test_many_damaged_files_leave_nothing_behind(fork_server: ForkServer, files: dict[str, bytes]) -> None:
    def decode_all(seeds: range) -> None:
        for seed in seeds:
            for file in files.values():
                try:
                    decode(damaged(file, seed), RATE, max_seconds=LONGEST_S)
                except (InvalidAudio, AudioTooLong):
                    continue

    here = psutil.Process()
    decode_all(range(2))
    before = here.memory_info().rss, here.num_fds()
    decode_all(range(100, 106))
    assert here.num_fds() == before[1]
    assert here.memory_info().rss - before[0] < 20 << 20


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def fmt(channels: int, rate: int, bits: int) -> tuple[bytes, bytes]:
    block = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block, bits)


FORGED = {
    "a wav of a hundred thousand chunks": riff(*[(b"junk", b"")] * 100_000, fmt(1, 8000, 16), (b"data", b"")),
    "a wav with 65535 channels": riff(fmt(65535, 8000, 8), (b"data", bytes(200_000))),
    "an mp4 in itself": b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + b"".join(struct.pack(">I4s", 8 * n, b"moov") for n in range(4000, 0, -1)),
    "a tag as long as can be": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(1000),
    "an ogg page without an end": b"OggS\x00\x02" + bytes(20) + b"\xff" + b"\xff" * 255 + bytes(100),
    "a webm that states exabytes": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" + b"webm" * 100,
    "a flac of nothing but a picture": b"fLaC\x06\xff\xff\xff" + bytes(5000),
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_forged_file_is_refused(fork_server: ForkServer, data: bytes) -> None:
    with pytest.raises(InvalidAudio):
        decode(data, RATE, max_seconds=LONGEST_S)
