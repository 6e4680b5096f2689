"""The page at work on real models: upload, microphone, speech, mixture, models."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import srt
from playwright.sync_api import Browser, Page, expect

from benchmarks.served import Served
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.served, pytest.mark.weights]

Browse = Callable[..., AbstractContextManager[Page]]
LOOKS = list(itertools.product((375, 1440), ("light", "dark")))
TEXT = "The quick brown fox jumps over the lazy dog."


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_file_becomes_lines_that_lead_into_it_and_files_to_take_along(
    browse: Browse, browser: Browser, speaking_server: Served, speech_clips: dict[str, Path], width: int, scheme: str
) -> None:
    with browse(browser, f"{speaking_server.url}/web/#transcribe", width=width, scheme=scheme) as page:
        page.get_by_label("Word timestamps").check()
        page.locator("#file").set_input_files(speech_clips["two_cities"])
        page.get_by_role("button", name="Transcribe").click()
        lines = page.locator(".lines li")
        expect(lines.first).to_be_visible()
        expect(page.get_by_role("button", name="Transcribe")).to_be_visible()
        assert "it was the best of times it was the worst of times" in plain(page.locator(".lines").inner_text().replace("\n0:", " "))
        third = lines.nth(2).locator(".at")
        minutes, seconds = map(int, third.inner_text().split(":"))
        third.click()
        expect(lines.nth(2)).to_have_class("now")
        assert page.locator("#view-transcribe audio").evaluate("(audio) => audio.currentTime") >= 60 * minutes + seconds
        with page.expect_download() as saving:
            page.get_by_role("button", name="Save as SubRip subtitles").click()
        assert saving.value.suggested_filename == "two_cities.srt"
        assert len(list(srt.parse(saving.value.path().read_text(encoding="utf-8")))) == lines.count()
        with page.expect_download() as saving:
            page.get_by_role("button", name="Save as JSON").click()
        saved = json.loads(saving.value.path().read_text(encoding="utf-8"))
        assert saved["language"] == "en"
        assert saved["duration"] == pytest.approx(44.4, abs=0.1)
        assert saved["segments"][0]["words"][0]["word"] == "It"


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1440, "light")])
def test_what_the_microphone_hears_is_read_while_it_is_said(
    browse: Browse, listening_browser: Browser, speaking_server: Served, width: int, scheme: str
) -> None:
    address = f"{speaking_server.url}/web/#transcribe"
    with browse(listening_browser, address, width=width, scheme=scheme, permissions=["microphone"]) as page:
        microphone = page.get_by_role("group", name="Microphone")
        expect(page.locator("#view-transcribe select[name=model]")).to_have_value("Systran/faster-whisper-base")
        microphone.get_by_role("button", name="Start").click()
        expect(microphone.locator(".lamp")).to_have_class("lamp on")
        expect(page.locator(".partial")).not_to_be_empty()
        assert float(page.locator("#view-transcribe").get_by_label("Microphone level").evaluate("(meter) => meter.value")) >= 0
        microphone.get_by_role("button", name="Stop").click()
        expect(microphone.get_by_role("button", name="Start")).to_be_visible()
        expect(page.locator(".partial")).to_be_empty()
        assert "it was the best" in plain(page.locator(".lines").inner_text())
        expect(page.get_by_role("group", name="Recording")).to_be_visible()
        assert page.locator("#view-transcribe > .error").is_hidden()


@pytest.mark.parametrize(
    ("form", "width", "scheme"), [("mp3", 1440, "light"), ("wav", 375, "dark"), ("opus", 1440, "dark"), ("flac", 375, "light")]
)
def test_a_text_is_heard_while_it_is_made_and_kept_as_it_was_heard(
    browse: Browse, browser: Browser, speaking_server: Served, form: str, width: int, scheme: str
) -> None:
    with browse(browser, f"{speaking_server.url}/web/#speak", width=width, scheme=scheme) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
        page.get_by_label("Text to speak").fill(TEXT)
        page.get_by_role("combobox", name="Format").select_option(form)
        expect(page.locator(".who")).to_have_text("Heart")
        page.get_by_role("button", name="Speak", exact=True).click()
        expect(page.locator(".saying span")).to_have_text("Speaking …")
        expect(page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
        with page.expect_download() as saving:
            page.get_by_role("button", name=f"Download {form}").click()
        assert saving.value.suggested_filename == f"speech.{form}"
        assert page.locator("#view-speak audio").evaluate("(audio) => audio.duration") == pytest.approx(3, abs=1)
        with saving.value.path().open("rb") as file:
            answer = httpx.post(
                f"{speaking_server.base_url}/audio/transcriptions", data={"model": "whisper-1"}, files={"file": file}, timeout=PATIENCE_S
            )
        assert plain(answer.json()["text"]) == plain(TEXT)
        assert len(asked) == 1


def test_voices_are_found_heard_and_mixed(browse: Browse, browser: Browser, speaking_server: Served) -> None:
    with browse(browser, f"{speaking_server.url}/web/#speak") as page:
        voices = page.get_by_role("group", name="Voices")
        voices.get_by_label("Gender").select_option("male")
        voices.get_by_label("Search voices").fill("british")
        expect(voices.locator(".voice").first).to_be_visible()
        assert all("British" in text for text in voices.locator(".voice").all_inner_texts())
        voices.get_by_label("Search voices").fill("")
        voices.get_by_label("Gender").select_option("")
        voices.get_by_role("button", name="Play Bella").click()
        expect(voices.locator(".hear.playing")).to_have_count(1)
        expect(voices.locator(".hear.playing")).to_have_count(0)  # the sample has come to its end
        voices.get_by_role("button", name="Add Bella to the blend").click()
        page.get_by_label("Bella", exact=True).press("End")
        expect(page.locator(".mixer code")).to_have_text("af_heart(1)+af_bella(3)")
        page.get_by_label("Text to speak").fill(TEXT)
        page.get_by_role("combobox", name="Format").select_option("wav")
        with page.expect_request("**/v1/audio/speech") as asking:
            page.get_by_role("button", name="Speak", exact=True).click()
        assert asking.value.post_data_json["voice"] == "af_heart(1)+af_bella(3)"
        expect(page.get_by_role("button", name="Download wav")).to_be_visible()


def test_ssml_is_spoken_and_stop_is_silence(browse: Browse, browser: Browser, speaking_server: Served) -> None:
    with browse(browser, f"{speaking_server.url}/web/#speak") as page:
        page.get_by_text("SSML", exact=True).click()
        expect(page.get_by_label("Text to speak")).to_have_value(re.compile("^<speak>"))
        # Far more than is spoken before "Stop" is pressed, on any machine.
        page.get_by_label("Text to speak").fill(f"<speak>{'The answer is still being spoken. ' * 100}</speak>")
        page.get_by_role("combobox", name="Format").select_option("wav")
        with page.expect_request("**/v1/audio/speech") as asking:
            page.get_by_role("button", name="Speak", exact=True).click()
        assert asking.value.post_data_json["input_type"] == "ssml"
        expect(page.locator(".saying span")).to_have_text("Speaking …")
        with page.expect_event("requestfailed"):  # it is broken off, and does not come to its end
            page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
        assert page.locator("#view-speak .compose .error").is_hidden()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (375, "light")])
def test_a_model_is_pulled_loaded_unloaded_and_deleted_by_clicking(
    browse: Browse, browser: Browser, empty_server: Served, width: int, scheme: str
) -> None:
    with browse(browser, f"{empty_server.url}/web/#models", width=width, scheme=scheme) as page:
        row = page.locator('.model[data-id="vosk-model-small-en-us-0.15"]')
        expect(row).to_have_attribute("data-state", "available")
        row.get_by_role("button", name="Pull").click()
        expect(row.get_by_role("progressbar")).to_be_visible()
        expect(row).to_have_attribute("data-state", "downloaded")
        row.get_by_role("button", name="Load").click()
        expect(row).to_have_attribute("data-state", "loaded")
        expect(row.locator(".figures")).to_contain_text(re.compile(r"\d+ MB in cpu"))
        page.get_by_role("link", name="Status").click()
        expect(page.locator("[data-figure=loaded]")).to_have_text("1")
        page.get_by_role("link", name="Models").click()
        row.get_by_role("button", name="Unload").click()
        expect(row).to_have_attribute("data-state", "downloaded")
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Yes").click()
        expect(row).to_have_attribute("data-state", "available")
