import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech.audio import Audio
from open_speech.codecs import g711

LAWS = ("mulaw", "alaw")
ALL_CODES = np.arange(256, dtype=np.uint8)
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize("law", LAWS)
def test_code_to_sample_to_code_is_the_identity_but_for_mu_laws_minus_zero(law: g711.Law) -> None:
    expected = ALL_CODES.copy()
    if law == "mulaw":
        expected[0x7F] = 0xFF
    np.testing.assert_array_equal(g711.from_linear(g711.to_linear(ALL_CODES, law), law), expected)


@pytest.mark.parametrize(("law", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_all_codes_decode_as_ffmpeg_decodes_them(law: g711.Law, codec: str) -> None:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8000, "mono"
    (frame,) = context.decode(av.Packet(ALL_CODES.tobytes()))
    np.testing.assert_array_equal(g711.to_linear(ALL_CODES, law), frame.to_ndarray()[0])


@pytest.mark.parametrize(
    ("law", "sample", "code"),
    [
        # Decision values of G.711 tables 1 and 2, in 16-bit units: the first value of a segment, and the last one before it.
        ("mulaw", 0, 0xFF), ("mulaw", 3, 0xFF), ("mulaw", 4, 0xFE), ("mulaw", -1, 0x7F), ("mulaw", -4, 0x7F), ("mulaw", -5, 0x7E),
        ("mulaw", 123, 0xF0), ("mulaw", 124, 0xEF), ("mulaw", 379, 0xE0), ("mulaw", 380, 0xDF), ("mulaw", 16251, 0x90),
        ("mulaw", 16252, 0x8F), ("mulaw", 32767, 0x80), ("mulaw", -32768, 0x00),
        ("alaw", 0, 0xD5), ("alaw", 15, 0xD5), ("alaw", 16, 0xD4), ("alaw", -1, 0x55), ("alaw", -16, 0x55), ("alaw", -17, 0x54),
        ("alaw", 511, 0xDA ^ 0x10), ("alaw", 512, 0xF5), ("alaw", 16383, 0xBA), ("alaw", 16384, 0xA5), ("alaw", 32767, 0xAA),
        ("alaw", -32768, 0x2A),
    ],
)  # fmt: skip
def test_samples_at_the_edges_of_a_segment_take_the_code_of_the_standard(law: g711.Law, sample: int, code: int) -> None:
    assert g711.from_linear(np.array([sample], np.int16), law).tolist() == [code]


@pytest.mark.parametrize("law", LAWS)
def test_a_louder_sample_never_gets_a_quieter_code(law: g711.Law) -> None:
    assert (np.diff(g711.to_linear(g711.from_linear(ALL_SAMPLES, law), law).astype(int)) >= 0).all()


@pytest.mark.parametrize(("law", "smallest_step"), [("mulaw", 8), ("alaw", 16)])
def test_the_error_stays_within_a_step_of_the_samples_segment(law: g711.Law, smallest_step: int) -> None:
    decoded = g711.to_linear(g711.from_linear(ALL_SAMPLES, law), law).astype(int)
    error = np.abs(decoded - ALL_SAMPLES)
    assert (error <= np.maximum(smallest_step, np.abs(ALL_SAMPLES.astype(int)) / 20)).all()


@given(st.binary(max_size=400), st.sampled_from(LAWS))
def test_any_bytes_decode_and_encode_back(data: bytes, law: g711.Law) -> None:
    audio = g711.decode(data, law)
    assert (audio.rate, len(audio.samples)) == (8000, len(data))
    assert g711.encode(audio, law) == (data.replace(b"\x7f", b"\xff") if law == "mulaw" else data)


def test_floats_beyond_full_scale_take_the_outermost_code() -> None:
    loud = Audio(np.array([9.0, -9.0, np.nan], np.float32), 8000)
    assert g711.encode(loud, "mulaw") == b"\x80\x00\xff"
    assert g711.encode(loud, "alaw") == b"\xaa\x2a\xd5"
