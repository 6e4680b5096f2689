"""One WebRTC peer: its answer, its data channel as a socket of messages, its audio in and out. It knows no API."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import numpy as np
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from starlette.websockets import WebSocketDisconnect

from open_speech.audio import Audio
from open_speech.errors import SpeechError
from open_speech.http.ws_messages import written
from open_speech.webrtc import opus_library
from open_speech.webrtc.decoding import decoder_of
from open_speech.webrtc.ice import Network, gather_with
from open_speech.webrtc.offers import InvalidOffer, Offer, answer_sdp
from open_speech.webrtc.playback import Playback
from open_speech.webrtc.reordering import Packet, ReorderBuffer
from open_speech.webrtc.timeline import Timeline, TooFast
from open_speech.webrtc.tracks import PlaybackTrack

log = logging.getLogger("open_speech.webrtc")

CHANNEL = "oai-events"
"""Label of the data channel for events, at OpenAI and here."""
MAX_CHANNELS = 8
"""Data channels that a client may open, of which all but the one for events are closed again."""
INBOX_BYTES = 1 << 20
"""Bytes of received messages that may wait. SCTP in aiortc does not slow a client down, so a client that exceeds them is disconnected."""
LEAST_BYTES = 1024
"""Minimum size that a message counts as."""
OUTBOX_BYTES = 256 << 10
"""Bytes that may wait in the channel's own buffer."""
AUDIO_S = 30.0
"""Seconds of received audio that may wait to be processed."""
TICK_S = 0.1
CLOSE_S = 5.0
"""Seconds after which closing a connection is given up."""

NORMAL, GONE, REJECTED = 1000, 1006, 1008
"""Codes of a disconnect, as with WebSockets."""


