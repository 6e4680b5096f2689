"""A real browser, and servers for it. What the page complains about in its console fails the test that made it do so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, expect, sync_playwright

from benchmarks.served import Served, serve

KEY = "sesame-street"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
PATIENCE_MS = 60_000
"""A shared machine may be slow; a page that hangs is still found."""

Browse = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    """As long as it is there, nobody else in this thread can run an event loop: so no longer than the tests of this folder."""
    with sync_playwright() as driver:
        expect.set_options(timeout=PATIENCE_MS)
        yield driver


@pytest.fixture(scope="module")
def launch(driver: Playwright) -> Callable[..., Browser]:
    """Start Chromium: the system's, or the one that Playwright brought."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

    def start(*flags: str) -> Browser:
        try:
            return driver.chromium.launch(executable_path=found, args=[*FLAGS, *flags])
        except Error as error:
            if found is None:
                pytest.skip(f"Chromium is not installed: {error.message.splitlines()[0]}")
            raise

    return start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def listening_browser(launch: Callable[..., Browser], speech_clips: dict[str, Path]) -> Iterator[Browser]:
    """Its microphone hears a real recording, again and again."""
    browser = launch(f"--use-file-for-fake-audio-capture={speech_clips['two_cities']}")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browse() -> Browse:
    """`open_page`, for tests."""
    return open_page


@contextmanager
def open_page(
    browser: Browser, address: str, *, width: int = 1440, scheme: str = "light", forgiven: tuple[str, ...] = (), **options: Any
) -> Iterator[Page]:
    """Open an address in a fresh profile. Fails for whatever is loaded from elsewhere, thrown, or complained about but for `forgiven`."""
    size: Any = {"width": width, "height": 900 if width > 800 else 812}
    context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True, **options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    here = urlsplit(address).netloc
    page.on("request", lambda request: troubles.append(f"{request.url} is elsewhere") if is_elsewhere(request.url, here) else None)
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert [trouble for trouble in troubles if not any(word in trouble for word in forgiven)] == []


def is_elsewhere(url: str, here: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.netloc != here


@pytest.fixture(scope="module")
def locked_server() -> Iterator[Served]:
    """A server without weights, and with a key."""
    tones = {"STT_BACKENDS": "tones-stt", "TTS_BACKENDS": "tones-tts", "STT_MODEL": "tones/listen", "TTS_MODEL": "tones/speak"}
    with serve({**tones, "TTS_VOICE": "tone", "OS_OFFLINE": "true", "OS_API_KEY": KEY}) as served:
        yield served


@pytest.fixture(scope="module")
def speaking_server(default_weights: None) -> Iterator[Served]:
    """The default server with its real models."""
    with serve({"OS_OFFLINE": "true"}) as served:
        yield served


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose models folder is empty, so that a model can be pulled."""
    settings = {"STT_BACKENDS": "vosk", "STT_MODEL": "vosk-model-small-en-us-0.15", "TTS_ENABLED": "false"}
    with serve({**settings, "OS_MODELS_DIR": str(tmp_path_factory.mktemp("models"))}) as served:
        yield served
