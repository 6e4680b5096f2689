from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
import pytest

from open_speech.audio import Audio, concat
from open_speech.backends import SpeechOptions
from open_speech.errors import NothingToSpeak, UnknownVoice
from open_speech.synthesis.pipeline import LULL_S, AudioRenderer, Chunking, Part, Piece, one_by_one, parts_of, tagged
from open_speech.synthesis.prosody import Prosody
from open_speech.synthesis.stream import Cue
from open_speech.text.steps import Flush, Mark, Pause, Say, Step

RATE = 8000


def choose(step: Say) -> Prosody:
    return Prosody(SpeechOptions(step.voice or "ann"), stretch=step.speed, gain=10 ** (step.volume_db / 20))


def cut(*steps: Step) -> list[Part]:
    cutting = Chunking(choose, first_chars=80, piece_chars=400)
    return [part for step in (*steps, Flush()) for part in cutting.feed(step)]


def shown(parts: list[Part]) -> list[object]:
    return [(part.delivery.options.voice, part.text) if isinstance(part, Piece) else part for part in parts]


async def one_tenth(text: str, options: SpeechOptions) -> AsyncGenerator[Audio, None]:
    if options.voice == "nobody":
        raise UnknownVoice("nobody", param="voice")
    yield Audio(np.full(RATE // 20, 0.5, np.float32), RATE)
    yield Audio(np.full(RATE // 20, 0.5, np.float32), RATE)


def heard(*steps: Step, cues: list[Cue] | None = None) -> Audio:
    async def run() -> Audio:
        parts = parts_of(one_by_one(steps), Chunking(choose, first_chars=80, piece_chars=400))
        return concat([audio async for audio in AudioRenderer(one_tenth, cues if cues is not None else []).of(parts)], RATE)

    return asyncio.run(run())


def test_texts_that_are_spoken_alike_are_one_text() -> None:
    assert shown(cut(Say("One and "), Say("two go together here."))) == [("ann", "One and two go together here.")]


def test_another_voice_begins_another_piece() -> None:
    assert shown(cut(Say("Who is it? "), Say("It is me. ", "bob"), Say("Come in."))) == [
        ("ann", "Who is it?"), ("bob", "It is me."), ("ann", "Come in.")
    ]  # fmt: skip


def test_a_pause_ends_the_piece_before_it() -> None:
    assert shown(cut(Say("Wait"), Pause(1), Say("now"))) == [("ann", "Wait"), Pause(1), ("ann", "now")]


def test_a_mark_between_sentences_is_between_their_pieces_and_cuts_none() -> None:
    assert shown(cut(Say("One is here. "), Mark("m"), Say("Two is here."))) == [("ann", "One is here."), Mark("m"), ("ann", "Two is here.")]
    assert shown(cut(Say("Go from "), Mark("m"), Say("here."))) == [Mark("m"), ("ann", "Go from here.")]


def test_markdown_is_cleaned_across_steps() -> None:
    assert shown(cut(Say("# A ti"), Say("tle\n\nSee **th"), Say("is**."))) == [("ann", "A title. See this.")]


def test_a_pause_is_silence_at_the_voice_s_rate() -> None:
    audio = heard(Pause(0.5), Say("One."), Pause(2.25), Say("Two."), Pause(1))
    assert audio.seconds == pytest.approx(0.5 + 0.1 + 2.25 + 0.1 + 1)
    assert not audio.samples[: RATE // 2].any()
    assert audio.samples[RATE // 2 : RATE // 2 + RATE // 10].all()
    assert not audio.samples[-RATE:].any()


def test_each_stretch_of_text_has_its_own_speed_and_pauses_keep_their_length() -> None:
    audio = heard(Say("Fast.", speed=2.0), Pause(1), Say("Slow.", speed=0.5), Say("Plain."))
    assert audio.seconds == pytest.approx(0.05 + 1 + 0.2 + 0.1, abs=0.001)


def test_volume_is_a_factor_on_the_samples() -> None:
    assert heard(Say("Soft.", volume_db=-6.0206)).samples.max() == pytest.approx(0.25, abs=1e-4)


def test_cues_say_what_is_heard_when() -> None:
    cues: list[Cue] = []
    heard(Mark("start"), Say("One is said here."), Pause(0.5), Mark("middle"), Say("Two is said here."), Mark("end"), cues=cues)
    assert [(round(cue.at_s, 3), cue.text, cue.is_mark) for cue in cues] == [
        (0, "start", True), (0, "One is said here.", False), (0.6, "middle", True), (0.6, "Two is said here.", False), (0.7, "end", True)
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [(), (Pause(1),), (Say(" 🎉 "), Mark("m"))])
def test_steps_that_say_nothing_are_refused(steps: tuple[Step, ...]) -> None:
    with pytest.raises(NothingToSpeak):
        heard(*steps)


def test_a_voice_that_cannot_speak_is_an_error_before_any_silence() -> None:
    async def first() -> Audio:
        parts = parts_of(one_by_one([Pause(1), Say("Hello.", "nobody")]), Chunking(choose, first_chars=80, piece_chars=400))
        return await anext(AudioRenderer(one_tenth, []).of(parts))

    with pytest.raises(UnknownVoice):
        asyncio.run(first())


def test_fragments_become_steps_and_none_is_a_flush() -> None:
    async def fragments() -> AsyncIterator[str | None]:
        for fragment in ("Hel", "lo [pa", "use:1] wor", None, "ld"):
            yield fragment

    async def run() -> list[Step]:
        return [step async for step in tagged(fragments())]

    assert asyncio.run(run()) == [Say("Hel"), Say("lo "), Pause(1), Say(" wor"), Flush(), Say("ld")]


def test_a_short_sentence_is_spoken_when_nothing_follows_for_a_moment_and_half_a_one_is_not() -> None:
    async def fragments() -> AsyncIterator[str | None]:
        yield "Let me see. "
        await asyncio.sleep(LULL_S * 1.5)
        yield "It "
        await asyncio.sleep(LULL_S * 1.5)
        yield "is so."

    async def run() -> list[Part]:
        return [part async for part in parts_of(tagged(fragments()), Chunking(choose, first_chars=80, piece_chars=400))]

    assert shown(asyncio.run(run())) == [("ann", "Let me see."), ("ann", "It is so.")]


def test_whoever_leaves_while_nothing_comes_leaves_no_task_behind() -> None:
    async def silent() -> AsyncIterator[str | None]:
        await asyncio.Event().wait()
        yield ""

    async def run() -> int:
        reading = asyncio.create_task(anext(parts_of(tagged(silent()), Chunking(choose, first_chars=80, piece_chars=400))))
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait({reading})
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_a_long_text_leaves_the_event_loop_free() -> None:
    async def run() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        parts = parts_of(one_by_one([Say("A sentence of a long text. " * 4000)]), Chunking(choose, first_chars=80, piece_chars=400))
        pieces = [part.text async for part in parts if isinstance(part, Piece)]
        assert len(" ".join(pieces).split()) == 24_000
        counting.cancel()
        return turns

    assert asyncio.run(run()) > 90
