"""The synthesis pipeline: steps of a text -> pieces of text -> audio, in order, as the steps arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

import numpy as np

from open_speech.audio import Audio, silence
from open_speech.backends import SpeechOptions
from open_speech.codecs import Stretcher
from open_speech.errors import NothingToSpeak
from open_speech.synthesis.prosody import Prosody
from open_speech.synthesis.stream import Cue
from open_speech.text.chunking import Chunker
from open_speech.text.cleanup import HELD_CHARS, Cleaner, ends_sentence
from open_speech.text.ipa import without_private
from open_speech.text.steps import Flush, Lull, Mark, Pause, Say, Step, TagReader

LULL_S = 0.3
"""Seconds without a fragment after which a complete sentence is spoken, even a short one."""
SILENCE_S = 1.0
"""Maximum seconds of silence in one piece of audio."""
WORDLESS_S, MAX_WORDLESS_S = 0.2, 60.0
"""Minimum and maximum seconds of silence that are returned for a text without words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text that is synthesized in one call."""

    text: str
    delivery: Prosody


Part = Piece | Pause | Mark
Synthesize = Callable[[str, SpeechOptions], AsyncGenerator[Audio, None]]
Choose = Callable[[Say], Prosody]


class Chunking:
    """Steps -> parts: text is split into pieces as soon as they are complete."""

    def __init__(self, choose: Choose, first_chars: int, piece_chars: int, breath_chars: int = 0) -> None:
        """`choose` resolves the prosody of a step, and raises its errors. The lengths are those of chunking.Chunker."""
        self._choose = choose
        self._chunker = Chunker(first_chars=min(first_chars, piece_chars), piece_chars=piece_chars, breath_chars=breath_chars)
        self._cleaner = Cleaner()
        self._current: Say | None = None
        self._prosody: Prosody | None = None
        self._marks: list[Mark] = []

    def feed(self, step: Step) -> Iterator[Part]:
        """Add a step; yield the parts that are complete. A mark is yielded before the piece that contains it."""
        match step:
            case Say():
                if self._current is None or not step.is_like(self._current):
                    yield from self.flush()
                    self._current = replace(step, text="")
                    self._prosody = self._choose(self._current)
                    self._chunker.say, self._chunker.language = self._prosody.say, self._prosody.language
                yield from self._pieces(self._chunker.feed(self._cleaner.feed(step.text)))
            case Mark():
                # A mark between two sentences is exact; a mark within a sentence is moved to its beginning.
                if ends_sentence(self._chunker.waiting + self._cleaner.waiting):
                    yield from self.flush()
                self._marks.append(step)
            case Pause():
                yield from self.flush()
                yield step
            case Flush():
                yield from self.flush()
            case Lull():
                if ends_sentence(self._chunker.waiting + self._cleaner.waiting):
                    yield from self.flush()

    def flush(self) -> Iterator[Part]:
        """Yield the remaining parts."""
        yield from self._pieces(self._chunker.feed(self._cleaner.finish()))
        yield from self._pieces(self._chunker.flush())
        yield from self._pending_marks()

    def _pieces(self, texts: Iterable[str]) -> Iterator[Part]:
        for text in texts:
            assert self._prosody is not None
            yield from self._pending_marks()
            yield Piece(text, self._prosody)

    def _pending_marks(self) -> Iterator[Part]:
        marks, self._marks = self._marks, []
        yield from marks


class AudioRenderer:
    """Parts -> audio: pauses become silence at the voice's rate; speed and volume that the engine does not support are applied here."""

    def __init__(self, synthesize: Synthesize, cues: list[Cue], *, other: Callable[[str], Synthesize] | None = None) -> None:
        """`synthesize` speaks one piece; `cues` is filled with the texts and their times.

        `other` returns the function for the pieces of another model, whose audio must have the same rate.
        """
        self._synthesize = synthesize
        self._other = other
        self._cues = cues
        self._stretcher: Stretcher | None = None
        self._stretch = 1.0
        self._rate = 0
        self._samples = 0
        self._pause_s = 0.0

    async def of(self, parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Audio, None]:
        """Yield the audio as it is synthesized; a piece without words (`…`, an emoji) is left out.

        Raises NothingToSpeak at the end if no piece was spoken, and the errors of the synthesis.
        """
        has_audio = False
        async with aclosing(parts):
            async for part in parts:
                match part:
                    case Pause():
                        self._pause_s += part.seconds
                    case Mark():
                        self._cue(part.name, is_mark=True)
                    case Piece():
                        with suppress(NothingToSpeak):
                            async with aclosing(self._piece(part)) as chunks:
                                async for audio in chunks:
                                    has_audio = True
                                    yield audio
        if not has_audio:
            raise NothingToSpeak("input contains nothing that can be spoken.", param="input")
        async for audio in self._finish_piece():
            yield audio

    @property
    def pause_s(self) -> float:
        """Seconds of requested pauses that are not part of the audio yet."""
        return self._pause_s

    async def _piece(self, piece: Piece) -> AsyncGenerator[Audio, None]:
        prosody = piece.delivery
        begun = False
        synthesize = self._other(prosody.model) if self._other is not None and prosody.model else self._synthesize
        async with aclosing(synthesize(piece.text, prosody.options)) as chunks:
            async for audio in chunks:
                # The pause waits for the first audio: a voice that fails is an error, not silence followed by an error.
                if not begun:
                    begun, self._rate = True, audio.rate
                    if self._pause_s or prosody.stretch != self._stretch:
                        async for rest in self._finish_piece():
                            yield rest
                        self._stretch = prosody.stretch
                    self._cue(piece.text)
                scaled = audio if prosody.gain == 1.0 else Audio(audio.samples * np.float32(prosody.gain), audio.rate)
                yield self._counted(await self._stretched(scaled))

    async def _stretched(self, audio: Audio) -> Audio:
        if self._stretch == 1.0:
            return audio
        self._stretcher = self._stretcher or Stretcher(audio.rate, self._stretch)
        return await asyncio.to_thread(self._stretcher.feed, audio)

    async def _finish_piece(self) -> AsyncGenerator[Audio, None]:
        """Yield the audio that the stretcher still holds, then the pause."""
        if self._stretcher is not None:
            stretcher, self._stretcher = self._stretcher, None
            yield self._counted(await asyncio.to_thread(stretcher.feed, Audio(np.zeros(0, np.float32), stretcher.rate), last=True))
        while self._pause_s > 0:
            seconds = min(self._pause_s, SILENCE_S)
            self._pause_s -= seconds
            yield self._counted(silence(seconds, self._rate))

    def _counted(self, audio: Audio) -> Audio:
        self._samples += len(audio.samples)
        return audio

    def _cue(self, text: str, *, is_mark: bool = False) -> None:
        at_s = self._samples / self._rate if self._rate else 0.0
        self._cues.append(Cue(at_s + (self._pause_s if is_mark else 0.0), without_private(text), is_mark))


