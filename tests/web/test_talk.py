"""The view Talk: a microphone that speaks tones, a server without weights, and a scripted language model, so that every text is exact."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.served import Served, serve
from open_speech.audio import concat, resample, silence
from open_speech.backends import Setup, SpeechOptions
from runners import catalog
from runners.tones import TonesSynthesizer
from tests.language_model import KEY, LanguageModelServer, serve_language_model
from tests.waiting import PATIENCE_S, until
from tests.web.test_page import FAINT, NAMELESS

pytestmark = pytest.mark.served

Browse = Callable[..., AbstractContextManager[Page]]
TONES = {
    "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak", "TTS_VOICE": "tone",
    "OS_OFFLINE": "true",
}  # fmt: skip
RATE = 48_000
QUESTION = "What is the weather in Paris?"
PAUSE_S = 3.0
"""Between two times that the microphone hears the text: long enough to press the button in it, on a slow machine too."""
LOUD = 0.3
"""Level of the microphone that only speech reaches."""


def recording(folder: Path, text: str) -> Path:
    """A file in which a text is spoken in tones. The microphone hears it again and again."""
    entry = next(model for model in catalog.own_models() if model.id == "tones/speak")
    parts = list(TonesSynthesizer(Setup(entry, folder, device="cpu")).synthesize(text, SpeechOptions("tone", speed=0.5)))
    said = resample(concat(parts, parts[0].rate), RATE)
    file = folder / "microphone.wav"
    soundfile.write(file, concat([silence(0.4, RATE), said, silence(PAUSE_S, RATE)], RATE).samples, RATE, subtype="PCM_16")
    return file


class Talk:
    """The view with the eyes and hands of a user."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.button = page.locator("#view-talk button.talk")
        self.turns = page.locator("#view-talk .turn")
        self.error = page.locator("#view-talk > .error")
        self.now = page.locator("#view-talk .now")
        self.is_open = False
        """Whether the microphone records already; it begins with the text."""
        expect(self.button).to_be_enabled()

    def text(self, number: int) -> Locator:
        return self.turns.nth(number).locator(".said")

    def say(self) -> None:
        """Hold the button while the microphone hears the text once, from its beginning to its end."""
        self.press()
        self.hear()
        self.page.mouse.up()

    def press(self) -> None:
        """Press the button in a pause."""
        if self.is_open:
            self.hear()
        self.is_open = True
        self.button.hover()
        self.page.mouse.down()

    def level(self) -> float:
        return float(self.page.evaluate("document.querySelector('#view-talk .level').value"))

    def hear(self) -> None:
        """Wait until the microphone has heard the text, and is silent again."""
        until(lambda: self.level() > LOUD)
        until(lambda: self.level() < LOUD)
        self.page.wait_for_timeout(200)


@pytest.fixture(scope="module")
def llm() -> Iterator[LanguageModelServer]:
    with serve_language_model() as llm:
        yield llm


@pytest.fixture(scope="module")
def talking_server(llm: LanguageModelServer) -> Iterator[Served]:
    """A server whose language model is that of another server."""
    remote = {"LLM_BACKENDS": "", "LLM_BASE_URL": llm.url, "LLM_API_KEY": KEY, "LLM_MODEL": "scripted"}
    with serve(TONES | remote) as served:
        yield served


