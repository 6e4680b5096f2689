"""Measures the service times of a server on this machine, over HTTP: `python -m benchmarks capacity --measure`.

One request at a time gives the time of a window and the CPU time of the front. Two clients at once give what the workers take from each
other, many give the gain of a batch, and live sessions their partial passes.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from benchmarks import realtime
from benchmarks.batching import batches as batches_so_far
from benchmarks.capacity import timed_runner
from benchmarks.capacity.costs import Clip, Costs, FrontCosts, ReplicaCosts, fitted
from benchmarks.capacity.live import possible_partials
from benchmarks.corpus import Clip as Recording
from benchmarks.corpus import collect
from benchmarks.recognizers import processor
from benchmarks.served import MEASURED, Served, serve
from open_speech.recognition.live.utterance import FIRST_PASS_S, PASS_EVERY_S

SETTINGS = {"OS_OFFLINE": "true", "OS_MODEL_TTL": "0", "TTS_ENABLED": "false", **MEASURED}
WHISPER, WHISPER_MODEL = "faster-whisper", realtime.MODEL
WORKERS, BATCH = 2, 4
"""CALLS of runners/faster_whisper.py, and `batch` of its entry in the catalog."""
SHORT_S = 11.0
"""Maximum length of a clip: longer ones may be several windows."""
REPEATS = 6
"""Uploads of each recording: the clock of the CPU time counts 0.01 s."""
IDLE_S = 5.0
MANY = 16
"""Clients that fill every batch of both workers."""
MANY_EACH = 6
SESSIONS, TURNS = 3, 5


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of the front, with the processes that it starts, and of the runner."""

    front_s: float
    runner_s: float

    def since(self, earlier: Used) -> Used:
        """Return what was used since then."""
        return Used(self.front_s - earlier.front_s, self.runner_s - earlier.runner_s)


class Rig:
    """A server, the recordings for it, and a client."""

    def __init__(self, served: Served, clips: Sequence[Recording], client: httpx.AsyncClient, backend: str, model: str) -> None:
        self.served = served
        self.clips = clips
        self._bodies = [clip.path.read_bytes() for clip in clips]
        self.client = client
        self._runner = psutil.Process(served.pid_of(backend.replace("-", "_")))
        self._model = model

    def used(self) -> Used:
        """Return the CPU times so far."""
        times = self._runner.cpu_times()
        runner_s = times.user + times.system
        return Used(self.served.cpu_s() - runner_s, runner_s)

    async def transcribe(self, number: int) -> float:
        """Send a recording; return the seconds until its transcript. Raises httpx.HTTPStatusError if the server refused it."""
        began = time.perf_counter()
        await self.text(number)
        return time.perf_counter() - began

    async def text(self, number: int) -> str:
        """Send a recording; return its transcript. Raises httpx.HTTPStatusError if the server refused it."""
        files, form = {"file": ("clip.wav", self._bodies[number])}, {"model": self._model, "language": "en"}
        answer = await self.client.post("/v1/audio/transcriptions", files=files, data=form)
        return str(answer.raise_for_status().json()["text"])

    async def alone(self, rounds: int) -> list[float]:
        """Return the median time of each recording, one request at a time."""
        times = [[await self.transcribe(number) for number in range(len(self.clips))] for _ in range(rounds)]
        return [statistics.median(column) for column in zip(*times, strict=True)]

    async def at_once(self, clients: int, numbers: Sequence[int]) -> tuple[list[float], float]:
        """Send recordings by so many clients, each after its last answer; return the times, and the seconds of all together."""
        left, times = list(numbers), []

        async def client() -> None:
            while left:
                times.append(await self.transcribe(left.pop()))

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return times, time.perf_counter() - began


@contextmanager
def recordings(corpora: Sequence[Path]) -> Iterator[list[Recording]]:
    """Write the recordings that are short enough into a folder that exists during the block."""
    with tempfile.TemporaryDirectory(prefix="open-speech-capacity-") as folder:
        yield [clip for clip in collect(Path(folder), corpora) if clip.seconds <= SHORT_S]


@asynccontextmanager
async def rig(corpora: Sequence[Path], backend: str = WHISPER) -> AsyncIterator[Rig]:
    """Start a server with one backend, Whisper or the timed one, and load its model."""
    model = WHISPER_MODEL if backend == WHISPER else timed_runner.MODEL
    with recordings(corpora) as clips, tempfile.TemporaryDirectory(prefix="open-speech-timed-") as folder:
        timed_runner.install(Path(folder))
        path = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        with serve(SETTINGS | {"STT_BACKENDS": backend, "STT_MODEL": model, "PYTHONPATH": path}) as served:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=served.url, timeout=600, limits=limits) as client:
                found = Rig(served, clips, client, backend, model)
                await found.alone(1)
                yield found


