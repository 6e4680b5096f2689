from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from open_speech.http.proxy_watch import ADDRESSES, CLIENTS, WITHOUT, ProxyWatch


def ask(watch: ProxyWatch, forwarded: str | None, *, address: str | None = "10.0.0.1", path: str = "/v1/x") -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    asyncio.run(watch({"type": "http", "client": address and (address, 1), "path": path, "headers": headers}, receive, send))
    assert len(sent) == 2


def watching(proxies: int) -> ProxyWatch:
    return ProxyWatch(PlainTextResponse("hello"), proxies=proxies)


def test_a_proxy_that_does_not_send_the_header_is_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    watch = watching(1)
    for _ in range(5 * WITHOUT):
        ask(watch, None)
    (line,) = caplog.messages
    assert "OS_TRUST_PROXY is 1" in line
    assert "10.0.0.1" in line


def test_a_proxy_that_is_not_trusted_is_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    watch = watching(0)
    for n in range(5 * CLIENTS):
        ask(watch, f"192.0.2.{n}")
    (line,) = caplog.messages
    assert "OS_TRUST_PROXY is 0" in line
    assert "192.0.2" not in line


@pytest.mark.parametrize("proxies", [0, 1])
def test_what_fits_the_setting_is_not_warned_of(proxies: int, caplog: pytest.LogCaptureFixture) -> None:
    watch = watching(proxies)
    for n in range(5 * WITHOUT):
        ask(watch, f"192.0.2.{n}" if proxies else None)
        ask(watch, None, path="/livez")
    assert caplog.messages == []


def test_one_client_that_claims_an_address_is_not_a_proxy(caplog: pytest.LogCaptureFixture) -> None:
    watch = watching(0)
    for n in range(5 * CLIENTS):
        ask(watch, "192.0.2.1", address=f"10.0.0.{n}")
    assert caplog.messages == []


@pytest.mark.parametrize("proxies", [0, 1])
def test_the_addresses_that_are_watched_are_bounded(proxies: int) -> None:
    watch = watching(proxies)
    for n in range(3 * ADDRESSES):
        ask(watch, None if proxies else "192.0.2.1", address=f"10.0.0.{n}")
    assert max(len(watch._without), len(watch._clients)) == ADDRESSES


def test_the_warning_of_a_proxy_at_the_unix_socket_names_the_setting_that_trusts_it(caplog: pytest.LogCaptureFixture) -> None:
    watch = watching(0)
    for n in range(CLIENTS):
        ask(watch, f"192.0.2.{n}", address=None)
    (line,) = caplog.messages
    assert "Requests from the Unix socket" in line
    assert "Set OS_TRUSTED_PROXIES=unix" in line
