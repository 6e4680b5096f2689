"""`open-speech speak`: synthesizes a text into an audio file, in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, get_args

import click
import numpy as np
import soundfile

from open_speech.audio import to_pcm16
from open_speech.backends import Task
from open_speech.cli import WrongUse
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.cli._files import whole
from open_speech.codecs import encode_stream
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.stream import SpeechStream
from runners.wiring import factories as parts
from runners.wiring.engine import local_engine

FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
SUFFIXES: dict[str, AudioFormat] = {**{f".{name}": name for name in FORMATS}, ".ogg": "opus", ".oga": "opus"}
SEEKABLE: tuple[AudioFormat, ...] = ("wav", "flac")
"""Formats whose header contains the length: a stream cannot know it, and a file should have it."""
STDOUT = Path("-")


@click.command(name="speak")
@click.argument("text")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write. `-` writes to stdout.")
@click.option("--voice", help="Voice of the model, one of OpenAI's voice names, or a blend of voices.")
@click.option("--model", default="tts-1", show_default=True, help="Model id or one of OpenAI's names.")
@click.option("--speed", type=float, help="Speed, from 0.25 to 4. Default: TTS_SPEED.")
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="Audio format. Default: by suffix; on stdout TTS_DEFAULT_FORMAT.")
def command(text: str, output: Path, voice: str | None, model: str, speed: float | None, wanted: AudioFormat | None) -> None:
    """Synthesize TEXT into an audio file, without a server. `-` reads the text from stdin."""
    settings = terminal.settings()
    chosen = format_of(output, wanted, settings)
    spoken_text = sys.stdin.read() if text == "-" else text
    engine = local_engine(settings)
    weights.pull(parts.store(settings), [engine.registry.find(model, Task.TTS)])
    speech = engine.synthesis.speak(SynthesisRequest(model, spoken_text, voice=voice, speed=speed))
    with terminal.busy(f"Speaking with {model}"), parts.decoding(settings, at_once=False):
        if output != STDOUT:
            with whole(output) as file:
                asyncio.run(_save(speech, file, chosen))
        elif chosen in SEEKABLE and sys.stdout.buffer.seekable():
            # stdout may be appended to a file, so libsndfile must not seek in it.
            complete = BytesIO()
            asyncio.run(_save(speech, complete, chosen))
            sys.stdout.buffer.write(complete.getvalue())
        else:
            asyncio.run(_send(speech, sys.stdout.buffer, chosen))


def format_of(output: Path, wanted: AudioFormat | None, settings: Settings) -> AudioFormat:
    """Return the requested format, else on stdout the server's default, else the suffix's. Raises WrongUse for an unknown suffix."""
    if wanted is not None:
        return wanted
    if output == STDOUT:
        return settings.tts_default_format
    try:
        return SUFFIXES[output.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise WrongUse(f"Unknown suffix of `{output}`: use one of {known}, or set --format.") from None


async def _save(speech: Awaitable[SpeechStream], file: BinaryIO, chosen: AudioFormat) -> None:
    """Write a complete file as the speech arrives: WAV and FLAC with libsndfile, the other formats as a stream.

    Raises soundfile.LibsndfileError if it cannot be written.
    """
    if chosen not in SEEKABLE:
        await _send(speech, file, chosen)
        return
    stream = await speech
    # Given a descriptor, libsndfile writes itself: it cannot pass on an exception of a Python file, such as a full disk.
    target = file if isinstance(file, BytesIO) else file.fileno()
    async with aclosing(stream):
        with soundfile.SoundFile(target, "w", stream.rate, 1, "PCM_16", format=chosen.upper(), closefd=False) as written:
            async for piece in stream:
                # Our own rounding, so that a file has the same samples as the response of the server.
                written.write(np.frombuffer(to_pcm16(piece), "<i2"))


async def _send(speech: Awaitable[SpeechStream], file: BinaryIO, chosen: AudioFormat) -> None:
    """Write the same bytes as a streamed response of the server."""
    stream = await speech
    async with aclosing(stream):
        async for chunk in encode_stream(stream, chosen, stream.rate):
            file.write(chunk)
