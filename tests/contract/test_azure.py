"""The stock `AzureOpenAI` client, and Azure's v1 paths with the plain one."""

from __future__ import annotations

import httpx
import openai
import pytest
from openai import AzureOpenAI, OpenAI

from tests.waiting import PATIENCE_S

TEXT = "the quick brown fox"


@pytest.fixture
def azure(server: str) -> AzureOpenAI:
    return AzureOpenAI(azure_endpoint=server, api_key="sesame", api_version="2024-10-21", max_retries=0)


def test_a_deployment_speaks_and_transcribes(azure: AzureOpenAI) -> None:
    audio = azure.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav").content
    assert azure.audio.transcriptions.create(model="whisper-1", file=("a.wav", audio)).text == TEXT
    # The client deprecates what OpenAI will retire; the tones are a language that nobody translates.
    with pytest.warns(DeprecationWarning), pytest.raises(openai.BadRequestError, match="does not translate"):
        azure.audio.translations.create(model="whisper-1", file=("a.wav", audio))


def test_a_deployment_may_be_the_id_of_a_model_with_a_slash(azure: AzureOpenAI) -> None:
    audio = azure.audio.speech.create(model="tones/speak", voice="tone", input=TEXT, response_format="wav").content
    assert azure.audio.transcriptions.create(model="tones/listen", file=("a.wav", audio), response_format="verbose_json").text == TEXT


@pytest.mark.parametrize("fields", [{}, {"model": "no-such-model"}])
def test_the_path_names_the_model_whatever_the_body_says(server: str, fields: dict[str, str]) -> None:
    key, version = {"api-key": "sesame"}, {"api-version": "2024-10-21"}
    spoken = httpx.post(
        f"{server}/openai/deployments/tts-1/audio/speech", headers=key, params=version, timeout=PATIENCE_S,
        json={"input": TEXT, "voice": "alloy", "response_format": "wav", **fields},
    )  # fmt: skip
    assert spoken.status_code == 200
    heard = httpx.post(
        f"{server}/openai/deployments/whisper-1/audio/transcriptions", headers=key, params=version, data=fields,
        timeout=PATIENCE_S,
        files={"file": ("a.wav", spoken.content)},
    )  # fmt: skip
    assert heard.json()["text"] == TEXT


def test_an_unknown_deployment_is_an_unknown_model(azure: AzureOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        azure.audio.speech.create(model="no-such-model", voice="alloy", input=TEXT)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_wrong_key_is_refused(server: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        AzureOpenAI(azure_endpoint=server, api_key="wrong", api_version="2024-10-21", max_retries=0).audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT
        )


def test_the_v1_paths_are_those_of_openai(server: str) -> None:
    client = OpenAI(base_url=f"{server}/openai/v1", api_key="sesame", max_retries=0)
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav").content
    assert client.audio.transcriptions.create(model="whisper-1", file=("a.wav", audio)).text == TEXT
    assert client.models.retrieve("whisper-1").id == "whisper-1"
    assert httpx.get(f"{server}/openai/v1/models", timeout=PATIENCE_S).status_code == 401
    assert httpx.get(f"{server}/openai/v1/nothing", headers={"api-key": "sesame"}, timeout=PATIENCE_S).status_code == 404
