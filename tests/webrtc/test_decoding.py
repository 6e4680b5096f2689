from __future__ import annotations

import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec import CodecContext

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs import g711
from open_speech.webrtc import opus_library
from open_speech.webrtc.decoding import CONCEALED, ConcealingOpus, Decoder, FramesDecoder, LawDecoder, Samples, decoder_of
from open_speech.webrtc.frames import FRAME, RATE


def voice(seconds: float = 1.0) -> Samples:
    """A vowel with a pitch that moves."""
    at = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 2 * at)) / RATE
    return (0.2 * sum(np.sin(phase * k) / k for k in range(1, 12))).astype(np.float32)


def packets(sound: Samples, *, fec: bool) -> list[bytes]:
    encoder = CodecContext.create("libopus", "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.bit_rate, encoder.format, encoder.layout, encoder.sample_rate = 24_000, "s16", "mono", RATE
    encoder.options = {"application": "voip", "fec": str(int(fec)), "packet_loss": "20"}
    found = []
    for start in range(0, len(sound) - FRAME + 1, FRAME):
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(to_pcm16(Audio(sound[start : start + FRAME], RATE)))
        frame.sample_rate = RATE
        found += [bytes(packet) for packet in encoder.encode(frame)]
    return found


def received(decoder: Decoder, sent: list[bytes], lost: set[int]) -> Samples:
    parts: list[Samples] = []
    for number, packet in enumerate(sent):
        if number in lost:
            continue
        gap = next((back for back in range(number) if number - 1 - back not in lost), number)
        parts += [decoder.fill(gap * FRAME, packet)] if gap else []
        parts.append(decoder.decode(packet))
    return np.concatenate(parts)


def error_of(decoder: Decoder, fec: bool) -> float:
    """How far every fifth packet is from what it would have been, as a share of its level."""
    sent = packets(voice(), fec=fec)
    lost = set(range(9, len(sent) - 1, 5))
    whole, got = received(decoder_of("opus"), sent, set()), received(decoder, sent, lost)
    assert len(got) == len(whole)
    frames = [slice(number * FRAME, (number + 1) * FRAME) for number in lost]
    difference = np.concatenate([whole[part] - got[part] for part in frames])
    return float(np.sqrt(np.mean(difference**2) / np.mean(np.concatenate([whole[part] for part in frames]) ** 2)))


def libopus() -> ConcealingOpus:
    library = opus_library.load()
    if library is None:
        pytest.skip("this PyAV brings no libopus, and the system has none")
    return ConcealingOpus(opus_library.OpusDecoder(library))


def test_a_lost_packet_is_recovered_from_the_copy_in_the_next_one() -> None:
    recovered, concealed = error_of(libopus(), fec=True), error_of(libopus(), fec=False)
    assert recovered < 0.5 < concealed


def test_without_libopus_a_lost_packet_is_filled_by_our_own_concealment() -> None:
    assert error_of(FramesDecoder(), fec=False) < 1.2  # silence would be 1, and other audio 1.4


@pytest.mark.parametrize("make", [libopus, FramesDecoder])
def test_a_gap_of_any_length_has_that_length_and_ends_in_silence(make: type[FramesDecoder]) -> None:
    for count in (7, 120, 500, FRAME, 5 * FRAME, RATE):
        decoder = make()
        for packet in packets(voice(0.2), fec=False):
            decoder.decode(packet)
        filled = decoder.fill(count, None)
        assert len(filled) == count
        assert not filled[CONCEALED + FRAME :].any()


@pytest.mark.parametrize("make", [libopus, FramesDecoder])
@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xff" * 1400, bytes(range(256))])
def test_an_invalid_packet_is_no_error_and_the_next_one_is_decoded(make: type[FramesDecoder], payload: bytes) -> None:
    decoder, (good, *_) = make(), packets(voice(0.1), fec=False)
    decoder.decode(payload)
    decoder.fill(FRAME, payload)
    assert len(decoder.decode(good)) in (FRAME, FRAME - 312)  # FFmpeg skips the delay of the encoder at the beginning


@pytest.mark.parametrize(("codec", "law"), [("pcmu", "mulaw"), ("pcma", "alaw")])
def test_g711_is_decoded_at_its_rate(codec: str, law: g711.Law) -> None:
    decoder = decoder_of(codec)
    assert isinstance(decoder, LawDecoder)
    assert decoder.rate == 8000
    sound = np.sin(np.arange(160) / 8).astype(np.float32) / 2
    assert np.abs(decoder.decode(g711.encode(Audio(sound, 8000), law)) - sound).max() < 0.03
    assert len(decoder.fill(160, None)) == 160
