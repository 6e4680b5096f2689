"""The requirements of every synthesizer, with any engine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from open_speech.audio import Audio, concat
from open_speech.backends import SpeechOptions, Synthesizer
from open_speech.testing.row import CatalogRow, Row


def say(backend: Synthesizer, text: str, options: SpeechOptions) -> Audio:
    """Return the whole audio of a text."""
    parts = list(backend.synthesize(text, options))
    return concat(parts, parts[0].rate)


class SynthesizerConformance(CatalogRow):
    """The tests of a backend with `synthesize`. For a voice that does not speak English, set the texts, too."""

    sentence: ClassVar[str] = "The birch canoe slid on the smooth planks."
    """A sentence whose audio has between 1 and 8 seconds."""
    more: ClassVar[tuple[str, ...]] = (
        "Her purse was full of useless trash, and nobody knew why.",
        "The hogs were fed chopped corn and garbage!",
    )
    """Sentences to continue after `sentence`."""
    short: ClassVar[str] = "Go on."
    word: ClassVar[str] = "Piano."
    """A word that the voices of every language of the model can speak."""
    speech: ClassVar[bool] = True
    """Whether the generated audio is speech: without what is not read aloud, and with a quiet start and end."""
    left_out: ClassVar[tuple[str, ...]] = ()
    """Language codes whose voices are not tested because they require additional packages."""

    @pytest.fixture
    def options(self, row: Row) -> SpeechOptions:
        """The default voice at its own speed."""
        return SpeechOptions(row.model.default_voice)

    def test_its_own_language_may_be_named(self, backend: Synthesizer, row: Row, options: SpeechOptions) -> None:
        """The language of the voice is accepted, as its tag and without the region: `en-US` and `en`."""
        voice = next(voice for voice in row.model.voices if voice.id == row.model.default_voice)
        for language in (voice.language, voice.language.partition("-")[0]):
            assert next(iter(backend.synthesize(self.sentence, replace(options, language=language)))).seconds > 0

    def test_a_sentence_is_clean_mono_audio_at_the_rate_of_the_row(self, backend: Synthesizer, row: Row, options: SpeechOptions) -> None:
        """Audio is float32 of shape (n,), finite, in [-1, 1], at `sample_rate`, neither silent nor of an absurd length."""
        for part in backend.synthesize(self.sentence, options):
            assert part.rate == row.model.sample_rate
            assert part.samples.dtype == np.float32
            assert part.samples.ndim == 1
            assert np.isfinite(part.samples).all()
            assert np.abs(part.samples).max() <= 1.0
        audio = say(backend, self.sentence, options)
        assert 1.0 < audio.seconds < 8.0
        assert np.sqrt(np.mean(audio.samples**2)) > 0.01

    def test_no_part_begins_or_ends_with_a_click(self, backend: Synthesizer, options: SpeechOptions, row: Row) -> None:
        """The first and the last sample of each part are below 0.02: parts of one text may have silence between them."""
        self._needs_speech(row)
        for part in backend.synthesize(f"{self.sentence} {self.sentence}", options):
            assert abs(part.samples[0]) < 0.02
            assert abs(part.samples[-1]) < 0.02

    def test_every_word_of_a_long_text_is_spoken(self, backend: Synthesizer, options: SpeechOptions) -> None:
        """A text of 1500 characters takes as long as its sentences by themselves, within 12 %: nothing is cut off."""
        short = " ".join((self.sentence, *self.more))
        times = 1500 // len(short) + 1
        expected = say(backend, short, options).seconds * times
        assert say(backend, " ".join([short] * times), options).seconds == pytest.approx(expected, rel=0.12)

    def test_longer_text_takes_longer(self, backend: Synthesizer, options: SpeechOptions) -> None:
        """Three sentences take about three times as long as one."""
        one, three = say(backend, self.sentence, options).seconds, say(backend, " ".join([self.sentence] * 3), options).seconds
        assert 2.2 * one < three < 3.8 * one

    def test_twice_the_speed_is_about_half_as_long(self, backend: Synthesizer, row: Row, options: SpeechOptions) -> None:
        """Speeds of 0.5 and 2.0 take about twice and half the time; not tested for an engine with one speed, whose audio is stretched."""
        self._needs_speeds(row)
        plain, fast, slow = (say(backend, self.sentence, replace(options, speed=speed)).seconds for speed in (1.0, 2.0, 0.5))
        assert 0.4 * plain < fast < 0.65 * plain
        assert 1.6 * plain < slow < 2.4 * plain

    def test_both_ends_of_its_speed_range_are_spoken(self, backend: Synthesizer, row: Row, options: SpeechOptions) -> None:
        """Both ends of `speed_range` are accepted, and the faster one is shorter."""
        self._needs_speeds(row)
        slow, fast = (say(backend, self.short, replace(options, speed=speed)).seconds for speed in row.backend.speed_range)
        assert fast < slow

    def test_two_threads_get_what_one_gets(self, backend: Synthesizer, options: SpeechOptions) -> None:
        """Calls from two threads at once do not mix: each has the length that it has alone."""
        texts = [self.sentence, self.short] * 2
        alone = [say(backend, text, options).seconds for text in texts]
        with ThreadPoolExecutor(2) as pool:
            together = [audio.seconds for audio in pool.map(lambda text: say(backend, text, options), texts)]
        assert together == pytest.approx(alone, rel=0.2)  # the length is slightly random with some engines

    def test_a_caller_may_leave_after_the_first_part(self, backend: Synthesizer, options: SpeechOptions) -> None:
        """The iterator can be closed after its first part, and the backend speaks on for others."""
        parts = backend.synthesize(" ".join((self.sentence, *self.more)), options)
        next(parts)
        parts.close()  # type: ignore[attr-defined]  # a generator, which the server closes when a client leaves
        assert next(parts, None) is None
        assert say(backend, self.short, options).seconds > 0

    def test_every_voice_of_the_row_speaks(self, backend: Synthesizer, row: Row) -> None:
        """Each voice of the row says a word."""
        for voice in row.model.voices:
            if voice.language.partition("-")[0] not in self.left_out:
                assert say(backend, self.word, SpeechOptions(voice.id)).seconds > 0.1

    def _needs_speech(self, row: Row) -> None:
        if not self.speech:
            pytest.skip(f"{row.model.id} makes audio that is no speech")

    def _needs_speeds(self, row: Row) -> None:
        if row.backend.speed_range == (1.0, 1.0):
            pytest.skip(f"{row.backend.name} speaks at its own speed only; the engine stretches its audio")