async def measure(corpora: Sequence[Path]) -> Costs:
    """Measure the costs of a server on this machine, as CPU time: other programs make it wait, but hardly change its work."""
    async with rig(corpora) as server:
        idle = await idle_costs(server)
        lengths = [clip.seconds for clip in server.clips]
        found = [await upload_costs(server, [number] * REPEATS, 1, idle) for number in range(len(lengths))]
        clips = [Clip(length, used.runner_s) for length, used in zip(lengths, found, strict=True)]
        request_s, upload_audio_s, _ = fitted([Clip(length, used.front_s) for length, used in zip(lengths, found, strict=True)])
        fixed_s, per_audio_s, spread = fitted(clips)
        two = await upload_costs(server, list(range(len(lengths))) * REPEATS, 2, idle)
        slowdown = max(1.0, two.runner_s / statistics.mean(clip.single_s for clip in clips))
        more = await gain(server, clips, slowdown, idle)
        plain = ReplicaCosts(fixed_s, per_audio_s, spread, more, (1.0,) * (WORKERS - 1) + (slowdown,), BATCH, 1.0)
        live_audio_s, partial = await live_costs(server, plain, idle)
    where = f"{datetime.now(UTC).date().isoformat()}, {processor()}, 2 cores that other programs also used; Whisper base, int8"
    replica = ReplicaCosts(**{**asdict(plain), "partial": partial})
    return Costs(where, replica, FrontCosts(request_s, upload_audio_s, live_audio_s), tuple(clips))


async def idle_costs(server: Rig) -> Used:
    """Return the CPU time per second of a server without requests."""
    before, began = server.used(), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    used, took_s = server.used().since(before), time.perf_counter() - began
    return Used(used.front_s / took_s, used.runner_s / took_s)


async def upload_costs(server: Rig, numbers: Sequence[int], clients: int, idle: Used) -> Used:
    """Return the CPU time per upload of recordings, sent by so many clients."""
    before = server.used()
    _, took_s = await server.at_once(clients, numbers)
    used = server.used().since(before)
    return Used((used.front_s - took_s * idle.front_s) / len(numbers), (used.runner_s - took_s * idle.runner_s) / len(numbers))


async def gain(server: Rig, clips: Sequence[Clip], slowdown: float, idle: Used) -> float:
    """Return the time of a further window of a batch as a share of the first's: many clients send the same recording."""
    number = sorted(range(len(clips)), key=lambda one: clips[one].seconds)[len(clips) // 2]
    windows, batches = await counted(server)
    used = await upload_costs(server, [number] * (MANY * MANY_EACH), MANY, idle)
    windows, batches = (now - before for now, before in zip(await counted(server), (windows, batches), strict=True))
    size, batch_s = windows / batches, used.runner_s * MANY * MANY_EACH / batches
    print(f"  {MANY} clients: {size:.2f} windows per batch, {batch_s:.3f} CPU s each", flush=True)
    return max(0.0, min(1.0, (batch_s / (slowdown * clips[number].single_s) - 1) / (size - 1)))


async def counted(server: Rig) -> tuple[int, int]:
    """Return the numbers of windows and batches so far; a scrape is at most a second old."""
    await asyncio.sleep(1.1)
    return await batches_so_far(server.client)


async def live_costs(server: Rig, replica: ReplicaCosts, idle: Used) -> tuple[float, float]:
    """Return the CPU time of the front per second of a live session, and the time of a partial pass as a share of a final one."""
    audio = realtime.speech()
    windows, _ = await counted(server)
    before, began = server.used(), time.perf_counter()
    turns = await talking(server, SESSIONS, TURNS)
    used, took_s = server.used().since(before), time.perf_counter() - began
    finals = len(turns.delays_s)
    partials = (await counted(server))[0] - windows - finals
    possible = possible_partials(audio.seconds)
    mean_s = statistics.mean(FIRST_PASS_S + PASS_EVERY_S * number for number in range(possible))
    front_s = (used.front_s - took_s * idle.front_s) / turns.sent_s
    print(
        f"  live: {finals} turns, {partials} of {possible * finals} partial passes, {front_s:.4f} CPU s of the front per second", flush=True
    )
    spent_s = used.runner_s - took_s * idle.runner_s - finals * replica.single_s(audio.seconds)
    return front_s, min(1.0, max(0.1, spent_s / (max(1, partials) * replica.single_s(mean_s))))


@dataclass
class Turns:
    """What live sessions measured."""

    delays_s: list[float]
    """From the end of the speech of each turn to its text."""
    sent_s: float
    """Audio that was sent, silence included."""


async def talking(server: Rig, sessions: int, turns: int) -> Turns:
    """Have sessions of the Realtime API say the same sentence again and again; each begins a new turn when it has the text of the last."""
    audio = realtime.speech()
    found = Turns([], 0.0)

    async def talk(after_s: float) -> None:
        await asyncio.sleep(after_s)
        async with realtime.session(server.served, "intent=transcription", "transcription", **realtime.TRANSCRIPTION) as session:
            for _ in range(turns):
                found.delays_s.append((await realtime.turn(session, audio))[0])
            found.sent_s += session.sent_s

    await asyncio.gather(*(talk(number * 4.7 / sessions) for number in range(sessions)))
    return found
