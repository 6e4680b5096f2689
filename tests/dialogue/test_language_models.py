"""Which language model answers: another server's, one of this server, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from open_speech.config import Settings
from open_speech.dialogue.language_models import LanguageModels
from open_speech.errors import LanguageModelUnavailable, SpeechError, UnknownModel, WeightsUnavailable, WrongTask
from open_speech.security import egress
from runners.wiring.engine import local_engine

Opens = Callable[..., LanguageModels]
REMOTE = {"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "big"}


@pytest.fixture
def models(tones_settings: Settings) -> Opens:
    def opened(**changed: object) -> LanguageModels:
        settings = Settings(**{**{name: getattr(tones_settings, name) for name in tones_settings.model_fields_set}, **changed})
        return LanguageModels(local_engine(settings).pool, settings)

    return opened


def test_without_a_download_there_is_no_default(models: Opens) -> None:
    known = models(llm_backends=("llama",))
    assert (asyncio.run(known.has_default()), asyncio.run(known.default_name())) == (False, "")
    with pytest.raises(LanguageModelUnavailable, match="models pull"):
        asyncio.run(known.open())


def test_the_model_of_another_server_is_the_default(models: Opens) -> None:
    known = models(**REMOTE)
    assert known.is_remote
    assert asyncio.run(known.default_name()) == "big"
    assert known.knows("big")
    assert asyncio.run(known.open()).name == "big"


def test_a_local_only_key_has_no_model_of_another_server(models: Opens) -> None:
    known = models(**REMOTE)
    with egress.keeping(local_only=True):
        assert not asyncio.run(known.has_default())
        assert not known.knows("big")
        with pytest.raises(SpeechError):
            asyncio.run(known.open("big"))


def test_with_another_server_no_local_runner_is_planned_unless_it_is_asked_for(models: Opens) -> None:
    assert asyncio.run(models(**REMOTE).states()) == []
    assert asyncio.run(models(**REMOTE, llm_backends=("llama",)).states()) != []


def test_a_model_of_the_catalog_is_known_before_its_download(models: Opens) -> None:
    known = models(llm_backends=("llama",), llm_model="gemma-3-4b-it")
    assert known.knows("gemma-3-4b-it")
    assert asyncio.run(known.default_name()) == "gemma-3-4b-it"
    assert {state["id"]: state["installed"] for state in asyncio.run(known.states())}["gemma-3-4b-it"] is False

    async def answer() -> None:
        model = await known.open()
        async for _ in model.answer({"messages": [{"role": "user", "content": "Hello"}]}):
            raise AssertionError("a model without weights has answered")

    with pytest.raises(WeightsUnavailable):  # OS_OFFLINE
        asyncio.run(answer())


@pytest.mark.parametrize(("name", "error"), [("nobody", UnknownModel), ("tones/speak", WrongTask), ("owner/repo-GGUF:Q4_K_M", SpeechError)])
def test_a_name_that_is_no_language_model_is_refused(models: Opens, name: str, error: type[SpeechError]) -> None:
    known = models(llm_backends=("llama",), os_pull_allowed=("catalog",))
    with pytest.raises(error):
        asyncio.run(known.open(name))


def test_a_file_in_the_settings_is_a_model(models: Opens) -> None:
    known = models(llm_backends=("llama",), llm_model="/models/small.gguf")
    assert asyncio.run(known.default_name()) == "local/small"
    assert known.knows("/models/small.gguf")


def test_a_setting_that_names_no_language_model_is_reported_and_not_used(models: Opens) -> None:
    known = models(llm_backends=("llama",), llm_model="tones/speak")
    assert known.fault().startswith("LLM_MODEL=tones/speak is not used: ")
    assert asyncio.run(known.default_name()) == ""
    with pytest.raises(LanguageModelUnavailable, match="LLM_MODEL"):
        asyncio.run(known.open())
    assert models(llm_backends=("llama",), llm_model="gemma-3-1b-it").fault() == models(**REMOTE).fault() == ""