@pytest.fixture(scope="module")
def speechless_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that has language models to pull, and has pulled none."""
    with serve(TONES | {"LLM_BACKENDS": "llama", "OS_MODELS_DIR": str(tmp_path_factory.mktemp("models"))}) as served:
        yield served


@pytest.fixture
def talk(
    launch: Callable[..., Browser], browse: Browse, talking_server: Served, tmp_path: Path
) -> Iterator[Callable[..., AbstractContextManager[Talk]]]:
    """Open the view in a browser whose microphone hears a text."""
    browsers: list[Browser] = []

    @contextmanager
    def opened(text: str = QUESTION, **how: Any) -> Iterator[Talk]:
        browsers.append(launch(f"--use-file-for-fake-audio-capture={recording(tmp_path, text)}"))
        with browse(browsers[-1], f"{talking_server.url}/web/#talk", permissions=["microphone"], **how) as page:
            yield Talk(page)

    yield opened
    for browser in browsers:
        browser.close()


@pytest.mark.parametrize(("width", "scheme"), list(itertools.product((390, 1440), ("light", "dark"))))
def test_a_question_is_asked_with_the_button_held_and_its_answer_is_shown_timed_and_played_again(
    talk: Callable[..., AbstractContextManager[Talk]], llm: LanguageModelServer, width: int, scheme: str
) -> None:
    llm.requests.clear()
    with talk(width=width, scheme=scheme) as seen:
        page = seen.page
        expect(page.locator("#view-talk select[name=model]")).to_have_text("scripted (on another server)")
        page.get_by_label("Instructions").fill("Be brief.")
        seen.press()
        expect(seen.turns.first).to_have_class("turn user speaking")
        expect(seen.now).to_have_text("Release the button to get an answer.")
        seen.hear()
        page.mouse.up()
        expect(seen.text(0)).to_have_text(QUESTION)
        expect(seen.text(1)).to_have_text(llm.answer)
        assert llm.requests[-1]["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": QUESTION},
        ]
        stages = seen.turns.nth(1).locator(".stages")
        expect(stages).to_have_text(re.compile(r"^transcript \d+\.\d\d s · first text \d+\.\d\d s · first audio \d+\.\d\d s$"))
        transcript, text, audio = (float(number) for number in re.findall(r"\d+\.\d\d", stages.inner_text()))
        assert transcript <= text <= audio
        expect(seen.now).to_have_text("Hold the button and speak.")
        for name in ("Play what you said", "Play the answer"):
            page.get_by_role("button", name=name).click()
            expect(page.get_by_role("button", name="Pause")).to_be_visible()
            expect(page.get_by_role("button", name="Pause")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(FAINT) == []
        expect(seen.error).to_be_hidden()


def test_the_space_bar_is_held_like_the_button(talk: Callable[..., AbstractContextManager[Talk]], llm: LanguageModelServer) -> None:
    with talk() as seen:
        seen.button.focus()
        seen.page.keyboard.down(" ")
        expect(seen.turns.first).to_have_class("turn user speaking")
        seen.hear()
        seen.page.keyboard.up(" ")
        expect(seen.text(0)).to_have_text(QUESTION)
        expect(seen.text(1)).to_have_text(llm.answer)


def test_a_press_interrupts_and_the_model_learns_what_was_played(
    talk: Callable[..., AbstractContextManager[Talk]], llm: LanguageModelServer
) -> None:
    llm.left.clear()
    with talk("on and on") as seen:
        seen.say()
        expect(seen.turns.nth(1).locator(".stages")).to_contain_text("first audio")
        seen.page.wait_for_timeout(2000)
        seen.say()
        expect(seen.turns.nth(1)).to_have_class("turn assistant interrupted")
        until(lambda: llm.left.is_set())
        unspoken = seen.turns.nth(1).locator(".unspoken").inner_text()
        whole = seen.text(1).inner_text()
        played = whole.removesuffix(unspoken)
        assert played
        assert unspoken
        expect(seen.turns.nth(3).locator(".stages")).to_contain_text("first audio")
        said = [message for message in llm.requests[-1]["messages"] if message["role"] == "assistant"]
        assert [message["content"].strip() for message in said] == [played.strip()]
        expect(seen.turns.nth(1).get_by_role("button", name="Play the answer")).to_be_visible()


def test_another_voice_begins_a_session_that_knows_the_conversation(
    talk: Callable[..., AbstractContextManager[Talk]], llm: LanguageModelServer
) -> None:
    with talk() as seen:
        voice = seen.page.locator("#view-talk select[name=voice]")
        seen.say()
        expect(seen.turns.nth(1)).to_have_class("turn assistant done")
        with seen.page.expect_websocket() as opening:
            voice.select_option("tone")
            seen.is_open = False
            seen.say()
        assert opening.value.url.endswith("/v1/realtime?model=gpt-realtime")
        expect(seen.turns.nth(3)).to_have_class("turn assistant done")
        said = [(message["role"], message["content"].strip()) for message in llm.requests[-1]["messages"][1:]]
        assert said == [("user", QUESTION), ("assistant", llm.answer), ("user", QUESTION)]
        seen.page.reload()
        expect(voice).to_have_value("tone")
        expect(seen.turns).to_have_count(0)


def test_a_failure_of_the_language_model_is_shown_in_words_and_talking_goes_on(
    talk: Callable[..., AbstractContextManager[Talk]], llm: LanguageModelServer
) -> None:
    with talk("status 500") as seen:
        seen.say()
        expect(seen.error).to_have_text("The language model server failed (status 500).")
        expect(seen.text(1)).to_have_text("The language model server failed (status 500).")
        seen.say()
        expect(seen.turns).to_have_count(4)


def test_a_press_without_words_gets_no_answer(launch: Callable[..., Browser], browse: Browse, talking_server: Served) -> None:
    browser = launch()  # its microphone beeps
    with browse(browser, f"{talking_server.url}/web/#talk", permissions=["microphone"]) as page:
        seen = Talk(page)
        seen.press()
        page.wait_for_timeout(1500)
        page.mouse.up()
        expect(seen.text(0)).to_contain_text("No speech was recognized.")
        page.mouse.down()
        page.mouse.up()
        expect(page.locator("#notices")).to_have_text("Hold the button while you speak.")
        expect(seen.turns).to_have_count(1)
        expect(seen.now).to_have_text("Hold the button and speak.")
    browser.close()


def test_hands_free_begins_and_ends_by_a_click_and_leaving_the_view_ends_it(
    talk: Callable[..., AbstractContextManager[Talk]], talking_server: Served
) -> None:
    pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

    def calls() -> int:
        shown = httpx.get(f"{talking_server.url}/metrics", timeout=PATIENCE_S).text
        return int(float(re.findall(r"^open_speech_webrtc_calls (\S+)", shown, re.MULTILINE)[0]))

    with talk() as seen:
        page = seen.page
        page.get_by_text("Hands free", exact=True).click()
        for end in (page.get_by_role("button", name="End"), page.get_by_role("link", name="Models")):
            page.get_by_role("button", name="Start").click()
            expect(page.get_by_role("button", name="End")).to_have_attribute("aria-pressed", "true")
            expect(seen.now).to_have_text("Speak whenever you like.")
            until(lambda: calls() == 1)
            end.click()
            until(lambda: calls() == 0)
        page.get_by_role("link", name="Talk").click()
        expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_a_browser_without_webrtc_uses_a_websocket(talk: Callable[..., AbstractContextManager[Talk]]) -> None:
    with talk() as seen:
        page = seen.page
        page.evaluate("delete window.RTCPeerConnection")
        page.get_by_text("Hands free", exact=True).click()
        with page.expect_websocket() as opening:
            page.get_by_role("button", name="Start").click()
        expect(seen.now).to_have_text("Speak whenever you like.")
        with opening.value.expect_event("close"):
            page.get_by_role("button", name="End").click()


def test_a_server_that_is_not_reached_by_udp_is_used_over_a_websocket(talk: Callable[..., AbstractContextManager[Talk]]) -> None:
    with talk() as seen:
        page = seen.page
        # What a firewall does: the answer names addresses from which nothing comes back.
        page.evaluate(
            """() => {
                const real = RTCPeerConnection.prototype.setRemoteDescription;
                RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
                    return real.call(this, { type, sdp: sdp.replace(/a=candidate.*\\r\\n/g, "") });
                };
            }"""
        )
        page.get_by_text("Hands free", exact=True).click()
        with page.expect_websocket() as opening:
            page.get_by_role("button", name="Start").click()
        expect(seen.now).to_have_text("Speak whenever you like.")
        with opening.value.expect_event("close"):
            page.get_by_role("button", name="End").click()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_without_a_language_model_the_page_says_so_and_offers_those_of_the_catalog(
    browse: Browse, browser: Browser, speechless_server: Served, width: int, scheme: str
) -> None:
    with browse(browser, f"{speechless_server.url}/web/#talk", width=width, scheme=scheme) as page:
        expect(page.locator("#view-talk .missing")).to_contain_text("This server has no language model yet.")
        expect(page.locator("#view-talk button.talk")).to_be_disabled()
        smallest = page.locator('.pull [data-id="gemma-3-270m"]')
        expect(smallest).to_contain_text("253 MB")
        expect(page.locator('.pull [data-id="gemma-3-1b-it"]')).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FAINT) == []
        smallest.get_by_role("button", name="Pull gemma-3-270m").click()
        expect(page.locator(".pull > .error")).to_contain_text("OS_OFFLINE")
        expect(smallest.get_by_role("button", name="Pull gemma-3-270m")).to_be_enabled()
