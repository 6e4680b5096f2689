"""One peer against aiortc as its client, over the loopback, without any API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect

from open_speech.audio import Audio
from tests.waiting import eventually

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

from aiortc import RTCSessionDescription

from open_speech.webrtc.ice import Network, host_addresses
from open_speech.webrtc.offers import InvalidOffer, Offer, read_offer
from open_speech.webrtc.peer import INBOX_BYTES, Peer
from tests.webrtc.caller import Caller


@asynccontextmanager
async def connected(*, label: str = "oai-events", network: Network | None = None) -> AsyncIterator[tuple[Peer, Caller]]:
    caller = Caller("")
    peer = Peer(read_offer(await caller.offer(channel=label), keeps_candidates=False), network or Network())
    try:
        await caller.pc.setRemoteDescription(RTCSessionDescription(await peer.answer(), "answer"))
        if label == "oai-events":
            await peer.connected(60)
            await eventually(lambda: caller.channel is not None and caller.channel.readyState == "open")
        yield peer, caller
    finally:
        await peer.aclose()
        await caller.close()


def test_messages_and_audio_go_both_ways() -> None:
    async def run() -> None:
        async with connected() as (peer, caller):
            caller.send("hello")
            assert await peer.receive() == {"type": "websocket.receive", "text": '{"type": "hello"}'}
            await peer.send_text('{"type": "welcome"}')
            await caller.until("welcome")
            peer.playback.put("a", Audio(0.5 * np.sin(np.arange(24_000) / 10).astype(np.float32), 24_000))
            await eventually(lambda: caller.heard and abs(caller.heard[-1]).max() > 0.3)
            caller.microphone.say(Audio(0.5 * np.sin(np.arange(48_000) / 20).astype(np.float32), 48_000))
            heard = [await peer.audio()]
            while abs(heard[-1].samples).max() < 0.3:
                heard.append(await peer.audio())
            assert heard[0].rate == 48_000

    asyncio.run(run())


def test_a_call_is_closed_from_either_side() -> None:
    async def run() -> None:
        async with connected() as (peer, caller):
            await caller.pc.close()
            assert (await peer.receive())["type"] == "websocket.disconnect"
            with pytest.raises(WebSocketDisconnect):
                await peer.audio()
            with pytest.raises(WebSocketDisconnect):
                await peer.send_text("{}")
        async with connected() as (peer, caller):
            await peer.send_text('{"type": "last"}')
            await peer.close(1000)
            await caller.until("last")
            await eventually(lambda: caller.pc.connectionState == "closed")

    asyncio.run(run())


def test_a_client_that_floods_the_channel_is_disconnected() -> None:
    async def run() -> None:
        async with connected() as (peer, caller):
            assert caller.channel is not None
            for _ in range(INBOX_BYTES // 50_000 + 2):
                caller.channel.send("x" * 50_000)
            await eventually(lambda: peer.has_ended)
            assert (await peer.receive())["code"] == 1008

    asyncio.run(run())


def test_other_channels_are_closed_and_too_many_end_the_call() -> None:
    async def run() -> None:
        async with connected() as (peer, caller):
            other = caller.pc.createDataChannel("other")
            await eventually(lambda: other.readyState == "closed")
            assert not peer.has_ended
            for number in range(10):
                caller.pc.createDataChannel(f"channel {number}")
            await eventually(lambda: peer.has_ended)
        async with connected(label="something else") as (peer, _):
            with pytest.raises(TimeoutError):
                await peer.connected(0.5)

    asyncio.run(run())


def test_a_message_that_is_too_long_for_the_client_is_replaced() -> None:
    async def run() -> None:
        async with connected() as (peer, caller):
            await peer.send_text('{"type":"' + "x" * 65_525 + '"}')
            await peer.send_text('{"type":"' + "x" * 65_526 + '"}')
            assert (await caller.until("error"))["error"]["code"] == "event_too_large"
            assert [len(event["type"]) for event in caller.events] == [65_525, 5]

    asyncio.run(run())


def test_what_aiortc_cannot_parse_is_an_invalid_offer() -> None:
    async def run() -> None:
        peer = Peer(Offer("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "opus", False, 65_536), Network())
        with pytest.raises(InvalidOffer):
            await peer.answer()
        await peer.aclose()

    asyncio.run(run())


def test_the_loopback_is_among_the_addresses_and_they_are_bounded() -> None:
    addresses = host_addresses()
    assert "127.0.0.1" in addresses
    assert len(addresses) <= 8
    assert not [address for address in addresses if address.startswith("fe80")]


def test_without_settings_no_server_is_asked() -> None:
    assert Network().configuration().iceServers == []
