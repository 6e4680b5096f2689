"""The steps of a script -> sound, piece by piece, in the order and at the pace at which they come."""

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
"""Seconds without a fragment after which a complete sentence is spoken, however short, whatever follows."""
SILENCE_S = 1.0
"""Seconds of silence made at once."""
WORDLESS_S, MAX_WORDLESS_S = 0.2, 60.0
"""Seconds of silence, least and most, that answer a text without words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that the engine speaks in one call."""

    text: str
    delivery: Prosody


Part = Piece | Pause | Mark
Synthesize = Callable[[str, SpeechOptions], AsyncGenerator[Audio, None]]
Choose = Callable[[Say], Prosody]


class Chunking:
    """Steps -> parts: text is cut into pieces as soon as they are complete."""

    def __init__(self, choose: Choose, first_chars: int, piece_chars: int, breath_chars: int = 0) -> None:
        """`choose` decides how a step is spoken; it raises what is wrong with it. The lengths are those of pieces.Cutter."""
        self._choose = choose
        self._cutter = Chunker(first_chars=min(first_chars, piece_chars), piece_chars=piece_chars, breath_chars=breath_chars)
        self._cleaner = Cleaner()
        self._like: Say | None = None
        self._delivery: Prosody | None = None
        self._marks: list[Mark] = []

    def feed(self, step: Step) -> Iterator[Part]:
        """Add a step, take the parts that are complete. A mark comes before the piece that it stands in."""
        match step:
            case Say():
                if self._like is None or not step.is_like(self._like):
                    yield from self.flush()
                    self._like = replace(step, text="")
                    self._delivery = self._choose(self._like)
                    self._cutter.say, self._cutter.language = self._delivery.say, self._delivery.language
                yield from self._pieces(self._cutter.feed(self._cleaner.feed(step.text)))
            case Mark():
                # Between two sentences the place is exact; within one it is the beginning of the sentence.
                if ends_sentence(self._cutter.waiting + self._cleaner.waiting):
                    yield from self.flush()
                self._marks.append(step)
            case Pause():
                yield from self.flush()
                yield step
            case Flush():
                yield from self.flush()
            case Lull():
                if ends_sentence(self._cutter.waiting + self._cleaner.waiting):
                    yield from self.flush()

    def flush(self) -> Iterator[Part]:
        """Take the rest."""
        yield from self._pieces(self._cutter.feed(self._cleaner.finish()))
        yield from self._pieces(self._cutter.flush())
        yield from self._marked()

    def _pieces(self, texts: Iterable[str]) -> Iterator[Part]:
        for text in texts:
            assert self._delivery is not None
            yield from self._marked()
            yield Piece(text, self._delivery)

    def _marked(self) -> Iterator[Part]:
        marks, self._marks = self._marks, []
        yield from marks


