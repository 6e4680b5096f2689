"""The requirements of every recognizer, with any engine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, TranscribeOptions, Transcriber, Vad
from open_speech.codecs import decode
from open_speech.languages import LANGUAGES
from open_speech.testing.clips import BECKETT, TWO_CITIES, speech_clips
from open_speech.testing.row import CatalogRow, Row
from open_speech.testing.words import ALLOWED_ERRORS, word_errors, words
from open_speech.transcript import Segment, Transcript, TranscriptInfo


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recording and its words."""

    audio: Audio
    """At STT_RATE."""
    text: str


def beckett(clips: dict[str, Path]) -> Spoken:
    """Return the short recording of the kit: 9.96 s."""
    return Spoken(decode(clips["beckett"], STT_RATE, max_seconds=60), BECKETT)


def two_cities(clips: dict[str, Path]) -> Spoken:
    """Return the long recording of the kit: 44.4 s."""
    return Spoken(decode(clips["two_cities"], STT_RATE, max_seconds=60), TWO_CITIES)


def transcribed(backend: Transcriber, audio: Audio, options: TranscribeOptions | None = None) -> Transcript:
    """Return the whole transcript of an audio, after the checks that every result must pass."""
    info, *segments = backend.transcribe(audio, options or TranscribeOptions())
    assert isinstance(info, TranscriptInfo), "the first item must be the TranscriptInfo"
    assert info.language in LANGUAGES
    assert 0 <= info.language_probability <= 1
    assert info.duration == pytest.approx(audio.seconds)
    for segment in segments:
        assert isinstance(segment, Segment)
    found = Transcript(info, tuple(segment for segment in segments if isinstance(segment, Segment)))
    times = [0.0, *(time for segment in found.segments for time in (segment.start, segment.end)), audio.seconds]
    assert all(map(math.isfinite, times))
    assert times == sorted(times), "segments must be in order of time, without overlap, within the audio"
    return found


