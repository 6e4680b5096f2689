"""What every recogniser that takes windows must do: many at once, each with its own options and its own errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import jiwer
import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, ModelEntry, TranscribeOptions, Transcriber, Window, WindowResult, WindowTranscriber
from open_speech.codecs import decode
from open_speech.errors import InvalidRequest
from runners import catalog

BATCHES = {entry.name: entry.batch for entry in catalog.BACKENDS}
WINDOWS = ((0.0, 3.0), (3.0, 6.0), (6.0, 9.9))
SAID = ("ever tried ever failed", "no matter try again", "fail again fail better")
OPTIONS = TranscribeOptions(language="en")
_PLAIN = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.RemoveMultipleSpaces(), jiwer.Strip()])


@pytest.fixture
def windows(stt_entry: ModelEntry, speech_clips: dict[str, Path]) -> list[Window]:
    if not BATCHES[stt_entry.backend]:
        pytest.skip(f"{stt_entry.backend} takes whole files")
    whole = decode(speech_clips["beckett"], STT_RATE, max_seconds=60)
    cuts = [Audio(whole.samples[round(start * STT_RATE) : round(end * STT_RATE)], STT_RATE) for start, end in WINDOWS]
    return [Window(cut, OPTIONS) for cut in cuts]


def text(heard: object) -> str:
    assert isinstance(heard, WindowResult)
    return str(_PLAIN("".join(segment.text for segment in heard.segments)))


@pytest.mark.weights
def test_windows_come_back_in_order_each_with_its_own_words(stt: Transcriber, windows: list[Window]) -> None:
    found = [text(heard) for heard in cast(WindowTranscriber, stt).transcribe_windows(windows)]
    assert len(found) == len(SAID)
    assert jiwer.wer(list(SAID), found) <= 0.2


@pytest.mark.weights
def test_times_count_from_the_start_of_the_window_and_stay_in_it(stt: Transcriber, windows: list[Window]) -> None:
    for window, heard in zip(windows, cast(WindowTranscriber, stt).transcribe_windows(windows), strict=True):
        assert isinstance(heard, WindowResult)
        assert heard.language == "en"
        for segment in heard.segments:
            assert 0 <= segment.start <= segment.end <= window.audio.seconds + 0.05


@pytest.mark.weights
def test_what_is_wrong_with_one_window_and_silence_in_another_touch_no_third(stt: Transcriber, windows: list[Window]) -> None:
    wrong = replace(windows[0], options=replace(OPTIONS, language="xx"))
    silent = Window(Audio(np.zeros(2 * STT_RATE, np.float32), STT_RATE), OPTIONS)
    bad, nothing, good = cast(WindowTranscriber, stt).transcribe_windows([wrong, silent, windows[2]])
    assert isinstance(bad, InvalidRequest)
    assert bad.param == "language"
    assert text(nothing) == ""
    assert "again" in text(good)


@pytest.mark.weights
def test_no_windows_are_no_results(stt: Transcriber, windows: list[Window]) -> None:
    assert cast(WindowTranscriber, stt).transcribe_windows([]) == []
