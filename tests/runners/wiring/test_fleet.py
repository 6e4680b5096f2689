"""The addresses of replicas, looked up by the resolver of this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import ResolveResult

from open_speech import config
from open_speech.backends import SpeechOptions, VoiceReference
from open_speech.dispatch.frames import LoadModel, SpeakCall
from runners.catalog.placement import plan
from runners.host.remote_link import RemoteLink
from runners.tones import Listener, Speaker
from runners.wiring import fleet
from runners.wiring.factories import registry
from runners.wiring.fleet import RemoteRunners, addresses, replicas_of


def result(host: str, family: socket.AddressFamily) -> ResolveResult:
    return ResolveResult(hostname="runners", host=host, port=3000, family=family, proto=6, flags=0)


class Names:
    """A name server that knows one name."""

    found: list[ResolveResult]

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        assert (host, port, family) == ("runners", 3000, socket.AF_UNSPEC)
        return self.found

    async def close(self) -> None:
        """Nothing is open."""


def test_given_addresses_stay_as_they_are_and_a_name_becomes_the_addresses_behind_it() -> None:
    found = asyncio.run(addresses(["https://a", "dns+http://127.0.0.1:3000", "http://127.0.0.1:3000"]))
    assert found == ["https://a", "http://127.0.0.1:3000"], "a replica that is named twice is one"


def test_a_name_of_this_machine_is_looked_up() -> None:
    (found,) = asyncio.run(addresses(["dns+http://localhost:3000"]))
    assert found in ("http://127.0.0.1:3000", "http://[::1]:3000")


@pytest.mark.parametrize(
    ("found", "urls"),
    [
        ([("10.0.0.2", socket.AF_INET), ("10.0.0.1", socket.AF_INET)], ["http://10.0.0.1:3000", "http://10.0.0.2:3000"]),
        # A pod with addresses of both kinds is one replica.
        ([("10.0.0.1", socket.AF_INET), ("fd00::1", socket.AF_INET6)], ["http://10.0.0.1:3000"]),
        ([("fd00::2", socket.AF_INET6), ("fd00::1", socket.AF_INET6)], ["http://[fd00::1]:3000", "http://[fd00::2]:3000"]),
        ([("10.0.0.1", socket.AF_INET), ("10.0.0.1", socket.AF_INET)], ["http://10.0.0.1:3000"]),
    ],
)
def test_every_machine_behind_a_name_is_one_replica(
    found: list[tuple[str, socket.AddressFamily]], urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Names.found = [result(*one) for one in found]
    monkeypatch.setattr(fleet, "DefaultResolver", Names)
    assert asyncio.run(addresses(["dns+http://runners:3000"])) == urls


def test_a_name_that_cannot_be_looked_up_is_an_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        asyncio.run(addresses(["dns+http://nobody.invalid:3000"]))


def test_a_name_that_cannot_be_looked_up_keeps_no_other_address_from_being_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Names):
        async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
            raise OSError("name not known")

    settings = config.load({"STT_BACKENDS": "tones-stt@http://127.0.0.1:1|dns+http://runners:3000", "TTS_ENABLED": "false"})
    found = RemoteRunners(plan(settings)[0], Listener)
    monkeypatch.setattr(fleet, "DefaultResolver", Failing)
    assert asyncio.run(found.addresses()) == ["http://127.0.0.1:1"]
    Names.found = [result("10.0.0.1", socket.AF_INET)]
    monkeypatch.setattr(fleet, "DefaultResolver", Names)
    assert asyncio.run(found.addresses()) == ["http://127.0.0.1:1", "http://10.0.0.1:3000"]
    monkeypatch.setattr(fleet, "DefaultResolver", Failing)
    assert asyncio.run(found.addresses()) == ["http://127.0.0.1:1", "http://10.0.0.1:3000"], "those of the last look-up"


def test_nothing_is_connected_before_it_is_used() -> None:
    async def scenario() -> None:
        placements = plan(config.load({"STT_BACKENDS": "tones-stt@http://127.0.0.1:1|http://127.0.0.1:2", "TTS_ENABLED": "false"}))
        replicas = replicas_of(placements[0], Listener, registry(config.load({}), {}), refresh_s=5)
        assert replicas.members == []
        await replicas.known()
        assert [replica.address for replica in replicas.members] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
        for replica in replicas.members:
            assert isinstance(replica.link, RemoteLink)
            assert await replica.status(within_s=5) is None
            await replica.link.close()
        assert replicas.working == 1, "at least one is tried"

    asyncio.run(scenario())


def test_of_a_model_in_parts_the_part_that_a_call_needs_is_looked_for() -> None:
    settings = config.load({"TTS_BACKENDS": "qwen@http://a|http://b", "STT_BACKENDS": ""})
    (placement,) = (one for one in plan(settings) if one.backend.name == "qwen")
    known = registry(settings, {"qwen": placement.where})
    weights = replicas_of(placement, Speaker, known, refresh_s=5).weights
    spoken = SpeakCall.of("qwen3-tts-1.7b", "Hi.", SpeechOptions("serena"))
    cloned = SpeakCall.of("qwen3-tts-1.7b", "Hi.", SpeechOptions("", reference=VoiceReference(b"", "Hi.")))
    assert weights(spoken).endswith("-CustomVoice")
    assert weights(cloned).endswith("-Base")
    assert weights(LoadModel("qwen3-tts-1.7b")) == weights(spoken)