async def silent_without_words(speech: AsyncGenerator[Audio, None], renderer: AudioRenderer, rate: int) -> AsyncGenerator[Audio, None]:
    """Yield the audio of a speech; for a text without words, a short silence or the pauses in it, at `rate` Hertz.

    Clients send such texts on purpose: Home Assistant's openai_tts checks a key by speaking `.`, and RealtimeTTS sends the punctuation
    between two sentences. They treat an error as a broken server.
    """
    async with aclosing(speech):
        try:
            async for audio in speech:
                yield audio
        except NothingToSpeak:
            yield silence(min(max(renderer.pause_s, WORDLESS_S), MAX_WORDLESS_S), rate)


async def parts_of(steps: AsyncIterator[Step], chunking: Chunking) -> AsyncGenerator[Part, None]:
    """Split steps into parts as they arrive."""
    async for step in steps:
        for part in chunking.feed(step):
            yield part
    for part in chunking.flush():
        yield part


async def one_by_one(steps: Iterable[Step]) -> AsyncGenerator[Step, None]:
    """Yield known steps; a long text is split, so that the event loop is never blocked for long."""
    for step in steps:
        if isinstance(step, Say) and len(step.text) > HELD_CHARS:
            for start in range(0, len(step.text), HELD_CHARS):
                yield replace(step, text=step.text[start : start + HELD_CHARS])
                await asyncio.sleep(0)
        else:
            yield step


async def tagged(fragments: AsyncIterator[str | None], *, phonemes: bool = False) -> AsyncGenerator[Step, None]:
    """Parse text with tags as it arrives. A fragment None requests that the text so far is spoken now. `phonemes` is as in TagReader."""
    reader = TagReader(phonemes=phonemes)
    async with aclosing(_with_lulls(fragments)) as incoming:
        async for fragment in incoming:
            if isinstance(fragment, Lull):
                yield fragment
                continue
            for step in reader.feed(fragment) if fragment is not None else (*reader.finish(), Flush()):
                yield step
    for step in reader.finish():
        yield step


async def _with_lulls(fragments: AsyncIterator[str | None]) -> AsyncGenerator[str | None | Lull, None]:
    async def next_fragment() -> str | None:
        return await anext(fragments)

    while True:
        pending = asyncio.create_task(next_fragment())
        try:
            done, _ = await asyncio.wait({pending}, timeout=LULL_S)
            if not done:
                yield Lull()
            fragment = await pending
        except StopAsyncIteration:
            return
        finally:
            pending.cancel()
            await asyncio.wait({pending})
        yield fragment
