"""Real speech over WebRTC: on links that lose and swap packets, and as an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest
import soundfile

from open_speech.app import create_app
from open_speech.audio import Audio
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.contract.conftest import serve
from tests.waiting import eventually

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

from tests.webrtc.caller import calling

pytestmark = pytest.mark.weights

MODEL = "Systran/faster-whisper-base"
SAID = "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness"
SAID_S = 8.3
COMPLETED = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(scope="module")
def recording(speech_clips: dict[str, Path]) -> Audio:
    samples, rate = soundfile.read(speech_clips["two_cities"], dtype="float32")
    return Audio(samples[: round(SAID_S * rate)], rate)


@pytest.fixture(scope="module")
def whisper_server(tmp_path_factory: pytest.TempPathFactory, weights_root: Path, default_weights: None) -> Iterator[str]:
    settings = Settings(
        os_models_dir=weights_root, os_api_key="sesame", os_offline=True, stt_backends=("faster-whisper",), tts_backends=("tones-tts",),
        stt_model=MODEL, tts_model="tones/speak", tts_voice="tone", os_voice_library_path=tmp_path_factory.mktemp("library"),
    )  # fmt: skip
    with serve(create_app(settings, local_engine(settings))) as url:
        yield url


@pytest.mark.parametrize(("loss", "swapped", "most"), [(0.0, 0.1, 0.1), (0.1, 0.0, 0.15), (0.3, 0.1, 0.35)])
def test_speech_over_a_bad_link_is_recognized(whisper_server: str, recording: Audio, loss: float, swapped: float, most: float) -> None:
    async def run() -> str:
        transcription = {"model": MODEL, "language": "en"}
        async with calling(whisper_server, {"type": "transcription", "audio": {"input": {"transcription": transcription}}}) as caller:
            caller.degrade(loss=loss, swapped=swapped)
            caller.microphone.say(recording)
            await eventually(lambda: caller.microphone.is_quiet)
            await asyncio.sleep(2.0)
            await eventually(lambda: 0 < len(caller.all("input_audio_buffer.committed")) == len(caller.all(COMPLETED)))
            return " ".join(event["transcript"].strip() for event in caller.all(COMPLETED))

    heard = jiwer.RemovePunctuation()(asyncio.run(run()).lower())
    assert jiwer.wer(SAID, heard) <= most, heard


def test_speech_interrupts_an_answer_that_is_only_played(whisper_server: str, recording: Audio) -> None:
    """The answer is generated at once; its playback takes half a minute."""

    async def run() -> None:
        async with calling(whisper_server, {"type": "realtime", "audio": {"input": {"transcription": {"model": MODEL}}}}) as caller:
            text = "One two three four five six. " * 15
            caller.send(
                "conversation.item.create", item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            )
            caller.send("response.create")
            await caller.until("output_audio_buffer.started")
            await caller.until("response.done")
            await asyncio.sleep(0.5)
            caller.microphone.say(recording)
            await caller.until("input_audio_buffer.speech_started")
            await caller.until("output_audio_buffer.cleared")
            await eventually(lambda: abs(caller.heard[-1]).max() < 0.01, within_s=10)  # the answer is far longer
            truncated = await caller.until("conversation.item.truncated")
            assert truncated["audio_end_ms"] < 10_000

    asyncio.run(run())
