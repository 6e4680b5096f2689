"""One server, every door: the same speech becomes the same words, and the same sentence is understood however it was spoken.

Words are compared in lower case and without punctuation. Capitals, marks and the cuts between segments may differ by design: files are cut
at silences, live sound at turns, and what a live door has given out before the end of a sentence stays as it is.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jiwer
import pytest
from websockets.sync.client import ClientConnection, connect
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.tts import Synthesize

from benchmarks.served import Served, free_port, serve
from open_speech.audio import Audio, concat, from_pcm16, resample, to_pcm16
from open_speech.codecs import decode, wav_bytes
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.served, pytest.mark.weights]

SAID = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"
SAID_S = 8.4
SENTENCE = "The quick brown fox jumps over the lazy dog."
RATE = 24_000
VOICE = {"model": "kokoro", "voice": "af_heart"}
WORDS = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])


class Doors:
    """All doors of one server; each listens to a sound, or gives the sound of a sentence."""

    def __init__(self, served: Served, wyoming: str) -> None:
        self._served = served
        self._wyoming = wyoming

    def transcriptions(self, sound: Audio) -> str:
        return str(self._upload(sound).json()["text"])

    def transcriptions_as_events(self, sound: Audio) -> str:
        answer = self._upload(sound, model="gpt-4o-transcribe", stream="true")  # OpenAI's whisper-1 does not stream
        (done,) = [event for event in _events(answer) if event["type"] == "transcript.text.done"]
        return str(done["text"])

    def bazarr(self, sound: Audio) -> str:
        query = {"task": "transcribe", "language": "en", "output": "txt", "encode": "false"}
        files = {"audio_file": ("speech.pcm", to_pcm16(resample(sound, 16_000)))}
        answer = httpx.post(f"{self._served.url}/asr", params=query, files=files, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.text

    def realtime(self, sound: Audio) -> str:
        with self._socket("/v1/realtime?intent=transcription") as socket:
            heard = {"transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": None}
            _say(socket, "session.update", session={"type": "transcription", "audio": {"input": heard}})
            return self._commit(socket, sound)

    def realtime_beta(self, sound: Audio) -> str:
        with self._socket("/v1/realtime?intent=transcription", {"OpenAI-Beta": "realtime=v1"}) as socket:
            transcription = {"model": "whisper-1", "language": "en"}
            _say(socket, "transcription_session.update", session={"input_audio_transcription": transcription, "turn_detection": None})
            return self._commit(socket, sound)

    def stream(self, sound: Audio) -> str:
        with self._socket(f"/v1/audio/stream?sample_rate={sound.rate}&vad=false&language=en") as socket:
            socket.send(to_pcm16(sound))
            _say(socket, "stop")
            told = _until(socket, "session.end")
        return " ".join(message["text"] for message in told if message["type"] == "transcript" and message["is_final"])

    def wyoming(self, sound: Audio) -> str:
        form = {"rate": sound.rate, "width": 2, "channels": 1}
        events = [Transcribe(language="en").event(), AudioStart(**form).event(), AudioChunk(**form, audio=to_pcm16(sound)).event()]
        return str(asyncio.run(self._wyoming_answer([*events, AudioStop().event()], "transcript"))[-1].data["text"])

    def speech(self) -> Audio:
        return from_pcm16(self._speak().content, RATE)

    def speech_as_events(self) -> Audio:
        events = _events(self._speak(stream_format="sse"))
        return from_pcm16(b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta"), RATE)

    def realtime_speech(self) -> Audio:
        with self._socket("/v1/realtime?model=kokoro") as socket:
            _say(socket, "session.update", session={"type": "realtime", "audio": {"output": {"voice": VOICE["voice"]}}})
            content = [{"type": "input_text", "text": SENTENCE}]
            item = {"type": "message", "role": "user", "content": content}
            _say(socket, "response.create", response={"conversation": "none", "input": [item]})
            events = _until(socket, "response.done")
        deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
        return from_pcm16(b"".join(map(base64.b64decode, deltas)), RATE)

    def speech_stream(self) -> Audio:
        with self._socket("/v1/audio/speech/stream") as socket:
            _say(socket, "config", **VOICE)
            for word in SENTENCE.split(" "):
                _say(socket, "text", text=f"{word} ")
            _say(socket, "end")
            sound = b""
            while isinstance(message := socket.recv(timeout=PATIENCE_S), bytes) or json.loads(message)["type"] != "done":
                sound += message if isinstance(message, bytes) else b""
        return from_pcm16(sound, RATE)

    def wyoming_speech(self) -> Audio:
        events = asyncio.run(self._wyoming_answer([Synthesize(SENTENCE).event()], "audio-stop"))
        chunks = [AudioChunk.from_event(event) for event in events if event.type == "audio-chunk"]
        return concat([from_pcm16(chunk.audio, chunk.rate) for chunk in chunks], chunks[0].rate)

    def _upload(self, sound: Audio, **fields: str) -> httpx.Response:
        url, files = f"{self._served.base_url}/audio/transcriptions", {"file": ("speech.wav", wav_bytes(sound))}
        answer = httpx.post(url, files=files, data={"model": "whisper-1", "language": "en", **fields}, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer

    def _speak(self, **fields: str) -> httpx.Response:
        body = {**VOICE, "input": SENTENCE, "response_format": "pcm", **fields}
        answer = httpx.post(f"{self._served.base_url}/audio/speech", json=body, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer

    def _socket(self, path: str, headers: dict[str, str] | None = None) -> ClientConnection:
        return connect(f"ws{self._served.url.removeprefix('http')}{path}", max_size=None, additional_headers=headers)

    def _commit(self, socket: ClientConnection, sound: Audio) -> str:
        data = to_pcm16(resample(sound, RATE))
        for start in range(0, len(data), 9600):
            _say(socket, "input_audio_buffer.append", audio=base64.b64encode(data[start : start + 9600]).decode())
        _say(socket, "input_audio_buffer.commit")
        events = _until(socket, "conversation.item.input_audio_transcription.completed")
        deltas = [event["delta"] for event in events if event["type"] == "conversation.item.input_audio_transcription.delta"]
        assert "".join(deltas) == events[-1]["transcript"]
        return str(events[-1]["transcript"])

    async def _wyoming_answer(self, events: list[Event], last: str) -> list[Event]:
        async with asyncio.timeout(PATIENCE_S), AsyncClient.from_uri(self._wyoming) as client:
            for event in events:
                await client.write_event(event)
            told: list[Event] = []
            while not told or told[-1].type != last:
                event = await client.read_event()
                assert event is not None and event.type != "error", event
                told.append(event)
            return told


def _events(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: {")]


def _say(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind, **fields}))


def _until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while not told or told[-1]["type"] != kind:
        told.append(json.loads(socket.recv(timeout=PATIENCE_S)))
        assert told[-1]["type"] != "error", told[-1]
    return told


@pytest.fixture(scope="module")
def doors(default_weights: None) -> Iterator[Doors]:
    port = free_port()
    settings = {"OS_OFFLINE": "true", "TTS_BACKENDS": "kokoro", "OS_WYOMING_ENABLED": "true", "OS_WYOMING_PORT": str(port)}
    with serve(settings) as served:
        uri = f"tcp://127.0.0.1:{port}"
        until(lambda: asyncio.run(_listens(uri)), why=lambda: "nobody listens for Wyoming")
        yield Doors(served, uri)


async def _listens(uri: str) -> bool:
    try:
        async with AsyncClient.from_uri(uri):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def spoken(speech_clips: dict[str, Any]) -> Audio:
    clip = decode(speech_clips["two_cities"].read_bytes(), RATE, max_seconds=60)
    return Audio(clip.samples[: round(SAID_S * RATE)], RATE)


@pytest.fixture(scope="module")
def words(doors: Doors, spoken: Audio) -> str:
    """What the plainest door understands, which is right."""
    heard = str(WORDS(doors.transcriptions(spoken)))
    assert jiwer.wer(str(WORDS(SAID)), heard) <= 0.05
    return heard


HEARING = (Doors.transcriptions_as_events, Doors.realtime, Doors.realtime_beta, Doors.stream, Doors.wyoming, Doors.bazarr)
SPEAKING = (Doors.speech, Doors.speech_as_events, Doors.realtime_speech, Doors.speech_stream, Doors.wyoming_speech)


@pytest.mark.parametrize("door", HEARING, ids=lambda door: str(door.__name__))
def test_the_same_speech_is_the_same_words_at_every_door(doors: Doors, spoken: Audio, words: str, door: Callable[..., str]) -> None:
    assert str(WORDS(door(doors, spoken))) == words


@pytest.mark.parametrize("door", SPEAKING, ids=lambda door: str(door.__name__))
def test_a_sentence_is_understood_whichever_door_spoke_it(doors: Doors, door: Callable[..., Audio]) -> None:
    assert str(WORDS(doors.transcriptions(door(doors)))) == str(WORDS(SENTENCE))
