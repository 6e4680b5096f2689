from __future__ import annotations

import json
from typing import Any

import pytest

from open_speech.dialogue.completions import LINE_BYTES, ChunkParser, CompletionParser, Ended, Piece, TextDelta, ToolCallDelta, has_output
from open_speech.errors import LanguageModelFailed


def event(delta: dict[str, Any] | None = None, *, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices, **fields}).encode() + b"\n\n"


def read(data: bytes, *, step: int = 1 << 20) -> list[Piece]:
    chunks, answer = ChunkParser(), CompletionParser()
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    pieces = [piece for part in parts for chunk in chunks.feed(part) for piece in answer.feed(chunk)]
    chunks.finish()
    return [*pieces, answer.finish()]


STREAM = (
    b": keep-alive\r\n\r\n"
    + event({"role": "assistant", "content": ""})
    + event({"content": "Grüß "})
    + event({"content": "Gott."})
    + event({"reasoning_content": "hm"})
    + event(finish="stop")
    + event(usage={"prompt_tokens": 7, "completion_tokens": 2, "details": {"cached": 1}})
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_text_comes_out_however_the_stream_is_cut(step: int) -> None:
    assert read(STREAM, step=step) == [TextDelta("Grüß "), TextDelta("Gott."), Ended("", {"prompt_tokens": 7, "completion_tokens": 2})]


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", ""), ("tool_calls", ""), ("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_why_it_ended_is_told(finish: str, reason: str) -> None:
    assert read(event({"content": "a"}, finish=finish)) == [TextDelta("a"), Ended(reason)]  # type: ignore[arg-type]


def call(arguments: str, **fields: Any) -> dict[str, Any]:
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return {**fields, "function": {**named, "arguments": arguments}}


def test_calls_of_tools_come_piece_by_piece() -> None:
    data = event({"tool_calls": [call("", index=0, id="a", name="light"), call("{}", index=1, id="b", name="door")]})
    data += event({"tool_calls": [call('{"on":', index=0)]}) + event({"tool_calls": [call(" 1}", index=0)]}, finish="tool_calls")
    assert read(data)[:-1] == [
        ToolCallDelta(0, "a", "light", ""), ToolCallDelta(1, "b", "door", "{}"),
        ToolCallDelta(0, "", "", '{"on":'), ToolCallDelta(0, "", "", " 1}"),
    ]  # fmt: skip


def test_calls_without_an_index_are_told_apart_by_their_id() -> None:
    data = event({"tool_calls": [call("{", id="a", name="light")]}) + event({"tool_calls": [call("}")]})
    data += event({"tool_calls": [call("{}", id="b", name="door")]}, finish="tool_calls")
    assert [piece.index for piece in read(data) if isinstance(piece, ToolCallDelta)] == [0, 0, 1]


def test_a_server_that_does_not_stream_is_understood() -> None:
    message = {"content": "All at once.", "tool_calls": [call("{}", id="a", name="light"), call("{}", id="b", name="door")]}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    chunks, answer = ChunkParser(), CompletionParser()
    (chunk,) = chunks.feed_body(json.dumps(body).encode())
    assert list(answer.feed(chunk)) == [
        TextDelta("All at once."), ToolCallDelta(0, "a", "light", "{}"), ToolCallDelta(1, "b", "door", "{}"),
    ]  # fmt: skip
    assert chunks.is_done
    assert answer.finish() == Ended("", {"prompt_tokens": 1})


@pytest.mark.parametrize(
    "data",
    [
        b"data: {broken\n\n",
        b"data: [1, 2]\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"error": {"message": "out of memory"}}\n\n',
        b"x" * (LINE_BYTES + 1),
    ],
)
def test_what_is_no_answer_is_a_failure(data: bytes) -> None:
    with pytest.raises(LanguageModelFailed):
        read(data)


@pytest.mark.parametrize("data", [b"", event({"content": "Half a sen"}), b"<html>\n</html>\n"])
def test_an_answer_that_breaks_off_is_a_failure(data: bytes) -> None:
    with pytest.raises(LanguageModelFailed, match="ended early"):
        read(data)


@pytest.mark.parametrize(
    "chunk",
    [{}, {"choices": None}, {"choices": [None]}, {"choices": [{"delta": 5}]}, {"choices": [{"delta": {"content": 5, "tool_calls": 5}}]}]
    + [{"choices": [{"delta": {"tool_calls": [5, {"index": 10**9, "function": 5}]}}]}, {"usage": "many"}],
)
def test_fields_of_a_wrong_type_are_left_out(chunk: dict[str, Any]) -> None:
    pieces = read(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
    assert not [piece for piece in pieces if isinstance(piece, TextDelta)]


def test_nothing_is_read_after_the_end() -> None:
    assert read(event({"content": "a"}, finish="stop") + b"data: [DONE]\n\ndata: {broken\n\n") == [TextDelta("a"), Ended("")]


@pytest.mark.parametrize(
    ("choice", "has"),
    [
        ({"delta": {"role": "assistant", "content": ""}}, False),
        ({"delta": {}}, False),
        ({"delta": {"content": "a"}}, True),
        ({"delta": {"reasoning_content": "a"}}, True),
        ({"delta": {"tool_calls": [{"index": 0}]}}, True),
        ({"text": "a"}, True),
        ({"text": ""}, False),
    ],
)
def test_output_is_more_than_a_role(choice: dict[str, Any], *, has: bool) -> None:
    assert has_output({"choices": [choice]}) is has
    assert not has_output({"choices": [], "usage": {"total_tokens": 1}})
