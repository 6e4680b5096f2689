from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from open_speech.api.jobs.ssrf_guard import Guard, Refused
from open_speech.errors import InvalidValue
from open_speech.security.public_address import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fc00::1", "ff02::1", "2001:db8::1",
        "fec0::1", "feff::1", "fec0::1%eth0", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "100::1", "2001::1",
        "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "3fff::1", "4000::1", "5f00::1", "192.88.99.1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1",
    ],
)  # fmt: skip
def test_an_address_of_this_machine_or_its_networks_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2001:4860:4860::8888", "2002:808:808::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_an_address_of_the_open_network_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def guard(*addresses: str, private: bool = False) -> Guard:
    async def lookup(host: str, port: int) -> Sequence[str]:
        if not addresses:
            raise OSError("no such host")
        return addresses

    return Guard(allow_private=private, lookup=lookup)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "example.com/hook", "//example.com/", "", "http://", "https:///x",
        "http://user:password@example.com/", "http://user@example.com/", "http://example.com:99999/", "http://[::1", "http://exa mple.com/",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_and_the_field_is_named(url: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        asyncio.run(guard("8.8.8.8").check(url, param="webhook_url"))
    assert refused.value.param == "webhook_url"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]:8100/", "http://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "http://0/"]
)
def test_a_private_address_in_the_url_itself_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue):
        asyncio.run(guard("127.0.0.1").check(url))


def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    with pytest.raises(InvalidValue):
        asyncio.run(guard("10.0.0.7").check("https://intranet.example.com/"))


THIS_MACHINE = (
    "127.0.0.1.", "127.0.0.1..", "localhost.", "LOCALHOST", "LocalHost.", "a.localhost", "a.LOCALHOST.", "2130706433.", "0x7F000001.",
    "0177.0.0.1", "017700000001", "0x7f.1", "127.1.", "0.0.0.0.", "0", "100.64.0.1.", "169.254.169.254.", "[fec0::1]", "[fec0::1%25eth0]",
    "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25eth0]", "[3fff::1]", "１２７.0.0.1", "127。0。0。1",
    "ⓛocalhost", "localhost.localdomain",
)  # fmt: skip


@pytest.mark.parametrize("host", THIS_MACHINE)
def test_no_way_to_write_a_private_address_passes_without_being_looked_up(host: str) -> None:
    with pytest.raises(InvalidValue, match="not allowed") as refused:
        asyncio.run(guard().check(f"http://{host}:8100/hook", param="webhook_url"))
    assert refused.value.param == "webhook_url"


@pytest.mark.parametrize(
    "host", ["256.256.256.256", "1.2.3.4.5", "foo.0x7f000001", "foo.1", "127.0.0.1%2e", "127.0.0.1%00.example.com", "a..b"]
)
def test_what_is_neither_an_address_nor_a_name_is_refused(host: str) -> None:
    with pytest.raises(InvalidValue):
        asyncio.run(guard("8.8.8.8").check(f"http://{host}/hook"))


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "8.8.8.8.", "134744072", "0x8.8.8.8", "EXAMPLE.com.", "bücher.example", "x-1.example", "a_b.example"]
)
def test_public_hosts_pass_in_every_form(host: str) -> None:
    assert asyncio.run(guard("8.8.8.8").resolve(host, 443))[0]["host"] == "8.8.8.8"
    assert asyncio.run(guard("8.8.8.8").check(f"https://{host}/hook")).port == 443


@pytest.mark.parametrize("name", ["localhost", "0x7f000001", "2130706433", "127.1"])
def test_the_systems_own_ways_to_write_this_machine_are_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        asyncio.run(Guard(allow_private=False).check(f"http://{name}/"))


def test_of_several_addresses_only_the_public_ones_are_called() -> None:
    found = asyncio.run(guard("10.0.0.7", "8.8.8.8").resolve("example.com", 443))
    assert [address["host"] for address in found] == ["8.8.8.8"]


def test_a_name_that_changes_its_mind_is_judged_by_what_it_leads_to_at_last() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def lookup(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    async def rebound() -> None:
        guard = Guard(allow_private=False, lookup=lookup)
        await guard.check("https://example.com/")
        with pytest.raises(Refused):
            await guard.resolve("example.com", 443)

    asyncio.run(rebound())


def test_a_name_that_cannot_be_looked_up_just_now_may_be_right() -> None:
    assert asyncio.run(guard().check("https://example.com/hook")).host == "example.com"


def test_private_addresses_may_be_allowed() -> None:
    assert asyncio.run(guard(private=True).check("http://127.0.0.1:9/hook")).port == 9
