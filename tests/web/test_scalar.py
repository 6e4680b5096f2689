"""Scalar's page in a browser: it renders the server's document, sends a request with the key, and calls no other host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.served import Served
from open_speech.http import scalar_page

pytestmark = [
    pytest.mark.served,
    pytest.mark.skipif(find_spec(scalar_page.PACKAGE) is None, reason="the extra `scalar` is not installed"),
]

Browse = Callable[..., AbstractContextManager[Page]]
KEY = "sesame-street"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_the_document_and_loads_nothing_from_elsewhere(
    browse: Browse, browser: Browser, locked_server: Served, scheme: str
) -> None:
    with browse(browser, f"{locked_server.url}/scalar", scheme=scheme) as page:
        expect(page.get_by_role("heading", name="Open Speech").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert urlsplit(page.url).path == "/docs/scalar"
        expect(page.get_by_text("/healthz").first).to_be_visible()
        expect(page.get_by_text("Generate SDK")).to_have_count(0)


def test_a_request_is_sent_to_this_server_with_the_key(browse: Browse, browser: Browser, locked_server: Served) -> None:
    with browse(browser, f"{locked_server.url}/docs/scalar#tag/models/GET/v1/models") as page:
        page.get_by_placeholder("Token").first.fill(KEY)
        page.get_by_role("button", name="Test Request (get /v1/models)", exact=True).click()
        with page.expect_response("**/v1/models") as sent:
            page.get_by_role("button", name="Send").first.click()
        assert sent.value.url == f"{locked_server.url}/v1/models"
        assert sent.value.status == 200
        assert sent.value.request.headers["authorization"] == f"Bearer {KEY}"
