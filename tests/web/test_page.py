"""What the page is, whatever it works on: a browser on a server without weights, and with a key."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from benchmarks.served import Served

pytestmark = pytest.mark.served

Browse = Callable[..., AbstractContextManager[Page]]
VIEWS = ("transcribe", "speak", "talk", "models", "status")
LOOKS = list(itertools.product((375, 1440), ("light", "dark")))
KEY = "sesame-street"
REFUSED = ("401 (Unauthorized)",)

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, a, progress, meter, [role=slider], dialog")]
  .filter((node) => node.offsetParent && !node.getAttribute("aria-labelledby"))
  .filter((node) => !(node.labels?.length || node.ariaLabel || node.textContent.trim()))
  .map((node) => node.outerHTML)"""

FAINT = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number).map((c, i) => (text.startsWith("color(srgb") && i < 3 ? c * 255 : c));
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => { const a = top[3] ?? 1; return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)); };
  const ground = (node) => {
    if (!node) return [255, 255, 255];
    const own = numbers(getComputedStyle(node).backgroundColor);
    return own[3] === 0 ? ground(node.parentElement) : over(own, own.length < 4 ? own : ground(node.parentElement));
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!said || !node.checkVisibility() || node.disabled) continue;
    const [one, other] = [light(numbers(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) found.push(`${node.tagName}.${node.className} ${node.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""


def unlock(page: Page, key: str = KEY) -> None:
    dialog = page.locator("#key-dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key").fill(key)
    dialog.get_by_role("button", name="Save").click()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_view_fits_is_legible_and_names_its_controls(
    browse: Browse, browser: Browser, locked_server: Served, width: int, scheme: str
) -> None:
    with browse(browser, f"{locked_server.url}/web/", width=width, scheme=scheme, forgiven=REFUSED) as page:
        unlock(page)
        for view in VIEWS:
            page.get_by_role("link", name=view.capitalize(), exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(view.capitalize())
            expect(page).to_have_url(f"{locked_server.url}/web/#{view}")
            page.wait_for_load_state("networkidle")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(NAMELESS) == []
            assert page.evaluate(FAINT) == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_documentation_tells_every_endpoint_without_a_key(
    browse: Browse, browser: Browser, locked_server: Served, width: int, scheme: str
) -> None:
    with browse(browser, f"{locked_server.url}/docs#post-v1-audio-speech", width=width, scheme=scheme) as page:
        expect(page.locator("#post-v1-audio-speech h3")).to_be_in_viewport()
        paths = page.request.get(f"{locked_server.url}/openapi.json").json()["paths"]
        assert page.locator("article").count() == sum(len(verbs) for verbs in paths.values())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(FAINT) == []
        page.get_by_role("searchbox").fill("speech clone")
        expect(page.locator("article")).to_have_count(1)


def test_a_wrong_key_is_asked_for_again_and_the_right_one_is_kept_out_of_every_address(
    browse: Browse, browser: Browser, locked_server: Served
) -> None:
    with browse(browser, f"{locked_server.url}/web/", forgiven=REFUSED) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        unlock(page, "open it")
        expect(page.locator("#key-dialog .refused")).to_be_visible()
        unlock(page)
        expect(page.locator("#view-transcribe select[name=model]")).to_have_value("tones/listen")
        page.reload()
        expect(page.locator("#view-transcribe select[name=model]")).to_have_value("tones/listen")
        expect(page.locator("#key-dialog")).not_to_be_visible()
        assert asked
        assert not [url for url in asked if "sesame" in url]


def test_the_microphone_hands_the_key_over_in_the_subprotocol(browse: Browse, browser: Browser, locked_server: Served) -> None:
    with browse(browser, f"{locked_server.url}/web/", forgiven=REFUSED, permissions=["microphone"]) as page:
        unlock(page)
        expect(page.locator("#view-transcribe select[name=model]")).to_have_value("tones/listen")
        with page.expect_websocket() as opening:
            page.get_by_role("button", name="Start").click()
        assert "sesame" not in opening.value.url
        told = opening.value.wait_for_event("framereceived")
        assert json.loads(told)["type"] == "session.begin"
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        assert page.locator("#view-transcribe > .error").is_hidden()


def test_a_key_that_no_websocket_can_carry_is_told_and_the_microphone_is_let_go(
    browse: Browse, browser: Browser, locked_server: Served
) -> None:
    with browse(browser, f"{locked_server.url}/web/", forgiven=REFUSED, permissions=["microphone"]) as page:
        unlock(page, "two words")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#view-transcribe > .error")).to_contain_text("WebSocket")
        expect(page.get_by_role("button", name="Start")).to_be_visible()


def test_who_declines_to_give_a_key_is_left_alone(browse: Browse, browser: Browser, locked_server: Served) -> None:
    with browse(browser, f"{locked_server.url}/web/#models", forgiven=REFUSED) as page:
        page.get_by_role("button", name="Cancel").click()
        with page.expect_response("**/api/models"):
            pass
        expect(page.locator("#view-models > .error")).to_contain_text("key")
        assert page.locator("#key-dialog").is_hidden()


def test_colours_follow_the_system_until_they_are_chosen(browse: Browse, browser: Browser, locked_server: Served) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with browse(browser, f"{locked_server.url}/docs", scheme="dark") as page:
        dark = page.evaluate(ground)
        page.get_by_role("button", name="Colours: system").click()
        light = page.evaluate(ground)
        assert light != dark
        page.reload()
        assert page.evaluate(ground) == light
        page.get_by_role("button", name="Colours: light").click()
        page.get_by_role("button", name="Colours: dark").click()
        page.emulate_media(color_scheme="light")
        assert page.evaluate(ground) == light


def test_the_views_are_reached_by_keyboard_alone_and_focus_can_be_seen(browse: Browse, browser: Browser, locked_server: Served) -> None:
    with browse(browser, f"{locked_server.url}/web/", forgiven=REFUSED) as page:
        unlock(page)
        page.keyboard.press("Tab")
        for _ in range(20):
            if page.evaluate("document.activeElement.hash") == "#speak":
                break
            page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Speak")


def test_a_failure_is_told_in_the_servers_words(browse: Browse, browser: Browser, locked_server: Served) -> None:
    forgiven = (*REFUSED, "400 (Bad Request)")
    with browse(browser, f"{locked_server.url}/web/", forgiven=forgiven) as page:
        unlock(page)
        letter: FilePayload = {"name": "letter.wav", "mimeType": "audio/wav", "buffer": b"This is a letter, not a sound."}
        page.locator("#file").set_input_files(letter)
        page.get_by_role("button", name="Transcribe").click()
        answer = page.request.post(
            f"{locked_server.base_url}/audio/transcriptions",
            headers={"X-API-Key": KEY},
            multipart={"model": "tones/listen", "file": letter},
        )
        expect(page.locator("#view-transcribe > .error")).to_have_text(answer.json()["error"]["message"])
        expect(page.get_by_role("button", name="Transcribe")).to_be_enabled()