class Peer:
    """A client over WebRTC. It has the methods of a WebSocket for events, `playback` to play audio, and `audio` to receive it."""

    def __init__(self, offer: Offer, network: Network) -> None:
        """The offer is checked already."""
        self.playback = Playback()
        self.too_long = 0
        """Messages that were not sent because they were longer than the client accepts."""
        self._offer = offer
        self._network = network
        self._pc = RTCPeerConnection(network.configuration())
        self._track = PlaybackTrack(self.playback, offer.codec)
        self._channel: RTCDataChannel | None = None
        self._channels = 0
        self._messages: deque[str | bytes] = deque()
        self._waiting = 0
        self._audio: deque[Audio] = deque()
        self._audio_s = 0.0
        self._arrived = asyncio.Event()
        self._heard = asyncio.Event()
        self._connected = asyncio.Event()
        self._open = asyncio.Event()
        self._drained = asyncio.Event()
        self._ended: int | None = None
        """The code of the disconnect."""
        self._order = ReorderBuffer()
        self._timeline: Timeline | None = None
        self._arrived_at = asyncio.get_running_loop().time()
        self._ticking = asyncio.create_task(self._tick())
        self._closing: asyncio.Task[None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended, from either side."""
        return self._ended is not None

    async def answer(self) -> str:
        """Return the answer to the offer, with all candidates. Raises InvalidOffer, or Overloaded without a free port."""
        self._pc.on("connectionstatechange", self._state_changed)
        self._pc.on("datachannel", self._channel_opened)
        sender = self._pc.addTrack(self._track)
        for transceiver in self._pc.getTransceivers():
            _intercept(transceiver.receiver, self._packet_arrived)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
        except Exception as error:  # noqa: BLE001 - the boundary to aiortc, whose parser raises errors of every kind for invalid text
            log.info("aiortc rejects an offer: %s", type(error).__name__)
            raise InvalidOffer("The offer is invalid.", param="sdp") from None
        gather_with(self._network, sender.transport.transport.iceGatherer._connection)
        await self._pc.setLocalDescription()
        return answer_sdp(self._pc.localDescription.sdp, self._network.addresses, recovers=opus_library.load() is not None)

    async def connected(self, within_s: float) -> None:
        """Wait until the client is connected, and its data channel open if it offered one. Raises TimeoutError, or WebSocketDisconnect."""
        async with asyncio.timeout(within_s):
            await self._connected.wait()
            if self._offer.has_channel:
                await self._open.wait()
        if self._ended is not None:
            raise WebSocketDisconnect(self._ended)

    async def receive(self) -> MutableMapping[str, Any]:
        """Wait for a message of the client, in the form of ASGI; `websocket.disconnect` after the end."""
        while not self._messages and self._ended is None:
            self._arrived.clear()
            await self._arrived.wait()
        if self._ended is not None:
            return {"type": "websocket.disconnect", "code": self._ended}
        data = self._messages.popleft()
        self._waiting -= max(LEAST_BYTES, len(data))
        return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}

    async def send_text(self, data: str) -> None:
        """Send a message, as soon as the channel has room. Without a channel it is dropped. Raises WebSocketDisconnect after the end.

        In place of a message that is longer than the client accepts, an error is sent.
        """
        if not self._offer.has_channel:
            return
        await self._open.wait()
        if len(data) > self._offer.max_event_bytes:
            self.too_long += 1
            error = {"type": "server_error", "code": "event_too_large", "message": _too_long(len(data), self._offer.max_event_bytes)}
            data = written({"type": "error", "error": error})
        while self._ended is None and self._channel is not None and self._channel.bufferedAmount > OUTBOX_BYTES:
            self._drained.clear()
            await self._drained.wait()
        if self._ended is not None or self._channel is None or self._channel.readyState != "open":
            raise WebSocketDisconnect(self._ended or GONE)
        self._channel.send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Fail: events are text, and audio is played by `playback`."""
        raise TypeError("binary messages are not sent over WebRTC")

    async def close(self, code: int = NORMAL, reason: str | None = None) -> None:
        """Close the connection, after the messages that wait in the channel were sent, and free its sockets."""
        if self._ended is None and self._channel is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    while self._ended is None and self._channel.bufferedAmount > 0:
                        self._channel.bufferedAmountLowThreshold = 0
                        self._drained.clear()
                        await self._drained.wait()
            except TimeoutError:
                log.info("a client does not receive the last events of a call")
        self._end(code)
        await self.aclose()

    async def aclose(self) -> None:
        """Free everything, without waiting for the client."""
        self._end(GONE)
        if self._closing is None:
            self._closing = asyncio.create_task(self._free())
        await asyncio.shield(self._closing)

    async def audio(self) -> Audio:
        """Wait for audio of the client: everything that has arrived, one channel. Raises WebSocketDisconnect after the end."""
        while not self._audio and self._ended is None:
            self._heard.clear()
            await self._heard.wait()
        if self._ended is not None:
            raise WebSocketDisconnect(self._ended)
        rate = self._audio[0].rate
        samples = np.concatenate([audio.samples for audio in self._audio])
        self._audio.clear()
        self._audio_s = 0.0
        return Audio(samples, rate)

    async def _free(self) -> None:
        self._ticking.cancel()
        await asyncio.wait([self._ticking])
        self._track.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._pc.close()
        except TimeoutError:
            log.warning("a WebRTC connection could not be closed in %g s", CLOSE_S)
        self._audio.clear()
        self._messages.clear()
        self.playback.drop()

    def _end(self, code: int) -> None:
        if self._ended is None:
            self._ended = code
        for event in (self._arrived, self._heard, self._connected, self._open, self._drained):
            event.set()

    def _state_changed(self) -> None:
        match self._pc.connectionState:
            case "connected":
                self._connected.set()
            case "failed" | "closed":
                self._end(GONE)

    def _channel_opened(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > MAX_CHANNELS:
            log.info("a client opens too many data channels")
            self._end(REJECTED)
        elif self._channel is not None or channel.label != CHANNEL or not channel.ordered:
            channel.close()
        else:
            self._channel = channel
            channel.bufferedAmountLowThreshold = OUTBOX_BYTES // 2
            channel.on("message", self._message_arrived)
            channel.on("bufferedamountlow", self._drained.set)
            channel.on("close", lambda: self._end(NORMAL))
            self._open.set()

    def _message_arrived(self, data: str | bytes) -> None:
        self._waiting += max(LEAST_BYTES, len(data))
        if self._waiting > INBOX_BYTES:
            log.info("a client sends events faster than they are processed")
            self._end(REJECTED)
            return
        self._messages.append(data)
        self._arrived.set()

    def _packet_arrived(self, packet: Packet) -> None:
        self._arrived_at = asyncio.get_running_loop().time()
        self._add(self._order.add(packet))

    async def _tick(self) -> None:
        """Go on with the audio of the client while no packet arrives."""
        await self._connected.wait()
        clock = asyncio.get_running_loop().time
        while self._ended is None:
            await asyncio.sleep(TICK_S)
            if clock() - self._arrived_at >= TICK_S:
                self._add(self._order.flush())
                if self._timeline is not None:
                    self._put(Audio(self._timeline.tick(clock()), self._timeline.rate))

    def _add(self, packets: Sequence[Packet]) -> None:
        now = asyncio.get_running_loop().time()
        if self._timeline is None:
            self._timeline = Timeline(decoder_of(self._offer.codec), now)
        try:
            for packet in packets:
                self._put(Audio(self._timeline.add(packet.timestamp, packet.payload, now), self._timeline.rate))
        except TooFast:
            log.info("a client sends more audio than time passes")
            self._end(REJECTED)

    def _put(self, audio: Audio) -> None:
        if not len(audio.samples):
            return
        self._audio.append(audio)
        self._audio_s += audio.seconds
        if self._audio_s > AUDIO_S:
            log.warning("the audio of a call is not processed in time")
            self._end(REJECTED)
        self._heard.set()


class _Sink:
    """Receives the packets of aiortc's receiver in place of its jitter buffer. It returns no frames, so aiortc decodes nothing."""

    def __init__(self, take: Callable[[Packet], None]) -> None:
        self._take = take

    def add(self, packet: Packet) -> tuple[bool, None]:
        """Take a packet; there is no frame to decode, and no picture to ask for."""
        self._take(packet)
        return False, None


def _intercept(receiver: Any, take: Callable[[Packet], None]) -> None:
    """Pass the packets of a receiver on as they arrive. Raises SpeechError for a version of aiortc that has no place for it."""
    name = "_RTCRtpReceiver__jitter_buffer"
    if not hasattr(receiver, name):
        raise SpeechError("This version of aiortc is not supported.")
    setattr(receiver, name, _Sink(take))


def _too_long(size: int, limit: int) -> str:
    return f"An event of {size} bytes was not sent: your client accepts {limit} bytes over WebRTC. A WebSocket with `call_id` receives it."
