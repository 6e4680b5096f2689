import numpy as np
import pytest

from open_speech.audio import Audio
from open_speech.codecs import blocks, wav_bytes
from open_speech.codecs.blocks import Flow, collect
from open_speech.errors import AudioTooLong, InvalidAudio


def give(flow: Flow, samples: int, rate: int) -> Audio:
    flow.expect(samples, rate)
    return flow.feed(Audio(np.ones(samples, np.float32), rate))


def test_blocks_at_several_rates_become_one_stream_of_the_same_length() -> None:
    flow = Flow(16_000, max_seconds=10)
    pieces = [give(flow, 8_000, 8_000), give(flow, 44_100, 44_100), give(flow, 16_000, 16_000), flow.flush()]
    audio = collect(pieces, 16_000)
    assert audio.rate == 16_000
    assert len(audio.samples) == pytest.approx(3 * 16_000, abs=3)


def test_a_long_stream_keeps_every_sample() -> None:
    pieces = [Audio(np.full(1000, n, np.float32), 1000) for n in range(200)]
    assert np.array_equal(collect(pieces, 1000).samples, np.repeat(np.arange(200, dtype=np.float32), 1000))


def test_the_limit_is_met_before_the_memory_is_spent() -> None:
    flow = Flow(16_000, max_seconds=2)
    flow.expect(16_000, 16_000)
    with pytest.raises(AudioTooLong):
        flow.expect(8_001, 8_000)


@pytest.mark.parametrize("rate", [0, 1, 999, 2_000_000_000])
def test_a_rate_that_no_file_has_is_refused(rate: int) -> None:
    with pytest.raises(InvalidAudio):
        Flow(16_000, max_seconds=2).expect(1, rate)


def test_nothing_in_is_nothing_out() -> None:
    assert len(Flow(16_000, max_seconds=2).flush().samples) == 0
    assert len(collect([], 16_000).samples) == 0


def test_a_long_file_comes_in_pieces_and_none_is_long() -> None:
    file = wav_bytes(Audio(np.zeros(8000 * 120, np.float32), 8000))
    pieces = [piece.seconds for piece in blocks(file, 16_000, max_seconds=200)]
    assert sum(pieces) == pytest.approx(120, abs=0.01)
    assert max(pieces) <= 31


def test_the_limit_holds_in_the_middle_of_a_stream_too() -> None:
    file = wav_bytes(Audio(np.zeros(8000 * 120, np.float32), 8000))
    with pytest.raises(AudioTooLong):
        list(blocks(file, 16_000, max_seconds=60))
