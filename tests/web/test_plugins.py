"""The page lists the voices of a backend of another package, and speaks with them: it reads all from the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Page

from benchmarks.served import Served, serve
from tests.plugin_packages import ROOT, copy_example, needs_espeak

pytestmark = [pytest.mark.served, needs_espeak]

Browse = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def espeak_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server without weights, beside examples/backend-espeak."""
    folder = tmp_path_factory.mktemp("packages")
    copy_example(folder)
    settings = {
        "STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts,espeak", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak",
        "TTS_VOICE": "tone", "OS_OFFLINE": "true", "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
    }  # fmt: skip
    with serve(settings) as served:
        yield served


def test_the_voices_of_another_package_are_listed_and_spoken(browse: Browse, browser: Browser, espeak_server: Served) -> None:
    with browse(browser, espeak_server.url + "/web/#speak") as page:
        german = page.locator(".voice[data-id=de]")
        with page.expect_response("**/sample?model=espeak-ng") as sample:
            german.locator(".hear").click()
        assert sample.value.status == 200
        german.locator(".pick").click()
        page.get_by_label("Text to speak").fill("Guten Tag.")
        with page.expect_request("**/v1/audio/speech") as asking:
            page.get_by_role("button", name="Speak", exact=True).click()
        body = asking.value.post_data_json
        assert (body["model"], body["voice"]) == ("espeak-ng", "de")
        response = asking.value.response()
        assert response is not None
        assert response.status == 200
