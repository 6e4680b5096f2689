from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import BackendEntry, ModelEntry, Task, TranscribeOptions
from open_speech.dispatch.admission import Admission
from open_speech.dispatch.client import RunnerClient
from open_speech.errors import AudioTooLong, BackendFailed, Overloaded, Stopping, UnknownModel, UnsupportedLanguage
from open_speech.recognition.live.recognizer import LiveRecognizer, LiveRecognizers
from open_speech.recognition.live.utterance import MAX_WAITING, MAX_WINDOWS, Utterance
from open_speech.registry import Defaults, Registry
from open_speech.transcript import Transcript
from tests.waiting import PATIENCE_S, eventually

Say = Callable[..., Audio]
READER = BackendEntry("reader", Task.STT, "x:X", (), "", "MIT", window_s=5)


def _no_detector() -> Any:
    raise AssertionError("nobody asked for a detector")


def run(recognizers: LiveRecognizers, test: Callable[[LiveRecognizer], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await test(await recognizers.recognizer("reader", TranscribeOptions()))

    return asyncio.run(whole())


async def fed(utterance: Utterance, audio: Audio, piece: int = 1600, pause_s: float = 0.002) -> None:
    """Feed sound as it comes over a wire."""
    for start in range(0, len(audio.samples), piece):
        utterance.feed(Audio(audio.samples[start : start + piece], 16_000))
        await asyncio.sleep(pause_s)


def test_the_deltas_joined_are_the_final_text(recognizers: LiveRecognizers, say: Say) -> None:
    deltas: list[str] = []

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, deltas.append)
        await fed(utterance, say(1, 2, 3, 4, 5, 6, 7, 8))
        assert deltas[:1] == ["w1"] or "".join(deltas).startswith("w1 w2"), "text comes while somebody still speaks"
        return await utterance.finish()

    transcript = run(recognizers, test)
    assert transcript.text == "".join(deltas) == "w1 w2 w3 w4 w5 w6 w7 w8"
    assert len(deltas) > 1
    assert transcript.info.duration == 4
    assert transcript.info.language == "en"


def test_what_was_given_out_stays_though_the_last_pass_hears_otherwise(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    deltas: list[str] = []
    reader.misreads = lambda words: ["wrong", *words[1:]]

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, deltas.append)
        await fed(utterance, say(1, 2, 3, 4, 5, 6, 7, 8))
        return await utterance.finish()

    transcript = run(recognizers, test)
    assert transcript.text == "".join(deltas) == "wrong w2 w3 w4 w5 w6 w7 w8"


def test_who_wants_no_deltas_gets_the_last_pass_as_it_is_and_no_other_is_made(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        await fed(utterance, say(1, 2, 3, 4, 5, 6, 7, 8))
        return await utterance.finish()

    assert run(recognizers, test).text == "w1 w2 w3 w4 w5 w6 w7 w8"
    assert len(reader.calls) == 1


def test_drafts_cost_the_final_text_nothing(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    drafts: list[str] = []
    reader.misreads = lambda words: ["wrong", *words[1:]]

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, on_draft=drafts.append)
        await fed(utterance, say(1, 2, 3, 4, 5, 6))
        return await utterance.finish()

    assert run(recognizers, test).text == "w1 w2 w3 w4 w5 w6"
    assert drafts
    assert all(draft.startswith("wrong w2") for draft in drafts if " " in draft)


def test_the_final_pass_is_made_in_the_pause_and_used_when_nothing_follows(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> tuple[int, Transcript]:
        utterance = Utterance(recognizer)
        await fed(utterance, say(1, 2, 3, 0))
        utterance.pause()
        await eventually(lambda: reader.calls)
        made = len(reader.calls)
        await fed(utterance, say(0, 0))
        return made, await utterance.finish()

    made, transcript = run(recognizers, test)
    assert transcript.text == "w1 w2 w3"
    assert made == len(reader.calls) == 1


def test_a_pause_that_was_none_costs_a_pass_and_nothing_else(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        await fed(utterance, say(1, 2, 0))
        utterance.pause()
        await fed(utterance, say(3, 4))
        return await utterance.finish()

    assert run(recognizers, test).text == "w1 w2 w3 w4"
    assert len(reader.calls) == 2


def test_long_speech_becomes_final_window_by_window(recognizers: LiveRecognizers, say: Say) -> None:
    windows: list[tuple[str, bool]] = []
    deltas: list[str] = []

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer, deltas.append, on_window=lambda part, last, _until: windows.append((part.text, last)))
        for _ in range(6):
            await fed(utterance, say(1, 2, 3, 4, 5, 0))
        assert len(windows) >= 2
        return await utterance.finish()

    transcript = run(recognizers, test)
    # A cut may fall into a word of this sound, and then both windows hear it.
    assert transcript.text.replace("w", "").split()[:5] == ["1", "2", "3", "4", "5"]
    assert transcript.text == "".join(deltas) == " ".join(text for text, _ in windows)
    assert [last for _, last in windows] == [False] * (len(windows) - 1) + [True]
    assert [segment.start for segment in transcript.segments] == sorted(segment.start for segment in transcript.segments)


def test_no_sound_is_no_text(recognizers: LiveRecognizers, reader: Any) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        return await Utterance(recognizer).finish()

    assert run(recognizers, test).text == ""
    assert reader.calls == []


def test_silence_is_no_text(recognizers: LiveRecognizers, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        utterance.feed(say(0, 0, 0))
        return await utterance.finish()

    assert run(recognizers, test).text == ""


def test_a_runner_that_dies_in_the_final_pass_costs_time_and_no_text(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        await fed(utterance, say(1, 2, 3))
        reader.deaths = 2
        return await utterance.finish()

    assert run(recognizers, test).text == "w1 w2 w3"


def test_what_the_runner_answers_is_raised_by_finish(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        reader.broken = True
        utterance = Utterance(recognizer, lambda _: None)
        await fed(utterance, say(1, 2, 3))
        with pytest.raises(BackendFailed):
            await utterance.finish()

    run(recognizers, test)


def test_a_window_that_fails_is_known_before_the_end(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        reader.broken = True
        utterance = Utterance(recognizer)
        for _ in range(5):
            await fed(utterance, say(1, 2, 3, 4, 0))
        assert utterance.has_failed
        await utterance.room()
        utterance.feed(say(1))
        with pytest.raises(BackendFailed):
            await utterance.finish()

    run(recognizers, test)


def test_nothing_is_given_out_after_a_cancel(recognizers: LiveRecognizers, say: Say) -> None:
    deltas: list[str] = []

    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, deltas.append)
        await fed(utterance, say(1, 2, 3, 4, 5, 6))
        utterance.cancel()
        count = len(deltas)
        utterance.feed(say(7, 8))
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        assert len(deltas) == count

    run(recognizers, test)


def test_who_feeds_too_fast_is_made_to_wait_and_memory_stays_bounded(recognizers: LiveRecognizers, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> str:
        utterance = Utterance(recognizer)
        most = 0
        for _ in range(100):
            await utterance.room()
            utterance.feed(say(1, 2, 3, 4, 5, 6, 0, 0))
            most = max(most, utterance._samples)
        assert most <= MAX_WAITING + 8 * 8000
        assert len(utterance._windows) <= MAX_WINDOWS + 8
        return (await utterance.finish()).text

    text = run(recognizers, test)
    assert text.split().count("w3") >= 95


def test_a_partial_pass_is_left_out_while_the_runner_is_busy(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        recognizer._handle.traffic.passes = 2
        utterance = Utterance(recognizer, lambda _: None)
        await fed(utterance, say(1, 2, 3, 4, 5, 6))
        assert reader.drafts == 0
        assert (await utterance.finish()).text == "w1 w2 w3 w4 w5 w6"

    run(recognizers, test)


def test_an_unknown_model_and_language_are_refused_by_name(recognizers: LiveRecognizers) -> None:
    async def ask(model: str, language: str | None) -> None:
        await recognizers.recognizer(model, TranscribeOptions(language=language))

    with pytest.raises(UnknownModel) as unknown:
        asyncio.run(ask("nobody", None))
    assert unknown.value.param == "model"
    for language in ("fr", "klingon"):
        with pytest.raises(UnsupportedLanguage) as refused:
            asyncio.run(ask("reader", language))
        assert refused.value.param == "language"
    asyncio.run(ask("reader", "en-US"))


def test_windows_that_are_done_at_the_same_time_do_not_end_the_work(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    """A runner decodes the windows of one batch together: when all of them are done at once, more audio is still waiting."""
    reader.together = MAX_WINDOWS

    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        utterance.feed(say(*[1, 2, 3, 4, 5, 6, 7, 8, 9] * 8))
        return await utterance.finish()

    words = run(recognizers, test).text.split()
    assert reader.most_at_once == MAX_WINDOWS
    assert words == [f"w{level}" for level in range(1, 10)] * 8


def test_a_huge_piece_at_once_is_heard_whole(recognizers: LiveRecognizers, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> Transcript:
        utterance = Utterance(recognizer)
        samples = np.concatenate([say(1, 2, 3, 4, 0, 0).samples] * 20)
        utterance.feed(Audio(samples, 16_000))
        return await utterance.finish()

    transcript = run(recognizers, test)
    assert transcript.info.duration == 60
    assert transcript.text.split().count("w2") >= 19


def test_who_is_listened_to_is_under_way_and_waits_only_for_the_final_text(
    recognizers: LiveRecognizers, admission: Admission, say: Say
) -> None:
    line = admission.lines["reader"]

    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, lambda _: None)
        await fed(utterance, say(1, 2, 3, 4))
        assert (line.under_way, line.waiting, line.live) == (1, 0, 0)
        admission.close()  # who was let in is heard to the end
        assert (await utterance.finish()).text == "w1 w2 w3 w4"
        assert (line.under_way, line.waiting, line.live) == (0, 0, 0)
        assert line.pace_s > 0, "the final pass tells how fast the line moves"

    run(recognizers, test)


def test_a_cancelled_utterance_is_not_waited_for(recognizers: LiveRecognizers, admission: Admission, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer)
        await fed(utterance, say(1, 2))
        utterance.pause()
        await asyncio.sleep(0)
        utterance.cancel()
        assert await admission.finish(1)
        assert admission.lines["reader"].waiting == 0

    run(recognizers, test)


def test_nobody_new_is_listened_to_by_a_server_that_stops_or_has_too_many(
    recognizers: LiveRecognizers, admission: Admission, say: Say
) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        with ExitStack() as line:
            for _ in range(4):
                line.enter_context(admission.ticket("reader", live=True))
            utterance = Utterance(recognizer)
            await fed(utterance, say(1))
            assert utterance.has_failed
            with pytest.raises(Overloaded):
                await utterance.finish()
        admission.close()
        with pytest.raises(Stopping):
            await Utterance(recognizer).finish()

    run(recognizers, test)


def test_no_partial_pass_is_begun_with_the_last_sound(recognizers: LiveRecognizers, reader: Any, say: Say) -> None:
    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, lambda _: None)
        utterance.feed(say(1, 2, 3, 4))
        utterance.end()
        await asyncio.sleep(0.05)  # the text is waited for later, by another task
        assert (await utterance.finish()).text == "w1 w2 w3 w4"
        assert (len(reader.calls), reader.drafts) == (1, 0)

    run(recognizers, test)


def test_an_utterance_that_is_too_long_is_over_and_says_so(runners: dict[str, RunnerClient], admission: Admission, say: Say) -> None:
    entry = ModelEntry("reader", "reader", Task.STT, "MIT", ("en",))
    registry = Registry([READER], [entry], {"reader": "process"}, Defaults("reader", "", ""))
    recognizers = LiveRecognizers(registry, runners, _no_detector, None, admission, longest_s=3)

    async def test(recognizer: LiveRecognizer) -> None:
        utterance = Utterance(recognizer, lambda _: None)
        await fed(utterance, say(1, 2, 3, 4, 5, 6))
        assert not utterance.has_failed
        await fed(utterance, say(7))
        assert utterance.has_failed
        with pytest.raises(AudioTooLong) as refused:
            await utterance.finish()
        assert refused.value.param == "audio"
        assert await admission.finish(1)

    run(recognizers, test)
