"""pipecat's local pipeline as a process: audio on standard input, events on standard output. It runs in an environment of its own.

A line of input is 16-bit mono PCM at 16 kHz in base64. The pipeline has pipecat's defaults: Silero VAD, smart-turn, and interruption by
voice.
"""

import asyncio
import base64
import json
import os
import sys
import time

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

RATE_IN, RATE_OUT = 16_000, 24_000
EVENTS = os.fdopen(os.dup(1), "w")


def report(what: str, **fields: object) -> None:
    """Write an event."""
    EVENTS.write(json.dumps({"what": what, **fields}) + "\n")
    EVENTS.flush()


class Microphone(BaseInputTransport):
    """Audio from standard input."""

    async def start(self, frame: StartFrame) -> None:
        """Start to read when the pipeline is ready."""
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._reading = asyncio.create_task(self._read())
        report("ready")

    async def _read(self) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            await self.push_audio_frame(InputAudioRawFrame(audio=base64.b64decode(line), sample_rate=RATE_IN, num_channels=1))


class Speaker(BaseOutputTransport):
    """A playback that takes as long as the audio."""

    _free_at = 0.0

    async def start(self, frame: StartFrame) -> None:
        """Start to play."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play a frame, and report the first moment of speech in it."""
        seconds = len(frame.audio) / (2 * frame.sample_rate)
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + seconds
        if any(frame.audio):
            report("sound", seconds=seconds)
        await asyncio.sleep(max(0.0, self._free_at - now - seconds))
        return True


class Watcher(BaseObserver):
    """Reports the frames that matter, each once."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()
        self._is_speaking = False

    async def on_push_frame(self, data: FramePushed) -> None:
        """Handle a frame."""
        frame = data.frame
        # Some frames are sent in both directions, as two frames.
        if frame.id in self._seen or data.direction is not FrameDirection.DOWNSTREAM:
            return
        self._seen.add(frame.id)
        self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, UserStoppedSpeakingFrame):
            report("turn end")
        elif isinstance(frame, TranscriptionFrame):
            report("text", text=frame.text)
        elif isinstance(frame, LLMFullResponseStartFrame):
            report("active")
        elif isinstance(frame, TTSAudioRawFrame):
            self._is_speaking = True
        elif isinstance(frame, InterruptionFrame):
            if self._is_speaking:
                report("stopped")
            self._is_speaking = False
        elif isinstance(frame, BotStoppedSpeakingFrame):
            if self._is_speaking:
                report("done")
            self._is_speaking = False


async def main(base_url: str, chat_url: str, stt_model: str, tts_model: str) -> None:
    """Run the pipeline until the process is killed."""
    params = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_in_sample_rate=RATE_IN, audio_out_sample_rate=RATE_OUT)
    stt = OpenAISTTService(api_key="unused", base_url=base_url, settings=OpenAISTTService.Settings(model=stt_model))
    llm = OpenAILLMService(api_key="unused", base_url=chat_url, settings=OpenAILLMService.Settings(model="scripted"))
    tts = OpenAITTSService(api_key="unused", base_url=base_url, settings=OpenAITTSService.Settings(model=tts_model, voice="alloy"))
    pair = LLMContextAggregatorPair(LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer()))
    parts = [Microphone(params), stt, pair.user(), llm, tts, Speaker(params), pair.assistant()]
    worker = PipelineWorker(
        Pipeline(parts),
        params=PipelineParams(audio_in_sample_rate=RATE_IN, audio_out_sample_rate=RATE_OUT),
        observers=[Watcher()],
        idle_timeout_secs=None,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    asyncio.run(main(*sys.argv[1:]))
