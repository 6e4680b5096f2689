"""Asks a running server for speech, and for the text of that speech, as its clients would: by HTTP with OpenAI's SDK, or by Wyoming."""

from __future__ import annotations

import asyncio
import ssl
import time

import click
import httpx
import openai
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

TEXT = "The quick brown fox jumps over the lazy dog."
START_S = 300.0
"""Longest wait for a server to be ready."""
ANSWER_S = 120.0


@click.group()
def main() -> None:
    """Check a server at HOST:PORT; exit with 1 and the reason if something is wrong."""


@main.command()
@click.argument("address")
@click.option("--key", default="unused", help="API key.")
@click.option("--trust", help="Certificate that the server must show by HTTPS; without it HTTP will do, and any certificate.")
def http(address: str, key: str, trust: str | None) -> None:
    """Speak and transcribe by HTTP or HTTPS, whichever it is."""
    scheme = scheme_of(address)
    if trust and scheme != "https":
        raise click.ClickException("The server uses HTTP, not HTTPS.")
    verify = ssl.create_default_context(cafile=trust) if trust else False
    with httpx.Client(verify=verify, timeout=ANSWER_S) as plain:
        wait_ready(plain, f"{scheme}://{address}/readyz")
        client = openai.OpenAI(base_url=f"{scheme}://{address}/v1", api_key=key, http_client=plain)
        began = time.monotonic()
        speech = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="mp3").read()
        spoken = time.monotonic()
        heard = client.audio.transcriptions.create(model="whisper-1", file=("speech.mp3", speech), language="en").text
    click.echo(f"{scheme}: {len(speech)} bytes of mp3 in {spoken - began:.1f} s, transcribed in {time.monotonic() - spoken:.1f} s: {heard}")
    require_text(heard)


@main.command()
@click.argument("address")
def wyoming(address: str) -> None:
    """Describe, speak and transcribe by Wyoming."""
    host, _, port = address.rpartition(":")
    click.echo(f"wyoming: {asyncio.run(asyncio.wait_for(conversation(host, int(port)), START_S))}")


def scheme_of(address: str) -> str:
    """Find out whether a server speaks `http` or `https`; one that is not there yet is waited for."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        for found in ("https", "http"):
            try:
                httpx.get(f"{found}://{address}/livez", verify=False, timeout=5)
            except httpx.TransportError:
                continue
            return found
        time.sleep(0.5)
    raise click.ClickException(f"Nothing responds at {address}.")


def wait_ready(client: httpx.Client, url: str) -> None:
    """Wait until the server says that it can serve."""
    began = time.monotonic()
    while time.monotonic() - began < START_S:
        try:
            if client.get(url, timeout=5).status_code == httpx.codes.OK:
                click.echo(f"ready after {time.monotonic() - began:.1f} s")
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise click.ClickException(f"{url} did not become ready.")


async def conversation(host: str, port: int) -> str:
    """Have the server say the text, and write down what it said; returns a line about it."""
    while True:
        try:
            async with AsyncTcpClient(host, port) as client:
                await client.write_event(Describe().event())
                info = Info.from_event(await answer(client, Info))
                if any(program.models for program in info.asr) and any(program.voices for program in info.tts):
                    break
        except (OSError, EOFError):
            pass
        await asyncio.sleep(0.5)
    async with AsyncTcpClient(host, port) as client:
        await client.write_event(Synthesize(text=TEXT).event())
        start, sound = AudioStart.from_event(await answer(client, AudioStart)), b""
        while AudioChunk.is_type((event := await answer(client, AudioChunk, AudioStop)).type):
            sound += AudioChunk.from_event(event).audio
    async with AsyncTcpClient(host, port) as client:
        await client.write_event(Transcribe(language="en").event())
        await client.write_event(start.event())
        for offset in range(0, len(sound), 4096):
            await client.write_event(AudioChunk(start.rate, start.width, start.channels, sound[offset : offset + 4096]).event())
        await client.write_event(AudioStop().event())
        heard = Transcript.from_event(await answer(client, Transcript)).text
    require_text(heard)
    models, voices = (sum(len(getattr(p, what)) for p in programs) for programs, what in ((info.asr, "models"), (info.tts, "voices")))
    return f"{models} models and {voices} voices; {len(sound)} bytes of audio, transcribed as: {heard}"


async def answer(client: AsyncTcpClient, *kinds: type[Info] | type[AudioStart] | type[AudioChunk] | type[AudioStop] | type[Transcript]):
    """Read events until one is of these kinds. Raises EOFError when the server hangs up, ClickException for an error event."""
    while event := await client.read_event():
        if Error.is_type(event.type):
            raise click.ClickException(Error.from_event(event).text)
        if any(kind.is_type(event.type) for kind in kinds):
            return event
    raise EOFError


def require_text(heard: str) -> None:
    """Raise ClickException unless that was what was said."""
    if words(heard) != words(TEXT):
        raise click.ClickException(f"spoke {TEXT!r}, heard {heard!r}")


def words(text: str) -> list[str]:
    """Take the words out of a text, without case and punctuation."""
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").split()


if __name__ == "__main__":
    main()
