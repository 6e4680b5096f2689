"""`open-speech talk`: a spoken conversation with the language model of a server, by microphone and loudspeaker or by files."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from open_speech.cli import _talk_devices as talk_devices
from open_speech.cli import _talk_files as talk_files
from open_speech.cli import _terminal as terminal
from open_speech.cli._talk_dialogue import Dialogue
from open_speech.client import AsyncOpenSpeechClient, AsyncRealtimeSession, OpenSpeechError
from open_speech.client.endpoint import DEFAULT_URL
from open_speech.client.realtime import DEFAULT_MODEL, RealtimeOptions

TWICE_S = 2.0
"""Seconds within which a second Ctrl-C ends the conversation."""
INSTRUCTIONS = "You are a friendly voice assistant. Answer in one or two short sentences, in plain text without lists."
T = TypeVar("T")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Options:
    """The conversation that the command line requests."""

    model: str | None
    voice: str | None
    language: str | None
    instructions: str
    inputs: tuple[Path, ...]
    output: Path | None
    barge_in: bool
    insecure: bool

    def session(self) -> RealtimeOptions:
        """Return the options of the session: with files the client ends the turns, with a microphone the server detects them."""
        options = RealtimeOptions(model=self.model or DEFAULT_MODEL, instructions=self.instructions, respond=True, turn_detection=None)
        if not self.inputs:
            # A server without a turn detector ends such turns after 0.7 s of silence.
            options["turn_detection"] = {"type": "semantic_vad"}
        if self.voice:
            options["voice"] = self.voice
        if self.language:
            options["language"] = self.language
        return options


@click.command(name="talk")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="The server.")
@click.option("--key", envvar="OS_API_KEY", show_envvar=True, help="API key of the server.")
@click.option("--local", is_flag=True, help="Use the models of this machine, by its settings, instead of a server.")
@click.option("--in", "inputs", multiple=True, type=_FILE, help="Audio file to send as one turn, instead of the microphone. Repeatable.")
@click.option("--out", "output", type=click.Path(path_type=Path, dir_okay=False), help="WAV or FLAC file for the answers.")
@click.option("--voice", help="Voice of the answers. Default: the voice of the server.")
@click.option("--model", help="Language model. Default: the one of the server.")
@click.option("--language", help="Language of your speech, as a code. Default: detect it.")
@click.option("--instructions", default=INSTRUCTIONS, help="Instructions for the language model.")
@click.option("--no-barge-in", is_flag=True, help="Ignore the microphone while an answer is played: for use without headphones.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate, such as a self-signed one.")
def command(url: str, key: str | None, local: bool, no_barge_in: bool, **given: Any) -> None:
    """Talk with the language model of a running server: by microphone and loudspeaker, or with --in and --out by files.

    Ctrl-C interrupts the answer; pressed twice, it ends the conversation.
    """
    options = Options(barge_in=not no_barge_in, **given)
    talk_files.check_output(options.output)
    if options.output and not options.inputs:
        raise click.UsageError("--out needs --in: the microphone's answers are played.")
    if not options.inputs:
        talk_devices.portaudio()
    questions = [talk_files.read(path) for path in options.inputs]
    if local:
        from open_speech.cli._local_server import local_server  # noqa: PLC0415 - it loads the whole server

        serving = local_server()
    else:
        serving = nullcontext((url, _secret(key)))  # type: ignore[assignment]
    with serving as (address, secret):
        try:
            asyncio.run(_talk(address, secret, options, questions))
        except OpenSpeechError as error:
            raise click.ClickException(str(error)) from error


def _secret(key: str | None) -> str | None:
    """Return the key without the name that OS_API_KEY may give it; the first, if it lists several."""
    return key.partition(",")[0].rpartition(":")[2].strip() or None if key else None


async def _talk(url: str, key: str | None, options: Options, questions: list[bytes]) -> None:
    dialogue = Dialogue(lambda text: click.echo(text, nl=False), terminal.note)
    async with AsyncOpenSpeechClient(url, key, verify=not options.insecure) as client:
        session = await client.realtime_session(**options.session())
        session.on_event(dialogue.take)
        session.on_error(dialogue.failed)
        try:
            if options.inputs:
                answers = await _with_files(session, dialogue, questions)
                if options.output:
                    talk_files.write(options.output, answers)
            else:
                await _with_devices(session, dialogue, options)
        finally:
            await session.close(0.0)


async def _with_files(session: AsyncRealtimeSession, dialogue: Dialogue, questions: list[bytes]) -> list[bytes]:
    async def interrupt() -> bool:
        if dialogue.response is None:
            return False
        await session.cancel_response()
        return True

    return await interruptible(talk_files.converse(session, dialogue, questions), interrupt)


async def _with_devices(session: AsyncRealtimeSession, dialogue: Dialogue, options: Options) -> None:
    async with talk_devices.devices() as devices:
        talk = talk_devices.Talk(session, dialogue, devices, barge_in=options.barge_in)
        terminal.note("Speak whenever you like. Ctrl-C interrupts the answer, twice ends the conversation.")
        await interruptible(talk.run(), talk.interrupt)


async def interruptible(work: Awaitable[T], interrupt: Callable[[], Awaitable[bool]]) -> T:
    """Await `work`. Ctrl-C calls `interrupt`, which returns whether there was an answer to stop; a second one soon after it ends the work.

    Raises KeyboardInterrupt.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    pressed_at = -TWICE_S
    ended = False
    interrupting: set[asyncio.Future[None]] = set()

    async def stop_answer() -> None:
        with suppress(OpenSpeechError):  # the work raises it as well
            if not await interrupt():
                terminal.note("Press Ctrl-C again to end the conversation.")

    def pressed() -> None:
        nonlocal pressed_at, ended
        now = time.monotonic()
        if now - pressed_at < TWICE_S:
            ended = True
            task.cancel()
            return
        pressed_at = now
        future = asyncio.ensure_future(stop_answer())
        interrupting.add(future)
        future.add_done_callback(interrupting.discard)

    loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        return await task
    except asyncio.CancelledError:
        if ended:
            raise KeyboardInterrupt from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGINT)
