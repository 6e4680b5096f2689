from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runners.support.gguf import MOST_KEYS, Gguf, GgufFault, read_gguf
from tests.gguf_files import ATTENTION, gguf, tensor, text

F32, Q4_K, UNKNOWN = 0, 12, 999


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Gguf]:
    def from_bytes(data: bytes) -> Gguf:
        (tmp_path / "model.gguf").write_bytes(data)
        return read_gguf(tmp_path / "model.gguf")

    return from_bytes


def test_metadata_is_read_and_long_values_are_skipped(read: Callable[[bytes], Gguf]) -> None:
    values: dict[str, tuple[str, Any]] = {
        "general.architecture": ("str", "gemma3"),
        "tokenizer.chat_template": ("str", "x" * 5000),
        "tokenizer.ggml.tokens": ("[str]", ["a", "b", "c"]),
        "tokenizer.ggml.scores": ("[f32]", [0.0] * 2000),
        "gemma3.heads": ("[u32]", [1, 2, 3]),
        "general.flag": ("bool", True),
        "general.scale": ("f32", 0.5),
        "general.size": ("u64", 1 << 40),
    }
    found = read(gguf(values))
    assert found.architecture == "gemma3"
    assert found.values == {
        "general.architecture": "gemma3", "gemma3.heads": (1, 2, 3), "general.flag": True, "general.scale": 0.5, "general.size": 1 << 40,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "count", "size"), [(F32, 100, 400), (Q4_K, 512, 288), (Q4_K, 513, 432), (UNKNOWN, 100, 0)])
def test_the_length_that_the_tensors_need_is_known(read: Callable[[bytes], Gguf], kind: int, count: int, size: int) -> None:
    data = gguf(ATTENTION, [tensor("a", [32], F32, 0), tensor("b", [count], kind, 128)], data=128 + size)
    found = read(data)
    assert found.needed_bytes == found.file_bytes == len(data)
    assert found.tensors == 2


def test_a_file_that_is_cut_off_has_fewer_bytes_than_it_needs(read: Callable[[bytes], Gguf]) -> None:
    data = gguf(ATTENTION, [tensor("a", [32, 4], F32, 0)], data=512)
    found = read(data[:-1])
    assert found.needed_bytes == found.file_bytes + 1


def test_another_alignment_moves_the_tensors(read: Callable[[bytes], Gguf]) -> None:
    values = {**ATTENTION, "general.alignment": ("u32", 4096)}
    assert read(gguf(values, [tensor("a", [32], F32, 0)], data=128)).needed_bytes == 4096 + 128


def test_the_memory_of_a_context_is_known(read: Callable[[bytes], Gguf]) -> None:
    assert read(gguf(ATTENTION)).cache_bytes(16_384) == 288 << 20  # as llama.cpp logs it with a full-size cache
    per_layer = {**ATTENTION, "gemma3.attention.head_count_kv": ("[u32]", [1] * 9 + [2] * 9)}
    assert read(gguf(per_layer)).cache_bytes(16_384) == 432 << 20
    derived = {name: value for name, value in ATTENTION.items() if "_length" not in name} | {"gemma3.embedding_length": ("u32", 1024)}
    assert read(gguf(derived)).cache_bytes(16_384) == 288 << 20


@pytest.mark.parametrize("value", [("i32", -5), ("str", "many"), ("f32", float("nan")), ("bool", True)])
def test_a_nonsensical_count_makes_no_nonsensical_estimate(read: Callable[[bytes], Gguf], value: tuple[str, Any]) -> None:
    assert 0 <= read(gguf({**ATTENTION, "gemma3.block_count": value})).cache_bytes(1000) < 1 << 30


def test_a_file_without_an_attention_has_no_estimate(read: Callable[[bytes], Gguf]) -> None:
    found = read(gguf({}))
    assert (found.architecture, found.cache_bytes(1000)) == ("", 0)


HEAD = b"GGUF" + struct.pack("<I", 3)
KEY = HEAD + struct.pack("<QQ", 0, 1) + text("a")
ARRAY = 9


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"GG", "not a GGUF file"),
        (b"<!DOCTYPE html>", "not a GGUF file"),
        (b"GGUF", "incomplete: it ends within its header"),
        (gguf({}, version=1), "of version 1 of GGUF, and 2 and 3 are supported"),
        (gguf({}, order=">"), "in big-endian byte order"),
        (HEAD + struct.pack("<QQ", 0, MOST_KEYS + 1), "damaged: its header announces 4097 keys and 0 tensors"),
        (HEAD + struct.pack("<QQ", 1 << 63, 0), "damaged: its header announces 0 keys and 9223372036854775808 tensors"),
        (HEAD + struct.pack("<QQQ", 0, 1, 1 << 40), "damaged: a name in its header has 1099511627776 bytes"),
        (KEY + struct.pack("<I", 77), "damaged: its header has a value of the unknown type 77"),
        (KEY + struct.pack("<IIQ", ARRAY, 9, 1), "damaged: its header has an array of the unknown type 9"),
        (KEY + struct.pack("<IIQ", ARRAY, 4, 1 << 62), "incomplete: it ends within its header"),
        (KEY + struct.pack("<IIQ", ARRAY, 8, 1 << 62), "damaged: its header announces 4611686018427387904 texts"),
        (KEY + struct.pack("<IQ", 8, 1 << 62), "incomplete: it ends within its header"),
        (gguf({}, [tensor("a", [1] * 5, F32, 0)]), "damaged: a tensor has 5 dimensions"),
        (gguf({"general.alignment": ("u32", 48)}), "damaged: its alignment is 48"),
        (gguf({"general.alignment": ("u32", 0)}), "damaged: its alignment is 0"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_named_as_what_it_is(read: Callable[[bytes], Gguf], data: bytes, why: str) -> None:
    with pytest.raises(GgufFault) as fault:
        read(data)
    assert str(fault.value) == why


def test_every_shorter_file_is_incomplete_or_known_to_be_too_short(read: Callable[[bytes], Gguf]) -> None:
    whole = gguf({**ATTENTION, "tokens": ("[str]", ["a", "b"])}, [tensor("a", [8], F32, 0)], data=32)
    assert read(whole).needed_bytes == len(whole)
    for length in range(len(whole)):
        try:
            found = read(whole[:length])
        except GgufFault:
            continue
        assert found.needed_bytes > found.file_bytes == length


VALID = gguf({**ATTENTION, "tokens": ("[str]", ["a", "b"]), "heads": ("[i32]", [1, 2])}, [tensor("a", [8, 2], Q4_K, 0)], data=64)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_damaged_bytes_are_read_or_refused_at_once(read: Callable[[bytes], Gguf], changes: list[tuple[int, int]]) -> None:
    data = bytearray(VALID)
    for at, byte in changes:
        data[at] = byte
    accepts(read, bytes(data))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused(read: Callable[[bytes], Gguf], garbage: bytes) -> None:
    accepts(read, HEAD + garbage)


def accepts(read: Callable[[bytes], Gguf], data: bytes) -> None:
    try:
        found = read(data)
    except GgufFault:
        return
    assert found.cache_bytes(4096) >= 0
    assert found.needed_bytes >= 0


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_gguf(tmp_path / "none.gguf")
