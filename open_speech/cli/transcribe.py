"""`open-speech transcribe`: transcribes files in this process, into the formats of the API."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import get_args

import click

from open_speech.api.openai.responses import answer
from open_speech.api.openai.schemas import TranscriptFormat
from open_speech.backends import Task, TranscribeOptions
from open_speech.cli import WrongUse, one_line
from open_speech.cli import _terminal as terminal
from open_speech.cli import _weights as weights
from open_speech.errors import SpeechError, UnsupportedLanguage
from open_speech.languages import requested_language
from open_speech.recognition.request import RecognitionRequest
from open_speech.recognition.service import Recognition
from runners.wiring import factories as parts
from runners.wiring.engine import local_engine

FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)
SUFFIXES: dict[TranscriptFormat, str] = {"text": ".txt", "json": ".json", "verbose_json": ".json", "srt": ".srt", "vtt": ".vtt"}
STDIN = Path("-")


@click.command(name="transcribe")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--model", default="whisper-1", show_default=True, help="Model id or one of OpenAI's names.")
@click.option("--language", help="Language of the speech, as a code or an English name. Default: detect it, as `auto` does.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Output format, as in the API.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, or a folder for several files. Default: stdout.")
def command(files: tuple[Path, ...], model: str, language: str | None, form: TranscriptFormat, output: Path | None) -> None:
    """Transcribe audio or video FILES, without a server. `-` reads a file from stdin."""
    settings = terminal.settings()
    try:
        code = requested_language(language, "language")
    except UnsupportedLanguage as error:
        raise WrongUse(error.message) from None
    engine = local_engine(settings)
    weights.pull(parts.store(settings), [engine.registry.find(model, Task.STT)])
    options = TranscribeOptions(language=code, word_times=form == "verbose_json")
    targets = places(files, form, output)
    with parts.decoding(settings):
        failed = asyncio.run(_transcribe(engine.recognition, RecognitionRequest(model, options), form, targets))
    if failed:
        raise click.exceptions.Exit(1)


def places(files: tuple[Path, ...], form: TranscriptFormat, output: Path | None) -> dict[Path, Path | None]:
    """Return the output file of each input file; None is stdout. Raises WrongUse if two texts would be written to the same file."""
    if output is None:
        return dict.fromkeys(files)
    if len(files) == 1 and not output.is_dir():
        return {files[0]: output}
    targets = {file: output / f"{'stdin' if file == STDIN else file.stem}{SUFFIXES[form]}" for file in files}
    if len(set(targets.values())) < len(targets):
        raise WrongUse("output: two of the files would have the same name. Write them into different folders.")
    output.mkdir(parents=True, exist_ok=True)
    return dict(targets)


async def _transcribe(
    recognition: Recognition, request: RecognitionRequest, form: TranscriptFormat, targets: dict[Path, Path | None]
) -> int:  # fmt: skip
    """Transcribe one file after the other; report a failed file and continue with the rest. Return the number of failures."""
    failed = 0
    for number, (file, target) in enumerate(targets.items(), 1):
        try:
            with terminal.busy(f"{file} ({number} of {len(targets)})"):
                source = sys.stdin.buffer.read() if file == STDIN else file
                transcript = await recognition.transcribe(source, request)
        except SpeechError as error:
            failed += 1
            terminal.note(f"Error: {file}: {one_line(error)}")
            continue
        _write(bytes(answer(transcript, form, ("segment", "word")).body), target, file if len(targets) > 1 else None)
    return failed


def _write(body: bytes, target: Path | None, title: Path | None) -> None:
    """Write one text to its file, or to stdout, under a title when there are several."""
    if target is not None:
        target.write_bytes(body)
        return
    if title is not None:
        click.echo(f"# {title}")
    click.echo(body, nl=not body.endswith(b"\n"))
