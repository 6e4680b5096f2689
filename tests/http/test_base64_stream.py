from __future__ import annotations

import base64
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from open_speech.errors import InvalidRequest, InvalidValue, UploadTooLarge
from open_speech.http.base64_stream import MEMORY_BYTES, STEP, Base64File, decoded

RAW = Random(1).randbytes(3001)
PLAIN = base64.b64encode(RAW)
SPELLINGS = {
    "bare": PLAIN,
    "data URL": b"data:audio/wav;base64," + PLAIN,
    "data URL in capitals": b"DATA:audio/wav;BASE64," + PLAIN,
    "slashes escaped, as PHP does": PLAIN.replace(b"/", b"\\/"),
    "plus escaped, as .NET does": PLAIN.replace(b"+", b"\\u002B"),
    "everything escaped": b"".join(b"\\u%04x" % byte for byte in PLAIN),
}
WRONG = (
    b"A", b"AAA", b"AA=", b"AA==AAAA", b"AAAA%", b"=AAA", b"AAAA\\u00", b"AAAA\\", b"AA AA", b"AAAA\\n", b"\xc5\xbc", b"AAAA\\u017c",
    b"data:", b"data:audio/wav,AAAA", b"data:" + b"x" * 5000,
)  # fmt: skip


@contextmanager
def written(data: bytes, step: int, *, max_bytes: int = 1 << 20) -> Iterator[Base64File]:
    file = Base64File("input_audio.data", max_bytes)
    for at in range(0, len(data), step):
        file.write(data[at : at + step])
    yield file
    file.close()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 100, 50_000])
@pytest.mark.parametrize("data", SPELLINGS.values(), ids=SPELLINGS)
def test_audio_is_decoded_in_every_spelling_and_in_pieces_of_any_size(data: bytes, step: int) -> None:
    with written(data, step) as file:
        assert file.source() == RAW


@pytest.mark.parametrize("step", [1, 4, 5000])
@pytest.mark.parametrize("data", WRONG, ids=range(len(WRONG)))
def test_what_is_not_base64_is_an_error_that_names_the_field(data: bytes, step: int) -> None:
    with written(data, step) as file, pytest.raises(InvalidValue) as caught:
        file.source()
    assert caught.value.param == "input_audio"


def test_large_audio_is_on_disk_and_in_no_memory() -> None:
    part = bytes(3 * 65_536)
    encoded = base64.b64encode(part)
    tracemalloc.start()
    try:
        file = Base64File("reference_audio", 1 << 30)
        for _ in range(200):
            file.write(encoded)
        source = file.source()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(source, Path)
    assert source.stat().st_size == 200 * len(part)
    assert peak < 4 * MEMORY_BYTES
    file.close()
    with pytest.raises(OSError, match=r"."):
        os.stat(source)


def test_nothing_is_kept_beyond_the_limit() -> None:
    with written(base64.b64encode(bytes(50_000)), 1000, max_bytes=20_000) as file:
        with pytest.raises(UploadTooLarge) as caught:
            file.source()
        assert caught.value.param == "input_audio"
        assert file._file.tell() <= 20_000


@pytest.mark.parametrize("length", [0, 1, 2, 3, STEP - 1, STEP, STEP + 1])
def test_a_whole_text_is_decoded_in_steps(length: int) -> None:
    data = Random(length).randbytes(length)
    assert decoded(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["A", "AA==" * 2, "%%%%", "ż", "AAAA" * (STEP // 4) + "AA=", "AA==" + "AAAA" * STEP])
def test_a_whole_text_that_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text)


def test_an_error_is_raised_again_each_time() -> None:
    with written(b"%%%%", 4) as file:
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                file.source()