class TranscriberConformance(CatalogRow):
    """The tests of a backend with `transcribe`. For a model without English, override `spoken` and `reading`, and set `language`."""

    language: ClassVar[str] = "en"
    """ISO-639-1 code of the recordings."""

    @pytest.fixture(scope="class")
    @classmethod
    def clips(cls, row: Row, models_dir: Path) -> dict[str, Path]:
        """The English recordings of the kit; skips the test if the model does not support English."""
        if "en" not in row.model.languages:
            pytest.skip(f"{row.model.id} knows no English")
        return speech_clips(models_dir)

    @pytest.fixture
    def spoken(self, clips: dict[str, Path]) -> Spoken:
        """A recording of a few seconds, and its words."""
        return beckett(clips)

    @pytest.fixture
    def reading(self, clips: dict[str, Path]) -> Spoken:
        """A recording that is longer than a window."""
        return two_cities(clips)

    @pytest.fixture
    def allowed(self) -> float:
        """The highest word error rate allowed on `spoken`."""
        return ALLOWED_ERRORS

    @pytest.fixture
    def allowed_reading(self) -> float:
        """The highest word error rate allowed on `reading`."""
        return 0.05

    @pytest.mark.parametrize("count", [0, 1, 2, 160, STT_RATE // 10])
    @pytest.mark.parametrize("value", [0.0, 0.3])
    def test_hardly_any_audio_does_not_fail(self, backend: Transcriber, count: int, value: float) -> None:
        """Audio of no samples, of one and of a tenth of a second is accepted, and its duration returned."""
        found = transcribed(backend, Audio(np.full(count, value, np.float32), STT_RATE))
        assert found.info.duration == count / STT_RATE

    @pytest.mark.parametrize("seconds", [0.1, 1.0, 5.0])
    @pytest.mark.parametrize("vad", [None, Vad()], ids=["whole", "vad"])
    def test_silence_gives_no_text(self, backend: Transcriber, seconds: float, vad: Vad | None) -> None:
        """Silence has no segments, with and without speech detection."""
        assert transcribed(backend, silence(seconds, STT_RATE), TranscribeOptions(vad=vad)).segments == ()

    @pytest.mark.parametrize("level", [0.001, 0.05])
    def test_noise_gives_no_text_with_vad(self, backend: Transcriber, level: float) -> None:
        """White noise has no segments with speech detection."""
        noise = np.random.default_rng(0).normal(0, level, 3 * STT_RATE).astype(np.float32)
        assert transcribed(backend, Audio(noise, STT_RATE), TranscribeOptions(vad=Vad())).segments == ()

    def test_the_words_of_a_recording_are_returned(self, backend: Transcriber, spoken: Spoken, allowed: float) -> None:
        """A recording has its words; its language was given, so the probability of the language is 1."""
        found = transcribed(backend, spoken.audio, TranscribeOptions(language=self.language))
        assert word_errors(spoken.text, found.text) <= allowed
        assert found.info.language_probability == 1.0

    def test_the_language_is_detected(self, backend: Transcriber, spoken: Spoken, allowed: float) -> None:
        """Without `language`, the language is detected and the words are returned."""
        found = transcribed(backend, spoken.audio)
        assert found.info.language == self.language
        assert word_errors(spoken.text, found.text) <= allowed

    def test_two_results_of_one_recording_are_alike(self, backend: Transcriber, spoken: Spoken) -> None:
        """With a temperature of 0 the same audio has the same result: no state is kept between calls."""
        options = TranscribeOptions(language=self.language, temperatures=(0.0,))
        assert transcribed(backend, spoken.audio, options) == transcribed(backend, spoken.audio, options)

    def test_word_times_never_go_back_and_stay_within_their_segment(self, backend: Transcriber, row: Row, spoken: Spoken) -> None:
        """With `word_times`, words have times in order within their segment, probabilities in [0, 1], and the words of the text."""
        if not row.model.word_times:
            pytest.skip(f"{row.model.id} returns no word times")
        found = transcribed(backend, spoken.audio, TranscribeOptions(language=self.language, word_times=True))
        assert words("".join(word.text for word in found.words)) == words(found.text)
        for segment in found.segments:
            times = [segment.start, *(time for word in segment.words for time in (word.start, word.end)), segment.end]
            assert times == sorted(times)
            assert all(0 <= word.probability <= 1 for word in segment.words)
        length = found.words[-1].end - found.words[0].start
        assert 0.5 * spoken.audio.seconds < length <= spoken.audio.seconds

    def test_without_a_request_for_them_there_are_no_word_times(self, backend: Transcriber, spoken: Spoken) -> None:
        """Without `word_times` there are no words."""
        assert transcribed(backend, spoken.audio).words == ()

    def test_silence_around_the_words_moves_their_times(self, backend: Transcriber, spoken: Spoken, allowed: float) -> None:
        """Times count from the start of the audio, with silence before and after the speech."""
        late = concat([silence(3.0, STT_RATE), spoken.audio, silence(2.0, STT_RATE)], STT_RATE)
        found = transcribed(backend, late, TranscribeOptions(language=self.language, vad=Vad()))
        assert word_errors(spoken.text, found.text) <= allowed
        assert found.segments[0].start >= 2.5
        assert found.segments[-1].end <= late.seconds - 1.5

    def test_a_translation_is_made(self, backend: Transcriber, row: Row, spoken: Spoken) -> None:
        """A model with `translates` translates, and says so; the server refuses the translation for other models."""
        if not row.model.translates:
            pytest.skip(f"{row.model.id} does not translate")
        options = TranscribeOptions(task="translate", temperatures=(0.0,))
        assert transcribed(backend, spoken.audio, options).info.task == "translate"

    def test_hints_never_break_the_text(self, backend: Transcriber, spoken: Spoken) -> None:
        """A prompt, hotwords and another beam size are used or ignored, and the words are still returned."""
        hints = TranscribeOptions(
            language=self.language, prompt="A few lines by Samuel Beckett.", hotwords="Beckett, fail, better", beam_size=1
        )
        assert word_errors(spoken.text, transcribed(backend, spoken.audio, hints).text) <= 0.2

    def test_a_caller_may_leave_at_any_point(self, backend: Transcriber, spoken: Spoken) -> None:
        """The iterator can be closed at any point, and the backend transcribes on for others."""
        options = TranscribeOptions(language=self.language)
        for taken in (0, 1, 2):
            items: Iterator[Any] = backend.transcribe(spoken.audio, options)
            assert len(list(itertools.islice(items, taken))) == taken
            close = getattr(items, "close", None)
            if close is not None:
                close()
        assert transcribed(backend, spoken.audio, options).text

    def test_calls_at_once_do_not_mix(self, backend: Transcriber, spoken: Spoken) -> None:
        """Calls from three threads at once have the results that they have alone."""
        options = TranscribeOptions(language=self.language, temperatures=(0.0,))
        alone = words(transcribed(backend, spoken.audio, options).text)
        quiet = silence(1.0, STT_RATE)
        with ThreadPoolExecutor(3) as pool:
            found = pool.map(lambda audio: transcribed(backend, audio, options).text, [spoken.audio, quiet, spoken.audio])
        assert [words(text) for text in found] == [alone, [], alone]

    def test_a_long_recording_is_transcribed_to_its_end(self, backend: Transcriber, reading: Spoken, allowed_reading: float) -> None:
        """A recording that is longer than a window has its words up to the end."""
        found = transcribed(backend, reading.audio)
        assert word_errors(reading.text, found.text) <= allowed_reading
        assert found.segments[-1].end > 0.9 * reading.audio.seconds
