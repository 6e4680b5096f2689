"""A conversation with microphone and loudspeaker, through PortAudio."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import click

from open_speech.cli._talk_dialogue import Dialogue
from open_speech.cli._talk_playback import PlaybackBuffer
from open_speech.client import AsyncRealtimeSession
from open_speech.client.realtime import PCM_RATE

BLOCK = PCM_RATE // 50
"""Samples of one block, 20 ms."""
WAITING_BLOCKS = 250
"""Blocks of the microphone that may wait to be sent, 5 seconds; further ones are dropped."""
BYTES_PER_S = 2 * PCM_RATE


def portaudio() -> Any:
    """Import and return `sounddevice`. Raises click.ClickException that names what is not installed."""
    try:
        import sounddevice  # noqa: PLC0415 - optional, and it loads PortAudio
    except ImportError:
        raise click.ClickException(
            "Microphone and loudspeaker need the package sounddevice: run `pip install 'open-speech[talk]'`, or use --in and --out."
        ) from None
    except OSError as error:
        raise click.ClickException(
            f"PortAudio cannot be loaded ({error}): install it, for example with `apt install libportaudio2`, or use --in and --out."
        ) from None
    return sounddevice


class Devices:
    """The open microphone and loudspeaker of one conversation."""

    def __init__(self) -> None:
        self.playback = PlaybackBuffer()
        self.latency_s = 0.0
        """Seconds from the buffer to the loudspeaker."""
        self._blocks: asyncio.Queue[bytes] = asyncio.Queue(WAITING_BLOCKS)
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def opened(self, sounddevice: Any) -> Iterator[None]:
        """Open both devices until the block ends. Raises click.ClickException if there is none."""
        shape = {"samplerate": PCM_RATE, "channels": 1, "dtype": "int16", "blocksize": BLOCK}
        try:
            with (
                sounddevice.RawInputStream(callback=self._recorded, **shape),
                sounddevice.RawOutputStream(callback=self._play, **shape) as loudspeaker,
            ):
                self.latency_s = float(loudspeaker.latency)
                yield
        except sounddevice.PortAudioError as error:
            raise click.ClickException(f"The audio device cannot be used: {error}. Use --in and --out for files.") from error

    async def recorded(self) -> AsyncIterator[bytes]:
        """Yield the blocks of the microphone."""
        while True:
            yield await self._blocks.get()

    def stop(self, item: str) -> float:
        """Fall silent; return the seconds of an item that were played."""
        return max(0.0, self.playback.stop().get(item, 0) / BYTES_PER_S - self.latency_s)

    def _recorded(self, data: Any, *_: Any) -> None:
        """Receive a block in the thread of the device."""
        self._loop.call_soon_threadsafe(self._keep, bytes(data))

    def _keep(self, block: bytes) -> None:
        if not self._blocks.full():
            self._blocks.put_nowait(block)

    def _play(self, data: Any, *_: Any) -> None:
        """Fill a block in the thread of the device."""
        data[:] = self.playback.pull(len(data))


class Talk:
    """A hands-free conversation: the server detects turns, and speech interrupts the answer."""

    def __init__(self, session: AsyncRealtimeSession, dialogue: Dialogue, devices: Devices, *, barge_in: bool) -> None:
        """Without `barge_in`, the microphone is ignored while an answer is played."""
        self._session = session
        self._dialogue = dialogue
        self._devices = devices
        self._barge_in = barge_in
        self._received: dict[str, float] = {}
        self._sent_s = 0.0
        """Seconds of audio that were sent: the time of the server."""
        self._silenced: str | None = None
        """The id of the response that Ctrl-C stopped: its audio that is still on the way is not played."""
        session.on_event(self._take)

    async def run(self) -> None:
        """Send the microphone until the task is cancelled. Raises OpenSpeechError."""
        async for block in self._devices.recorded():
            self._dialogue.check()
            playing = not self._devices.playback.is_empty
            if self._barge_in or not playing:
                await self._session.send_audio(block)
                self._sent_s += len(block) / BYTES_PER_S

    async def interrupt(self) -> bool:
        """Stop the answer, and cut it where its playback stopped; return whether there was one. Raises ConnectionFailed."""
        response, item = self._dialogue.response, self._dialogue.item
        if response is None and self._devices.playback.is_empty:
            return False
        played_s = self._devices.stop(item)
        if response is not None:
            self._silenced = response
            await self._session.cancel_response()
        await self._truncate(item, played_s)
        return True

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "response.output_audio.delta" if event["response_id"] != self._silenced:
                pcm, item = base64.b64decode(event["delta"]), event["item_id"]
                self._received[item] = self._received.get(item, 0.0) + len(pcm) / BYTES_PER_S
                self._devices.playback.add(item, pcm)
            case "input_audio_buffer.speech_started" if not self._devices.playback.is_empty:
                item = self._dialogue.item
                await self._truncate(item, self._devices.stop(item))
            case "input_audio_buffer.speech_stopped":
                self._dialogue.asked(max(0.0, self._sent_s - event["audio_end_ms"] / 1000))

    async def _truncate(self, item: str, played_s: float) -> None:
        """Report to the server that the rest of an answer was not played."""
        if item and played_s < self._received.get(item, 0.0):
            event = {"item_id": item, "content_index": 0, "audio_end_ms": int(played_s * 1000)}
            await self._session.send({"type": "conversation.item.truncate", **event})


@asynccontextmanager
async def devices() -> AsyncIterator[Devices]:
    """Open microphone and loudspeaker until the block ends. Raises click.ClickException."""
    sounddevice = portaudio()
    opened = Devices()
    with opened.opened(sounddevice):
        yield opened
