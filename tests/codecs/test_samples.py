import numpy as np
import pytest

from open_speech.codecs.samples import clean, planar, weights


@pytest.mark.parametrize(
    "channels",
    [("FC",), ("FL", "FR"), ("FL", "FR", "FC", "LFE", "BL", "BR"), ("FL", "FR", "FC", "LFE", "SL", "SR", "BL", "BR"), ("LFE",), ("?", "?")],
)
def test_the_shares_of_all_channels_make_one(channels: tuple[str, ...]) -> None:
    assert weights(channels).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.uint8, 0, 255), (np.int16, -32768, 32767), (np.int32, -(2**31), 2**31 - 1), (np.float32, -1, 1), (np.float64, -1, 1)],
)
def test_full_scale_of_every_sample_format_is_one(dtype: type, low: float, high: float) -> None:
    mono = planar([np.array([[low, high]], dtype)], 1)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, [[-1, 1]], atol=0.01)


def test_interleaved_and_planar_frames_give_the_same_rows() -> None:
    rows = np.array([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]], np.float32)
    interleaved = np.ascontiguousarray(rows.T).reshape(1, -1)
    np.testing.assert_array_equal(planar([rows, rows], 2), np.concatenate([rows, rows], axis=1))
    np.testing.assert_array_equal(planar([interleaved, interleaved], 2), np.concatenate([rows, rows], axis=1))


def test_sound_without_fault_is_not_copied() -> None:
    good = np.array([-1, 0, 1], np.float32)
    assert clean(good) is good
    assert clean(np.array([np.nan, np.inf, -np.inf, 3, -3, 0.5], np.float32)).tolist() == [0, 0, 0, 1, -1, 0.5]
    assert clean(np.zeros(0, np.float32)).size == 0
