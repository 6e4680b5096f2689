"""Further requirements of a recognizer that accepts windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.backends import STT_RATE, TranscribeOptions, Window, WindowResult, WindowTranscriber
from open_speech.codecs import decode
from open_speech.testing.clips import speech_clips
from open_speech.testing.row import CatalogRow, Row
from open_speech.testing.words import word_errors, words

CUTS = ((0.0, 3.0), (3.0, 6.0), (6.0, 9.9))
"""Start and end of the windows in the clip `beckett`, in seconds."""


class WindowTranscriberConformance(CatalogRow):
    """The tests of `transcribe_windows`, for a backend whose entry has `batch` > 0. For a model without English, override `windows`."""

    language: ClassVar[str] = "en"
    texts: ClassVar[tuple[str, ...]] = ("ever tried ever failed", "no matter try again", "fail again fail better")
    """The words of the windows."""

    @pytest.fixture
    def windows(self, row: Row, models_dir: Path) -> list[Window]:
        """Three windows of speech, with the words of `texts`."""
        if not row.backend.batch:
            pytest.skip(f"{row.backend.name} takes whole files")
        whole = decode(speech_clips(models_dir)["beckett"], STT_RATE, max_seconds=60)
        cuts = [Audio(whole.samples[round(start * STT_RATE) : round(end * STT_RATE)], STT_RATE) for start, end in CUTS]
        return [Window(cut, TranscribeOptions(language=self.language)) for cut in cuts]

    def test_windows_come_back_in_order_each_with_its_own_words(self, backend: WindowTranscriber, windows: list[Window]) -> None:
        """There is one result for each window, in order, with the words of that window."""
        found = [_text(result) for result in backend.transcribe_windows(windows)]
        assert len(found) == len(self.texts)
        assert word_errors(" ".join(self.texts), " ".join(found)) <= 0.2
        assert all(set(words(text)) & set(words(expected)) for text, expected in zip(found, self.texts, strict=True))

    def test_times_count_from_the_start_of_the_window(self, backend: WindowTranscriber, windows: list[Window]) -> None:
        """Times count from the start of the window and stay in it."""
        for window, result in zip(windows, backend.transcribe_windows(windows), strict=True):
            assert isinstance(result, WindowResult)
            assert result.language == self.language
            for segment in result.segments:
                assert 0 <= segment.start <= segment.end <= window.audio.seconds + 0.05

    def test_silence_does_not_touch_other_windows(self, backend: WindowTranscriber, windows: list[Window]) -> None:
        """A window of silence has no segments, and the other one its words."""
        silent = replace(windows[1], audio=Audio(np.zeros(2 * STT_RATE, np.float32), STT_RATE))
        nothing, good = backend.transcribe_windows([silent, windows[2]])
        assert _text(nothing) == ""
        assert set(words(_text(good))) & set(words(self.texts[2]))

    def test_no_windows_are_no_results(self, backend: WindowTranscriber, windows: list[Window]) -> None:
        """An empty call has no results."""
        assert windows
        assert backend.transcribe_windows([]) == []


def _text(result: object) -> str:
    assert isinstance(result, WindowResult)
    return "".join(segment.text for segment in result.segments)
