"""A conversation whose turns are audio files: each file is a question, and the answers are written into one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import soundfile

from open_speech.audio import Audio, resample, to_pcm16
from open_speech.cli import WrongUse
from open_speech.cli._files import whole
from open_speech.cli._talk_dialogue import Dialogue
from open_speech.client import AsyncRealtimeSession
from open_speech.client.realtime import PCM_RATE

QUIET_S = 120.0
"""Longest wait in seconds for the next event of the server: a model may be loaded first."""
PAUSE_S = 0.5
"""Silence between two answers in the output, in seconds."""
FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def read(path: Path) -> bytes:
    """Return the audio of a file as 16-bit mono PCM at PCM_RATE. Raises click.FileError."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise click.FileError(str(path), f"{error.error_string} Use a WAV, FLAC, MP3 or Ogg file.") from error
    mono = np.ascontiguousarray(samples.mean(axis=1), dtype=np.float32)
    return to_pcm16(resample(Audio(mono, rate), PCM_RATE))


def check_output(path: Path | None) -> None:
    """Raise WrongUse if the suffix of the output is not a supported format."""
    if path is not None and path.suffix.lower() not in FORMATS:
        raise WrongUse(f"Unknown suffix of `{path}`: use {' or '.join(FORMATS)}.")


def write(path: Path, answers: Sequence[bytes]) -> None:
    """Write the answers with pauses between them. Raises click.FileError."""
    pause = bytes(2 * int(PAUSE_S * PCM_RATE))
    samples = np.frombuffer(pause.join(answers), "<i2")
    with whole(path) as file:
        with soundfile.SoundFile(file.fileno(), "w", PCM_RATE, 1, "PCM_16", format=FORMATS[path.suffix.lower()], closefd=False) as written:
            written.write(samples)


async def converse(session: AsyncRealtimeSession, dialogue: Dialogue, questions: Sequence[bytes]) -> list[bytes]:
    """Ask the questions, each after the answer to the one before; return the audio of the answers. Raises OpenSpeechError."""
    answers: list[bytearray] = []
    session.on_audio(lambda pcm: answers[-1].extend(pcm))
    for question in questions:
        answers.append(bytearray())
        await session.send_audio(question)
        await session.commit()
        dialogue.asked()
        await session.create_response()
        await dialogue.answered(QUIET_S)
    return [bytes(answer) for answer in answers if answer]
