"""The view Talk on real models: a recording speaks into the microphone, hands free, and is answered by voice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from benchmarks.served import serve
from tests.language_model import KEY, LanguageModelServer, serve_language_model
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.served, pytest.mark.weights]

Browse = Callable[..., AbstractContextManager[Page]]
SPOKEN_S = 5.0
"""Of the recording: "It was the best of times, it was the worst of times"."""
PAUSE_S = 20.0
"""Between two times that the microphone hears it: an answer has begun by then, on a slow machine too."""
SLOWEST_MS = PATIENCE_S * 1000


@pytest.fixture(scope="module")
def llm() -> Iterator[LanguageModelServer]:
    """A language model whose answer takes a minute to speak."""
    with serve_language_model() as llm:
        llm.answer = " ".join(f"This is sentence number {number} of a long answer." for number in range(1, 21))
        yield llm


@pytest.fixture(scope="module")
def repeating_browser(
    launch: Callable[..., Browser], speech_clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """Its microphone hears a sentence, silence, and the sentence again."""
    samples, rate = soundfile.read(speech_clips["two_cities"])
    file = tmp_path_factory.mktemp("microphone") / "sentence.wav"
    soundfile.write(file, np.concatenate([samples[: int(SPOKEN_S * rate)], np.zeros(int(PAUSE_S * rate))]), rate)
    browser = launch(f"--use-file-for-fake-audio-capture={file}")
    yield browser
    browser.close()


def start(page: Page) -> None:
    """Begin hands free, and wait until the sentence is recognized."""
    page.get_by_text("Hands free", exact=True).click()
    page.get_by_role("button", name="Start").click()
    said = page.locator("#view-talk .turn.user .said").first
    expect(said).to_contain_text(re.compile("best of times", re.IGNORECASE), timeout=SLOWEST_MS)


def test_real_speech_interrupts_a_real_voice_where_it_is(
    browse: Browse, repeating_browser: Browser, default_weights: None, llm: LanguageModelServer
) -> None:
    remote = {"LLM_BACKENDS": "", "LLM_BASE_URL": llm.url, "LLM_API_KEY": KEY, "LLM_MODEL": "scripted"}
    with (
        serve({"OS_OFFLINE": "true", **remote}) as served,
        browse(repeating_browser, f"{served.url}/web/#talk", permissions=["microphone"]) as page,
    ):
        start(page)
        answer = page.locator("#view-talk .turn.assistant").first
        expect(answer.locator(".stages")).to_contain_text("first audio", timeout=SLOWEST_MS)
        expect(answer).to_have_class("turn assistant interrupted", timeout=SLOWEST_MS)
        expect(page.locator("#view-talk .turn.assistant")).to_have_count(2, timeout=SLOWEST_MS)
        expect(page.locator("#view-talk .turn.assistant .stages").nth(1)).to_contain_text("first text", timeout=SLOWEST_MS)
        unspoken = answer.locator(".unspoken").inner_text()
        played = answer.locator(".said").inner_text().removesuffix(unspoken).strip()
        assert played.startswith("This is sentence number 1 of a long answer.")
        known = [message["content"].strip() for message in llm.requests[-1]["messages"] if message["role"] == "assistant"]
        assert known == [played]
        page.get_by_role("button", name="End").click()
        answer.get_by_role("button", name="Play the answer").click()
        expect(answer.get_by_role("button", name="Pause")).to_be_visible()
        expect(page.locator("#view-talk > .error")).to_be_hidden()


def test_the_smallest_language_model_answers_real_speech(
    browse: Browse, repeating_browser: Browser, default_weights: None, model_folder: Callable[[str], Path]
) -> None:
    model_folder("gemma-3-270m")
    small = {"LLM_MODEL": "gemma-3-270m", "LLM_CONTEXT_SIZE": "2048", "LLM_MAX_TOKENS": "40", "LLM_PARALLEL": "1"}
    with (
        serve({"OS_OFFLINE": "true", **small}) as served,
        browse(repeating_browser, f"{served.url}/web/#talk", permissions=["microphone"]) as page,
    ):
        expect(page.locator("#view-talk select[name=model]")).to_have_text("gemma-3-270m")
        page.get_by_label("Instructions").fill("")
        start(page)
        stages = page.locator("#view-talk .turn.assistant .stages", has_text="first audio").first
        number = r"\d+(\.\d\d)?"
        expect(stages).to_have_text(
            re.compile(rf"^transcript {number} s · first text {number} s · first audio {number} s$"), timeout=SLOWEST_MS
        )
        expect(page.locator("#view-talk > .error")).to_be_hidden()
