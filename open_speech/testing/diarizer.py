"""The requirements of every diarizer, with any engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, DiarizeOptions, Diarizer, Turn
from open_speech.codecs import decode
from open_speech.errors import OutOfRange
from open_speech.testing.clips import speech_clips
from open_speech.testing.row import CatalogRow


def turns_of(backend: Diarizer, audio: Audio, options: DiarizeOptions | None = None) -> list[Turn]:
    """Return the turns of an audio, after the checks that every result must pass."""
    turns = backend.diarize(audio, options or DiarizeOptions())
    times = [0.0, *(time for turn in turns for time in (turn.start, turn.end)), audio.seconds + 0.05]
    assert times == sorted(times), "turns must be in order of time, without overlap, within the audio"
    assert all(turn.end > turn.start and turn.speaker for turn in turns)
    return turns


class DiarizerConformance(CatalogRow):
    """The tests of a backend with `diarize`."""

    @pytest.fixture(scope="class")
    @classmethod
    def speech(cls, models_dir: Path) -> Audio:
        """A recording of one speaker, at STT_RATE."""
        return decode(speech_clips(models_dir)["beckett"], STT_RATE, max_seconds=60)

    @pytest.mark.parametrize("count", [0, 1, 160, STT_RATE // 5, STT_RATE])
    @pytest.mark.parametrize("value", [0.0, 0.3, 3.0])
    def test_hardly_any_audio_has_no_turns(self, backend: Diarizer, count: int, value: float) -> None:
        """Audio of up to a second without speech has no turns, whatever its level."""
        assert turns_of(backend, Audio(np.full(count, value, np.float32), STT_RATE)) == []

    def test_noise_has_no_turns(self, backend: Diarizer) -> None:
        """White noise has no turns."""
        noise = np.random.default_rng(0).normal(0, 0.02, 5 * STT_RATE).astype(np.float32)
        assert turns_of(backend, Audio(noise, STT_RATE)) == []

    def test_broken_samples_do_not_fail(self, backend: Diarizer, speech: Audio) -> None:
        """Samples beyond [-1, 1] and NaN are accepted."""
        broken = speech.samples * 4
        broken[::1000] = np.nan
        turns_of(backend, Audio(broken, STT_RATE))

    def test_one_voice_is_one_speaker_called_a(self, backend: Diarizer, speech: Audio) -> None:
        """A recording of one speaker has turns of the speaker `A` alone."""
        turns = turns_of(backend, speech)
        assert {turn.speaker for turn in turns} == {"A"}
        assert 0.3 * speech.seconds < sum(turn.end - turn.start for turn in turns) < speech.seconds

    def test_silence_before_the_speech_moves_its_turns(self, backend: Diarizer, speech: Audio) -> None:
        """Times count from the start of the audio."""
        plain = turns_of(backend, speech)
        late = turns_of(backend, concat([silence(3.0, STT_RATE), speech], STT_RATE))
        assert late[0].start == pytest.approx(plain[0].start + 3.0, abs=0.3)
        assert late[-1].end == pytest.approx(plain[-1].end + 3.0, abs=0.3)

    def test_a_known_voice_gets_its_name(self, backend: Diarizer, speech: Audio) -> None:
        """A speaker whose voice is among the references has the name of the reference."""
        half = len(speech.samples) // 2
        reference = Audio(speech.samples[half:], STT_RATE)
        turns = turns_of(backend, Audio(speech.samples[:half], STT_RATE), DiarizeOptions(references=(("Sam", reference),)))
        assert {turn.speaker for turn in turns} == {"Sam"}

    @pytest.mark.parametrize(("fewest", "most", "field"), [(0, None, "min_speakers"), (None, 0, "max_speakers"), (3, 2, "max_speakers")])
    def test_limits_that_cannot_be_kept_are_refused(
        self, backend: Diarizer, speech: Audio, fewest: int | None, most: int | None, field: str
    ) -> None:
        """Limits below 1, or a maximum below the minimum, raise OutOfRange with the name of the limit in `param`."""
        with pytest.raises(OutOfRange) as refused:
            backend.diarize(speech, DiarizeOptions(fewest, most))
        assert refused.value.param == field
