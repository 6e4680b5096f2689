"""What the hub says, and how its refusals are told apart."""

from __future__ import annotations

import pytest

from open_speech.errors import UnknownModel, WeightsUnavailable
from open_speech.model_files import HubSource
from open_speech.weights.by_hand import whisper_files


@pytest.mark.parametrize("status", [401, 404])
def test_a_repository_that_does_not_exist_is_an_unknown_model(make_store, make_model, shelf, tmp_path, status: int) -> None:
    shelf.statuses["/api/models/no/body/revision/main"] = status
    with pytest.raises(UnknownModel) as raised:
        make_store().pull(make_model({}, HubSource("no/body"), id="no/body"))
    assert raised.value.param == "model"
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_repository_without_a_ctranslate2_whisper_is_an_unknown_model(make_store, make_model, shelf) -> None:
    shelf.host_repo("openai/whisper", {"pytorch_model.bin": b"x", "config.json": b"{}"})
    with pytest.raises(UnknownModel, match="CTranslate2"):
        make_store().pull(make_model({}, HubSource("openai/whisper"), id="openai/whisper"))


def test_a_gated_repository_is_unavailable_not_unknown(make_store, make_model, shelf) -> None:
    shelf.statuses["/api/models/a/gated/revision/main"] = 403
    with pytest.raises(WeightsUnavailable, match="403"):
        make_store().pull(make_model({}, HubSource("a/gated"), id="a/gated"))


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b'{"siblings": 3}'])
def test_a_login_page_in_the_way_is_no_hub(make_store, make_model, shelf, page: bytes) -> None:
    shelf.files["/api/models/a/b/revision/main"] = page
    with pytest.raises(WeightsUnavailable, match="not a Hugging Face hub"):
        make_store().pull(make_model({}, HubSource("a/b"), id="a/b"))


def test_an_unreachable_hub_leaves_an_unknown_id_unavailable(make_store, make_model) -> None:
    with pytest.raises(WeightsUnavailable, match=r"hub: nowhere\.invalid cannot be reached"):
        make_store(url="http://nowhere.invalid").pull(make_model({}, HubSource("a/b"), id="a/b"))


def test_a_pinned_revision_and_other_paths_are_asked_for(make_store, make_model, shelf) -> None:
    shelf.host_repo("acme/voices", {"en/joe.onnx": b"o" * 300}, revision="v1")
    model = make_model({"joe.onnx": b"o" * 300}, HubSource("acme/voices", "v1", {"joe.onnx": "en/joe.onnx"}))
    make_store().pull(model)
    assert shelf.asked == ["GET /acme/voices/resolve/v1/en/joe.onnx"]


def test_files_are_fetched_at_the_commit_that_was_listed(make_store, make_model, shelf) -> None:
    shelf.host_repo("acme/whisper", {"config.json": b"{}", "model.bin": b"m" * 500})
    make_store().pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper"))
    assert all("/resolve/main/" not in line for line in shelf.asked)


def test_the_users_token_goes_to_the_hub(make_store, make_model, shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    shelf.host_repo("acme/whisper", {"config.json": b"{}", "model.bin": b"m" * 500})
    make_store().pull(make_model({}, HubSource("acme/whisper"), id="acme/whisper"))
    assert {headers.get("authorization") for headers in shelf.seen_headers} == {"Bearer hf_secret"}


def test_only_the_files_of_a_whisper_are_chosen() -> None:
    names = ["model.bin", "config.json", "vocabulary.json", ".gitattributes", "README.md", "../evil.bin", "x/y.json", "pic.png"]
    assert whisper_files(names) == ("config.json", "model.bin", "vocabulary.json")
    assert whisper_files(["model.safetensors", "config.json"]) == ()
