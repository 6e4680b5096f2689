from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from open_speech.registry import OPENAI_STT, OPENAI_TTS


def test_the_list_has_the_models_and_openai_names(client: TestClient) -> None:
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    ids = [model["id"] for model in body["data"]]
    assert ids == ["tones/listen", "tones/speak", *OPENAI_STT, *OPENAI_TTS]
    assert all(model["object"] == "model" and model["owned_by"] and model["created"] > 0 for model in body["data"])


def test_a_model_tells_what_it_can_do(client: TestClient) -> None:
    speaks = client.get("/v1/models/tones/speak").json()
    assert (speaks["task"], speaks["sample_rate"], speaks["licence"]) == ("text-to-speech", 24_000, "MIT")
    assert speaks["languages"] == speaks["language"] == ["en"]
    assert [voice["name"] for voice in speaks["voices"]] == ["tone"]
    assert "mp3" in speaks["formats"]
    listens = client.get("/v1/models/tones/listen").json()
    assert (listens["task"], listens["word_times"], listens["translates"]) == ("speech-to-text", True, False)
    assert "srt" in listens["formats"]
    assert "voices" not in listens


@pytest.mark.parametrize(("alias", "model"), [("whisper-1", "tones/listen"), ("tts-1", "tones/speak")])
def test_an_alias_tells_what_stands_behind_it(client: TestClient, alias: str, model: str) -> None:
    body = client.get(f"/v1/models/{alias}").json()
    assert (body["id"], body["alias_of"]) == (alias, model)
    assert "alias_of" not in client.get(f"/v1/models/{model}").json()


@pytest.mark.parametrize("name", ["nobody", "nobody/nothing", ""])
def test_an_unknown_model_is_not_found(client: TestClient, name: str) -> None:
    answer = client.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert error["message"].startswith(f"The model `{name}` does not exist or you do not have access to it.")


def test_open_webui_finds_the_models_that_speak_first(client: TestClient) -> None:
    models = client.get("/v1/audio/models").json()["models"]
    assert models[0]["id"] == "tones/speak"
    assert {"whisper-1", "tts-1", "tones/listen"} <= {model["id"] for model in models}
