"""Conditions between the fields of a row, and names that are taken."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from open_speech.backends import ModelEntry, Task, Voice
from open_speech.model_files import Archive, ArchiveSource, HubSource, UrlSource, WeightFile
from open_speech.model_indexes.parsing import parse
from open_speech.model_indexes.rows import Catalog, index_of, require_valid
from open_speech.model_indexes.values import IndexRefused
from runners import catalog
from tests.model_indexes.indexes import VALID, changed, toml

OWN = Catalog(catalog.BACKENDS, catalog.own_models())
ANN = ("model", 0)


def faults(table: dict[str, Any], *, allow_private: bool = False) -> list[str]:
    """Return the lines of the error for an index, after its first line; empty if it is valid."""
    index = index_of(parse(toml(table)), allow_private=allow_private)
    try:
        require_valid(index, OWN)
    except IndexRefused as refused:
        return refused.message.splitlines()[1:]
    return []


def test_a_row_is_an_entry_as_one_of_ours() -> None:
    ann, listen = index_of(parse(toml(VALID)), allow_private=False).models
    assert ann == ModelEntry(
        "acme/ann", "piper", Task.TTS, "CC0-1.0", ("de", "en"), "Ann, two languages.",
        voices=(Voice("ann", "de-DE", "Änn", "female", ("0", "1")),), default_voice="ann", sample_rate=22050, aliases=("acme-ann",),
        files=(WeightFile("ann.onnx", "a" * 64, 63201294), WeightFile("data/ann.onnx.json", "b" * 64, 4794)),
        sources=(
            UrlSource({"ann.onnx": "https://acme.example/ann.onnx", "data/ann.onnx.json": "https://acme.example/ann.json"}, public=True),
            HubSource("acme/voices", "v1.0", {"ann.onnx": "voices/ann.onnx"}),
            ArchiveSource(
                (Archive("acme", "1.0+a", "acme-1.0-py3-none-any.whl", "c" * 64),),
                {"ann.onnx": ((0, "acme/ann.onnx"),), "data/ann.onnx.json": ((0, "acme/ann.json"),)},
            ),
        ),
    )  # fmt: skip
    assert listen == ModelEntry("acme/listen", "tones-stt", Task.STT, "MIT", ("en",), "Tones.", word_times=True)


def test_a_valid_index_has_no_faults() -> None:
    assert faults(VALID) == []


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        (("backend",), "nonsense", "`backend` is `nonsense`, which this version does not have"),
        (("backend",), "vosk", "it must have the backend `vosk` and the task `speech-to-text`"),
        (("backend",), "upstream-tts", "`backend` is `upstream-tts`, whose models its external server determines"),
        (("id",), "upstream/ann", "`id` must not begin with `upstream/`, which names models of other servers"),
        (("file",), [], "`file` is missing: each file is needed, with its SHA-256 and size"),
        (("default_voice",), "bob", "`default_voice` must be one of its voices, not `bob`"),
        (("sample_rate",), None, "`sample_rate` is missing"),
        (("languages",), ["en"], "`languages` lacks languages of its voices: de"),
        (("source",), [], "no source has the files ann.onnx, data/ann.onnx.json"),
        (("source", 0, "urls", "other.onnx"), "https://acme.example/x", "a source has files that the model does not list: other.onnx"),
        (("source", 2, "members", "ann.onnx"), [[1, "acme/ann.onnx"]], "`members` must use each archive, by its number from 0 on"),
        (("file", 1, "path"), "ANN.onnx", "`file` lists ann.onnx twice"),
        (("file", 1, "path"), "ann.onnx.part", "`file` must not have a name that ends in .part: ann.onnx.part"),
        (("source", 0, "urls", "ann.onnx"), "http://acme.example/a", "`source.urls` of ann.onnx: its URL does not begin with https://"),
        (("source", 0, "urls", "ann.onnx"), "https://10.1.2.3/a", "`source.urls` of ann.onnx: its host is not a public address"),
        (("source", 0, "urls", "ann.onnx"), "https://0x7f.1/a", "`source.urls` of ann.onnx: its host is not a public address"),
        (("source", 0, "urls", "ann.onnx"), "https://localhost/a", "`source.urls` of ann.onnx: its host is not a public address"),
        (("id",), "kokoro", "`kokoro` is the id of a model of the backend `kokoro`"),
        (("id",), "KOKORO", "`kokoro` is the id of a model of the backend `kokoro`"),
        (("aliases",), ["en_US-joe-medium"], "`en_us-joe-medium` is another name of `piper/en_US-joe-medium`, of a model of the backend"),
        (("aliases",), ["whisper-1"], "`whisper-1` is a name of OpenAI"),
        (("id",), "kokoro/ann", "the folder of `kokoro/ann` would be in that of `kokoro`"),
        (("id",), "piper", "would be in that of `piper` of the backend `piper`"),
        (("id",), "acme/listen", "`acme/listen` is the id of a model of the backend"),
    ],
)  # fmt: skip
def test_each_fault_names_its_row(path: tuple[str | int, ...], value: Any, fault: str) -> None:
    found = faults(changed((*ANN, *path), value))
    assert any(fault in line for line in found), found
    assert all(line.startswith("model 1 (") or "acme/listen" in line for line in found)


def test_private_addresses_are_allowed_if_the_operator_allows_them() -> None:
    for url in ("http://127.0.0.1:8000/a", "https://10.1.2.3/a"):
        assert faults(changed((*ANN, "source", 0, "urls", "ann.onnx"), url), allow_private=True) == []
    assert faults(changed((*ANN, "source", 0, "urls", "ann.onnx"), "http://10.1.2.3/a"), allow_private=True) == [
        "model 1 (`acme/ann`): a URL must begin with https:// (http:// only on loopback)"
    ]


def test_the_example_in_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs/registry.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    require_valid(index_of(parse(example.encode()), allow_private=False), OWN)


def test_many_faults_are_counted() -> None:
    table = copy.deepcopy(VALID)
    table["model"] = [{**VALID["model"][0], "id": f"acme/{number}", "aliases": [], "backend": "nonsense"} for number in range(25)]
    found = faults(table)
    assert len(found) == 21
    assert found[-1] == "… and 5 more"


def test_the_largest_index_is_checked_in_less_time_than_its_download_may_take() -> None:
    """A thousand rows and their names: each row is compared with a table of names, and not with every other row."""
    table = copy.deepcopy(VALID)
    row = VALID["model"][1]
    table["model"] = [{**row, "id": f"acme/listen-{number}"} for number in range(1000)]
    assert faults(table) == []
