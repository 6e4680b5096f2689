from __future__ import annotations

import json
import tracemalloc
from random import Random
from typing import Any

import pytest

from open_speech.errors import InvalidRequest
from open_speech.http.json_screen import DEPTH, TOKENS, USUAL, WORD_BYTES, Bounds, Screen, check, loads

DOCUMENTS: tuple[Any, ...] = (
    {"a": 1, "input_audio": {"data": 'QUJD"x', "f": "wav"}, "other": {"data": "no"}, "l": [{"input_audio": {"data": "nor this"}}]},
    {"x": [{"y": "}{"}], "input_audio": {"deeper": {"data": "n"}, "data": "\\\\", "e": ""}, "data": "no"},
    {"input_audio": {"data": ""}, "é\\": "\U0001f600\u2028"},
)
MANY = {
    "lists": b"[" + b"[]," * 5_000_000,
    "objects": b"[" + b'{"a":1},' * 2_000_000,
    "numbers": b"[" + b"1.5," * 4_000_000,
    "strings": b"[" + b'"",' * 5_000_000,
    "strings without commas": b'""' * 5_000_000,
    "keys": b"{" + b'"a":"",' * 2_000_000,
    "brackets": b"[" * 5_000_000,
    "closing brackets": b"]" * 5_000_000,
}


class Kept:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def fed(screen: Screen, data: bytes, step: int = 1 << 16) -> bytes:
    return b"".join(screen.feed(data[at : at + step]) for at in range(0, len(data), step))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 5000])
@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("style", [{}, {"indent": 2}, {"ensure_ascii": False, "separators": (",", ":")}])
def test_one_string_is_diverted_and_the_rest_is_passed_on(document: Any, step: int, style: dict[str, Any]) -> None:
    found: list[Kept] = []

    def keep() -> Kept:
        found.append(Kept())
        return found[-1]

    left = json.loads(fed(Screen(sinks={("input_audio", "data"): keep}), json.dumps(document, **style).encode(), step))
    assert [json.loads(b'"' + sink.data + b'"') for sink in found] == [document["input_audio"]["data"]]
    assert left == {**document, "input_audio": {**document["input_audio"], "data": ""}}


@pytest.mark.parametrize("data", MANY.values(), ids=MANY)
@pytest.mark.parametrize("sinks", [None, {("x",): Kept}], ids=["counted", "diverted"])
def test_a_document_of_many_values_is_refused_before_anything_is_built(data: bytes, sinks: Any) -> None:
    screen = Screen(Bounds(5000) if sinks else USUAL, sinks)  # as they are used
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            fed(screen, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_the_bound_on_values_is_exact() -> None:
    assert len(loads("[" + "0," * (TOKENS - 3) + "0]")) == TOKENS - 2
    with pytest.raises(InvalidRequest, match="too many values"):
        loads("[" + "0," * (TOKENS - 1) + "0]")


def test_the_bound_on_depth_is_exact() -> None:
    assert loads("[" * DEPTH + "]" * DEPTH)
    assert loads("[" + "[[]]," * 1000 + "[]]")
    with pytest.raises(InvalidRequest, match="deeper"):
        loads("[" * (DEPTH + 1) + "]" * (DEPTH + 1))


@pytest.mark.parametrize("step", [1, 1000, 1 << 16])
def test_a_long_number_is_refused_however_it_arrives(step: int) -> None:
    fed(Screen(), b"[" + b"7" * WORD_BYTES + b", " + b"0." + b"7" * (WORD_BYTES - 2) + b"]", step)
    with pytest.raises(InvalidRequest, match="number"):
        fed(Screen(), b"[1, 0." + b"7" * WORD_BYTES + b"]", step)


def test_what_is_within_strings_does_not_count() -> None:
    text = '[]{},:"\\' * 100_000
    assert loads(json.dumps([text])) == [text]
    check(json.dumps([text, "1" * 1_000_000], ensure_ascii=False))


@pytest.mark.parametrize("seed", range(40))
def test_both_ways_of_counting_agree_whatever_comes_in_whatever_pieces(seed: int) -> None:
    rng = Random(seed)
    alphabet = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"a", b"1", b'\\"', b'"k":', b'"long one"']
    for _ in range(100):
        document = b"".join(rng.choice(alphabet) for _ in range(rng.randrange(60)))
        seen = {outcome(document, step, sinks) for step in (1, 2, 3, 7, 100) for sinks in (None, {("x",): Kept})}
        assert len(seen) == 1, document


def outcome(document: bytes, step: int, sinks: Any) -> str:
    """Tell the bound that a document crosses, or the lowest that it does not."""
    for tokens in range(70):
        try:
            fed(Screen(Bounds(tokens, 5), sinks), document, step)
        except InvalidRequest as error:
            if "too many" not in error.message:
                return error.message
        else:
            return str(tokens)
    raise AssertionError(document)


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "[1,]", '"', "[NaN", "\ufeff{}"])
def test_what_is_not_json_is_left_to_the_parser(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(text)
