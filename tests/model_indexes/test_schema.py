"""The published JSON Schema: current, and of the same opinion as the parser about every single field."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from open_speech.model_indexes.parsing import parse
from open_speech.model_indexes.schema import json_schema
from open_speech.model_indexes.values import IndexRefused
from tests.model_indexes.indexes import VALID, changed, toml

PUBLISHED = Path(__file__).parents[2] / "docs/model-index.schema.json"
SCHEMA = jsonschema_rs.validator_for(json.loads(PUBLISHED.read_text(encoding="utf-8")))

ANN = ("model", 0)
INVALID: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("format",), 2, "`format` must be 1"),
    (("format",), None, "`format` is missing"),
    (("format",), "1", "`format` must be 1"),
    (("name",), "Acme", "`name` must be lower-case letters"),
    (("name",), "a" * 41, "`name` must have at most 40 characters"),
    (("revision",), 0, "`revision` is invalid: input should be greater than or equal to 1"),
    (("revision",), True, "`revision` is invalid: input should be a valid integer"),
    (("homepage",), "javascript:alert(1)", "`homepage` must be a URL"),
    (("description",), "\u202eevil", "`description` must be text without control characters"),
    (("code",), "import os", "`code` is not a field of this table"),
    (("model",), [], "`model` is invalid: list should have at least 1 item"),
    (("model",), {}, "`model` is invalid"),
    (("model", 0), "ann", "model 1: "),
    ((*ANN, "id"), "acme/../ann", "model 1 (`acme/../ann`): `id` must be one to three parts"),
    ((*ANN, "id"), "a/b/c/d", "model 1 (`a/b/c/d`): `id` must be one to three parts"),
    ((*ANN, "id"), "acme/ann\n", "model 1: `id` must be one to three parts"),
    ((*ANN, "id"), None, "model 1: `id` is missing"),
    ((*ANN, "backend"), "runners.piper:Piper", "`backend` must be lower-case letters"),
    ((*ANN, "task"), "speech", "`task` must be 'speech-to-text', 'text-to-speech' or 'diarization'"),
    ((*ANN, "licence"), "", "`licence` must have at least 1 character"),
    ((*ANN, "licence"), "MIT\x1b[31m", "`licence` must be text without control characters"),
    ((*ANN, "languages"), ["English"], "`languages[1]` must be an ISO-639 code"),
    ((*ANN, "languages"), [], "`languages` is invalid: list should have at least 1 item"),
    ((*ANN, "description"), "x" * 301, "`description` must have at most 300 characters"),
    ((*ANN, "description"), 1, "`description` must be a string"),
    ((*ANN, "target"), "runners.piper:Piper", "`target` is not a field of this table"),
    ((*ANN, "part"), [{}], "`part` is not a field of this table"),
    ((*ANN, "sample_rate"), "22050", "`sample_rate` is invalid: input should be a valid integer"),
    ((*ANN, "sample_rate"), 1_000_000, "`sample_rate` is invalid: input should be less than or equal to 192000"),
    ((*ANN, "clones"), "yes", "`clones` is invalid: input should be a valid boolean"),
    ((*ANN, "voice", 0, "id"), "../ann", "`voice[1].id` must be letters, digits and `._-`"),
    ((*ANN, "voice", 0, "language"), "german", "`voice[1].language` must be a BCP-47 tag"),
    ((*ANN, "voice", 0, "gender"), "f", "`voice[1].gender` must be 'female' or 'male'"),
    ((*ANN, "file", 1, "path"), "../ann.onnx", "`file[2].path` must be a relative path"),
    ((*ANN, "file", 1, "path"), "/etc/passwd", "`file[2].path` must be a relative path"),
    ((*ANN, "file", 1, "path"), ".open-speech.json", "`file[2].path` must be a relative path"),
    ((*ANN, "file", 1, "path"), "a\\b", "`file[2].path` must be a relative path"),
    ((*ANN, "file", 1, "sha256"), "A" * 64, "`file[2].sha256` must be 64 lower-case hexadecimal digits"),
    ((*ANN, "file", 1, "sha256"), None, "`file[2].sha256` is missing"),
    ((*ANN, "file", 1, "size"), None, "`file[2].size` is missing"),
    ((*ANN, "file", 1, "size"), -1, "`file[2].size` is invalid: input should be greater than or equal to 0"),
    ((*ANN, "source", 0), {"ftp": "x"}, "`source[1]` must have `hub`, `urls`, or `archives` with `members`"),
    ((*ANN, "source", 0, "urls"), {"ann.onnx": "ftp://acme.example/a"}, "`source[1].urls.\"ann.onnx\"` must be a URL"),
    ((*ANN, "source", 0, "urls"), {"ann.onnx": "https://me:secret@acme.example/a"}, "`source[1].urls.\"ann.onnx\"` must be a URL"),
    ((*ANN, "source", 0, "urls"), {"../a": "https://acme.example/a"}, '`source[1].urls."../a" (the key)` must be a relative path'),
    ((*ANN, "source", 0, "urls"), {"a" * 201: "https://acme.example/a"}, "(the key)` must have at most 200 characters"),
    ((*ANN, "source", 1, "hub"), "acme", "`source[2].hub` must be `owner/name`"),
    ((*ANN, "source", 1, "paths"), {"ann.onnx": "../../api"}, "`source[2].paths.\"ann.onnx\"` must be a relative path"),
    ((*ANN, "source", 1, "token"), "x", "`source[2].token` is not a field of this table"),
    ((*ANN, "source", 2, "archives", 0, "sha256"), None, "`source[3].archives[1].sha256` is missing"),
    ((*ANN, "source", 2, "members"), {"ann.onnx": [[-1, "a"]]}, '`source[3].members."ann.onnx"[1][1]` is invalid'),
    ((*ANN, "source", 2, "members"), {"ann.onnx": [["0", "a"]]}, '`source[3].members."ann.onnx"[1][1]` is invalid'),
    ((*ANN, "source", 2, "members"), {"ann.onnx": [[0, "/a"]]}, '`source[3].members."ann.onnx"[1][2]` must be a relative path'),
]  # fmt: skip


def test_the_published_schema_is_that_of_the_parser() -> None:
    wanted = json.dumps(json_schema(), indent=1, ensure_ascii=True) + "\n"
    assert PUBLISHED.read_text(encoding="utf-8") == wanted, (
        "write it again: python -m open_speech.model_indexes > docs/model-index.schema.json"
    )


def test_both_accept_a_valid_index() -> None:
    assert SCHEMA.is_valid(tomllib.loads(toml(VALID).decode()))
    parsed = parse(toml(VALID))
    assert (parsed.name, parsed.revision, [row.id for row in parsed.model]) == ("acme", 3, ["acme/ann", "acme/listen"])


@pytest.mark.parametrize(("path", "value", "fault"), INVALID)
def test_both_refuse_a_wrong_field_and_the_parser_names_it(path: tuple[str | int, ...], value: Any, fault: str) -> None:
    table = changed(path, value)
    assert not SCHEMA.is_valid(table)
    with pytest.raises(IndexRefused) as refused:
        parse(toml(table))
    first = refused.value.message.splitlines()[1]
    assert fault in first
    assert path[:1] != ("model",) or len(path) == 1 or first.startswith("model 1")
