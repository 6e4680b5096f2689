import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.codecs.collect import Collector
from open_speech.errors import AudioTooLong, InvalidAudio


def feed(collector: Collector, samples: int, rate: int) -> None:
    collector.expect(samples, rate)
    collector.add(Audio(np.full(samples, 0.5, np.float32), rate))


def test_blocks_at_changing_rates_are_laid_end_to_end() -> None:
    collector = Collector(16_000, max_seconds=10)
    for rate in (16_000, 48_000, 44_100, 8_000):
        feed(collector, rate, rate)
    audio = collector.take()
    assert len(audio.samples) == pytest.approx(4 * 16_000, abs=4)
    assert np.median(audio.samples) == pytest.approx(0.5, abs=0.01)


def test_the_buffer_grows_beyond_its_first_size() -> None:
    collector = Collector(1000, max_seconds=500)
    for _ in range(400):
        feed(collector, 1000, 1000)
    assert collector.take().samples.tolist() == [0.5] * 400_000


def test_the_limit_is_checked_before_samples_cost_memory() -> None:
    collector = Collector(16_000, max_seconds=2)
    collector.expect(16_000, 8_000)
    with pytest.raises(AudioTooLong):
        collector.expect(1, 8_000)


def test_nothing_collected_is_not_audio() -> None:
    with pytest.raises(InvalidAudio):
        Collector(16_000, max_seconds=2).take()