class Sound:
    """Parts -> sound: pauses become silence at the voice's rate, what the engine cannot do by itself is done to the samples."""

    def __init__(self, synthesize: Synthesize, cues: list[Cue]) -> None:
        """`synthesize` speaks one piece; `cues` is filled with what is heard when."""
        self._synthesize = synthesize
        self._cues = cues
        self._stretcher: Stretcher | None = None
        self._stretch = 1.0
        self._rate = 0
        self._samples = 0
        self._pause_s = 0.0

    async def of(self, parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Audio, None]:
        """Yield the audio as it is made; a piece without words (`…`, an emoji) is left out.

        Raises NothingToSpeak at the end if no piece was spoken, and what the engine raises.
        """
        spoken = False
        async with aclosing(parts):
            async for part in parts:
                match part:
                    case Pause():
                        self._pause_s += part.seconds
                    case Mark():
                        self._cue(part.name, is_mark=True)
                    case Piece():
                        with suppress(NothingToSpeak):
                            async with aclosing(self._piece(part)) as sound:
                                async for audio in sound:
                                    spoken = True
                                    yield audio
        if not spoken:
            raise NothingToSpeak("input contains nothing that can be spoken.", param="input")
        async for audio in self._settle():
            yield audio

    @property
    def pause_s(self) -> float:
        """Seconds of pauses that were asked for and not yet made."""
        return self._pause_s

    async def _piece(self, piece: Piece) -> AsyncGenerator[Audio, None]:
        how = piece.delivery
        begun = False
        async with aclosing(self._synthesize(piece.text, how.options)) as sound:
            async for audio in sound:
                # Not before there is sound: a voice that cannot speak is an error, not a silence and then an error.
                if not begun:
                    begun, self._rate = True, audio.rate
                    if self._pause_s or how.stretch != self._stretch:
                        async for rest in self._settle():
                            yield rest
                        self._stretch = how.stretch
                    self._cue(piece.text)
                louder = audio if how.gain == 1.0 else Audio(audio.samples * np.float32(how.gain), audio.rate)
                yield self._counted(await self._stretched(louder))

    async def _stretched(self, audio: Audio) -> Audio:
        if self._stretch == 1.0:
            return audio
        self._stretcher = self._stretcher or Stretcher(audio.rate, self._stretch)
        return await asyncio.to_thread(self._stretcher.feed, audio)

    async def _settle(self) -> AsyncGenerator[Audio, None]:
        """Yield what the stretcher still has, then the pause."""
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


async def silent_without_words(speech: AsyncGenerator[Audio, None], sound: Sound, rate: int) -> AsyncGenerator[Audio, None]:
    """Yield the audio of a speech; for a text without words a short silence, or the pauses that it holds, at `rate` Hertz.

    Clients send such texts on purpose: Home Assistant's openai_tts checks a key by speaking `.`, and RealtimeTTS sends what is left between
    two sentences. They take an error for a broken server.
    """
    async with aclosing(speech):
        try:
            async for audio in speech:
                yield audio
        except NothingToSpeak:
            yield silence(min(max(sound.pause_s, WORDLESS_S), MAX_WORDLESS_S), rate)


async def parts_of(steps: AsyncIterator[Step], cutting: Chunking) -> AsyncGenerator[Part, None]:
    """Cut steps into parts as they come."""
    async for step in steps:
        for part in cutting.feed(step):
            yield part
    for part in cutting.flush():
        yield part


async def one_by_one(steps: Iterable[Step]) -> AsyncGenerator[Step, None]:
    """Give steps that are known already; a long text in stretches, so that no turn of the event loop takes long."""
    for step in steps:
        if isinstance(step, Say) and len(step.text) > HELD_CHARS:
            for start in range(0, len(step.text), HELD_CHARS):
                yield replace(step, text=step.text[start : start + HELD_CHARS])
                await asyncio.sleep(0)
        else:
            yield step


async def tagged(fragments: AsyncIterator[str | None], *, phonemes: bool = False) -> AsyncGenerator[Step, None]:
    """Read text with tags as it is written; None says that what is there is to be spoken now; see TagReader for `phonemes`."""
    reader = TagReader(phonemes=phonemes)
    async with aclosing(_with_lulls(fragments)) as coming:
        async for fragment in coming:
            if isinstance(fragment, Lull):
                yield fragment
                continue
            for step in reader.feed(fragment) if fragment is not None else (*reader.finish(), Flush()):
                yield step
    for step in reader.finish():
        yield step


async def _with_lulls(fragments: AsyncIterator[str | None]) -> AsyncGenerator[str | None | Lull, None]:
    async def following() -> str | None:
        return await anext(fragments)

    while True:
        coming = asyncio.create_task(following())
        try:
            done, _ = await asyncio.wait({coming}, timeout=LULL_S)
            if not done:
                yield Lull()
            fragment = await coming
        except StopAsyncIteration:
            return
        finally:
            coming.cancel()
            await asyncio.wait({coming})
        yield fragment
