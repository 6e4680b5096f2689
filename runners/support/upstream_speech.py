"""Decoding of the audio of an OpenAI-compatible server, in the requested format and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from open_speech.audio import Audio
from open_speech.codecs import PCM_RATE, decode
from open_speech.errors import BackendFailed, SpeechError
from runners.support.audio_formats import HEAD_BYTES, format_of
from runners.support.upstream_http import Answer
from runners.support.wav_stream import WavStream

LONGEST_SPEECH_S = 3600
_BARE = ("audio/pcm", "audio/l16", "audio/raw")
"""Media types of samples without a header."""


class UnaskedFormat(Exception):
    """The response is in a format that was not requested; `error` is raised if no other format can be requested."""

    def __init__(self, asked: str, found: str) -> None:
        super().__init__(f"`{found}` instead of `{asked}`")
        self.error = BackendFailed(f"The upstream server sent `{found}` audio instead of `{asked}`.")


def audio_of(answer: Answer, asked: str) -> Iterator[Audio]:
    """Yield the audio of a response as it arrives; `asked` is `pcm`, `wav` or `mp3`.

    `pcm` may have the header of a WAV file, and `wav` may lack it if the media type says so. An MP3 file is decoded when it is complete, in
    the sandbox for uploads if this process has one. Raises UnaskedFormat before the first audio, or BackendFailed.
    """
    kind, _, parameters = answer.kind.partition(";")
    kind = kind.strip()
    if not kind.startswith(("audio/", "application/octet-stream")):
        raise BackendFailed("The upstream server returned something other than audio: check its URL in the settings.")
    chunks = iter(answer.chunks)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    found = format_of(kind, head)
    if found == "wav" or (found is None and (asked == "pcm" or kind in _BARE)):
        yield from _samples(head, chunks, parameters)
    elif asked == "mp3" and found in ("mp3", None):
        yield _decoded(head + Answer(kind, chunks).whole())
    else:
        raise UnaskedFormat(asked, found or "pcm")


def _samples(head: bytes, chunks: Iterator[bytes], parameters: str) -> Iterator[Audio]:
    rate = re.search(r"rate=(\d{4,6})", parameters)
    stream = WavStream(int(rate[1]) if rate else PCM_RATE)
    heard = False
    for chunk in chain([head], chunks):
        for audio in stream.feed(chunk):
            heard = True
            yield audio
    stream.close()
    if not heard:
        raise BackendFailed("The upstream server returned no audio.")


def _decoded(data: bytes) -> Audio:
    try:
        return decode(data, PCM_RATE, max_seconds=LONGEST_SPEECH_S, formats=("mp3",))
    except SpeechError as broken:
        raise BackendFailed("The audio of the upstream server cannot be read.") from broken
