"""An index from its address to the catalog: what is stored, what is refused, what is left out."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from open_speech.errors import UnknownItem
from open_speech.model_indexes import Catalog, IndexRefused, ModelIndexes, with_indexes
from open_speech.model_indexes.adding import Terms, add
from open_speech.model_indexes.values import AcceptedIndex
from runners import catalog
from tests.file_server import serve_files
from tests.model_indexes.indexes import VALID, changed, toml

OWN = Catalog(catalog.BACKENDS, catalog.own_models())
SIGNER = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
KEY = base64.b64encode(SIGNER.public_key().public_bytes_raw()).decode()
EVERY = {entry.name for entry in catalog.BACKENDS}


@pytest.fixture
def folder(tmp_path: Path) -> ModelIndexes:
    return ModelIndexes(tmp_path / "models")


@pytest.fixture
def publish(tmp_path: Path) -> Callable[[dict[str, Any]], str]:
    """Write an index, and return its SHA-256."""
    (tmp_path / "web").mkdir()

    def write(table: dict[str, Any], name: str = "index.toml") -> str:
        content = toml(table)
        (tmp_path / "web" / name).write_bytes(content)
        (tmp_path / "web" / f"{name}.sig").write_bytes(base64.b64encode(SIGNER.sign(content)))
        return hashlib.sha256(content).hexdigest()

    return write


@pytest.fixture
def url(tmp_path: Path, publish: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    with serve_files(tmp_path / "web") as served:
        yield f"{served}/index.toml"


def ids(folder: ModelIndexes, usable: set[str] = EVERY) -> list[str]:
    joined = with_indexes(folder.all()[0], catalog.BACKENDS, catalog.own_models(), usable)
    return [model.id for model in joined.models[len(catalog.own_models()) :]]


def test_a_pinned_index_joins_the_catalog_after_our_own_models(folder: ModelIndexes, publish: Any, url: str) -> None:
    pin = publish(VALID)
    added = add(folder, OWN, f"{url}#sha256={pin}", Terms())
    assert added.accepted == AcceptedIndex("acme", url, pin, 3)
    assert ids(folder) == ["acme/ann", "acme/listen"]
    stored, reports = folder.all()
    assert ([one.accepted for one in stored], reports) == ([added.accepted], [])
    assert stored[0].content == added.content


def test_without_a_pin_nothing_is_stored(folder: ModelIndexes, publish: Any, url: str) -> None:
    pin = publish(VALID)
    with pytest.raises(IndexRefused, match=pin):
        add(folder, OWN, url, Terms())
    assert folder.all() == ([], [])


def test_a_changed_index_is_refused_until_it_is_accepted_again(folder: ModelIndexes, publish: Any, url: str) -> None:
    first = publish(VALID)
    add(folder, OWN, url, Terms(sha256=first))
    assert add(folder, OWN, url, Terms()).accepted.sha256 == first
    second = publish({**changed(("model", 1)), "revision": 4})
    with pytest.raises(IndexRefused, match=f"has changed since it was accepted with the SHA-256 {first}"):
        add(folder, OWN, url, Terms())
    with pytest.raises(IndexRefused, match=f"is {second}, and not {first}"):
        add(folder, OWN, url, Terms(sha256=first))
    assert ids(folder) == ["acme/ann", "acme/listen"]
    add(folder, OWN, url, Terms(sha256=second))
    assert ids(folder) == ["acme/ann"]


def test_a_signed_index_is_updated_without_a_pin(folder: ModelIndexes, publish: Any, url: str, tmp_path: Path) -> None:
    publish(VALID)
    add(folder, OWN, url, Terms(key=KEY))
    publish({**changed(("model", 1)), "revision": 4})
    assert add(folder, OWN, url, Terms()).accepted.revision == 4
    publish({**VALID, "revision": 5})
    (tmp_path / "web/index.toml.sig").unlink()
    with pytest.raises(IndexRefused, match="index.toml.sig cannot be read"):
        add(folder, OWN, url, Terms())
    assert ids(folder) == ["acme/ann"]


def test_an_invalid_index_is_refused_whatever_its_pin_and_leaves_the_earlier_one(folder: ModelIndexes, publish: Any, url: str) -> None:
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    with pytest.raises(IndexRefused, match="`kokoro` is the id of a model of the backend `kokoro`"):
        add(folder, OWN, url, Terms(sha256=publish(changed(("model", 0, "id"), "kokoro"))))
    assert ids(folder) == ["acme/ann", "acme/listen"]


def test_the_second_index_does_not_take_a_name_of_the_first(folder: ModelIndexes, publish: Any, url: str) -> None:
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    other = url.replace("index.toml", "other.toml")
    with pytest.raises(IndexRefused, match=f"`acme` is the name of the index from {url}"):
        add(folder, OWN, other, Terms(sha256=publish(VALID, "other.toml")))
    with pytest.raises(IndexRefused, match="`acme-ann` is another name of `acme/ann`, of a model"):
        add(folder, OWN, other, Terms(sha256=publish({**VALID, "name": "other"}, "other.toml")))


def test_private_addresses_stay_allowed_for_the_index_that_was_added_with_them(folder: ModelIndexes, publish: Any, url: str) -> None:
    local = changed(("model", 0, "source", 0, "urls", "ann.onnx"), "http://127.0.0.1:1/ann.onnx")
    with pytest.raises(IndexRefused, match="`source.urls` of ann.onnx: its URL does not begin with https://"):
        add(folder, OWN, url, Terms(sha256=publish(local)))
    add(folder, OWN, url, Terms(sha256=publish(local), allow_private=True))
    assert add(folder, OWN, url, Terms(sha256=publish({**local, "revision": 4}))).accepted.allow_private
    assert ids(folder) == ["acme/ann", "acme/listen"]


def test_offline_only_a_file_is_added(folder: ModelIndexes, publish: Any, url: str, tmp_path: Path) -> None:
    pin = publish(VALID)
    with pytest.raises(IndexRefused, match="OS_OFFLINE is set"):
        add(folder, OWN, url, Terms(pin, offline=True))
    added = add(folder, OWN, str(tmp_path / "web/index.toml"), Terms(pin, offline=True))
    assert added.accepted.source == str(tmp_path / "web/index.toml")


@pytest.mark.parametrize(("option", "place"), [("12", ""), ("ab" * 32, "#sha256=" + "cd" * 32)])
def test_a_pin_that_is_none_or_two_pins_are_refused(folder: ModelIndexes, option: str, place: str) -> None:
    with pytest.raises(IndexRefused) as refused:
        add(folder, OWN, f"/nowhere/index.toml{place}", Terms(option))
    assert refused.value.param == "--sha256"


def test_rows_of_backends_that_are_not_installed_are_left_out_and_reported(folder: ModelIndexes, publish: Any, url: str) -> None:
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    joined = with_indexes(folder.all()[0], catalog.BACKENDS, catalog.own_models(), EVERY - {"piper"})
    assert joined.origins[0][1] == ("acme/listen",)
    (report,) = joined.reports
    assert str(report) == ("model index acme: the model `acme/ann`: its backend `piper` is not installed: pip install 'open-speech[piper]'")


def test_a_name_that_a_later_version_takes_is_left_out(folder: ModelIndexes, publish: Any, url: str) -> None:
    """The index was accepted when the name was free; now the catalog has a model of this name, which keeps it."""
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    ours = (*catalog.own_models(), folder.all()[0][0].content.models[1])
    joined = with_indexes(folder.all()[0], catalog.BACKENDS, ours, EVERY)
    assert [model.id for model in joined.models].count("acme/listen") == 1
    assert [report.detail for report in joined.reports] == ["`acme/listen` is the id of a model of the backend `tones-stt`"]


def test_stored_content_that_was_changed_is_not_used(folder: ModelIndexes, publish: Any, url: str, tmp_path: Path) -> None:
    pin = publish(VALID)
    add(folder, OWN, url, Terms(sha256=pin))
    stored = tmp_path / "models/.indexes/acme" / f"{pin}.toml"
    stored.write_bytes(stored.read_bytes().replace(b"CC0-1.0", b"CC0-1.1"))
    used, reports = folder.all()
    assert used == []
    assert [str(report) for report in reports] == [
        "model index acme: its stored content does not have the accepted SHA-256: add the index again"
    ]
    add(folder, OWN, url, Terms(sha256=pin))
    assert ids(folder) == ["acme/ann", "acme/listen"]


@pytest.mark.parametrize("record", ["", "[]", "{}", json.dumps({"name": "other"})])
def test_a_record_that_cannot_be_read_is_reported(folder: ModelIndexes, publish: Any, url: str, tmp_path: Path, record: str) -> None:
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    (tmp_path / "models/.indexes/acme/accepted.json").write_text(record, encoding="utf-8")
    used, (report,) = folder.all()
    assert (used, report.index) == ([], "acme")
    assert "remove the index and add it again" in report.detail
    folder.remove("acme")
    assert folder.all() == ([], [])


@pytest.mark.parametrize("name", ["nobody", "..", "../models", "", "."])
def test_only_an_index_is_removed(folder: ModelIndexes, publish: Any, url: str, name: str) -> None:
    add(folder, OWN, url, Terms(sha256=publish(VALID)))
    with pytest.raises(UnknownItem, match="There is no model index"):
        folder.remove(name)
    assert ids(folder) == ["acme/ann", "acme/listen"]
