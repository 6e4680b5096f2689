"""Worker process of a text-to-speech peer: one text per line on standard input, one answer per line on standard output.

`kokoro`, `piper` and `hibari` call the library in this process, so that its CPU time is theirs. `wyoming` only sends text to a
wyoming-piper server. Run by path, in the environment that has the package: this project's packages are not imported.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator

Speak = Callable[[str], Iterator[float]]
"""Synthesizes a text; yields the length of each piece of audio in seconds as soon as it is ready."""


def kokoro(model: str, voices: str, voice: str) -> Speak:
    """Return the library with its defaults, which synthesizes the whole text in one call."""
    from kokoro_onnx import Kokoro

    engine = Kokoro(model, voices)

    def speak(text: str) -> Iterator[float]:
        samples, rate = engine.create(text, voice)
        yield len(samples) / rate

    return speak


def piper(model: str) -> Speak:
    """Return the library with its defaults, which returns the audio sentence by sentence."""
    from piper import PiperVoice

    voice = PiperVoice.load(model)

    def speak(text: str) -> Iterator[float]:
        for chunk in voice.synthesize(text):
            yield len(chunk.audio_int16_bytes) / 2 / chunk.sample_rate

    return speak


def hibari(model: str) -> Speak:
    """Return the library with its defaults, which returns the audio sentence by sentence."""
    from hibari import Hibari

    engine = Hibari(model=model)

    def speak(text: str) -> Iterator[float]:
        for samples in engine.stream(text):
            yield len(samples) / engine.sample_rate

    return speak


def wyoming(uri: str, voice: str) -> Speak:
    """Return a client of a Wyoming server, with the protocol's own library and streamed text: audio arrives sentence by sentence."""
    from wyoming.audio import AudioChunk
    from wyoming.client import AsyncClient
    from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

    def speak(text: str) -> Iterator[float]:
        loop = asyncio.new_event_loop()
        client = AsyncClient.from_uri(uri)
        try:
            loop.run_until_complete(client.connect())
            for event in (SynthesizeStart(voice=SynthesizeVoice(name=voice)), SynthesizeChunk(text=text), SynthesizeStop()):
                loop.run_until_complete(client.write_event(event.event()))
            while (event := loop.run_until_complete(client.read_event())) is not None:
                if SynthesizeStopped.is_type(event.type):
                    return
                if AudioChunk.is_type(event.type):
                    yield AudioChunk.from_event(event).seconds
            raise ConnectionError("the server closed without an answer")
        finally:
            loop.run_until_complete(client.disconnect())
            loop.close()

    return speak


def timed(speak: Speak, text: str) -> dict[str, float]:
    """Synthesize a text; return the seconds to its first audio, the total seconds, and the length of the audio in seconds."""
    started = time.perf_counter()
    first, audio = 0.0, 0.0
    for seconds in speak(text):
        first = first or time.perf_counter() - started
        audio += seconds
    return {"first": first, "whole": time.perf_counter() - started, "audio": audio}


def serve(speak: Speak) -> None:
    """Answer each line, a text in JSON, with the result of `timed`, or `{error}`, until standard input ends."""
    for line in sys.stdin:
        try:
            answer: dict[str, object] = dict(timed(speak, json.loads(line)))
        except Exception as failure:  # noqa: BLE001 - the boundary of this process: the caller must not wait forever
            answer = {"error": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve({"kokoro": kokoro, "piper": piper, "hibari": hibari, "wyoming": wyoming}[sys.argv[1]](*sys.argv[2:]))
