import io
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs import decode, decode_pcm16, encoder, wav_bytes
from open_speech.codecs.media import UNKNOWN_FORMAT
from open_speech.errors import AudioTooLong, InvalidAudio
from tests.growth import assert_costs_at_most

RATE = 16_000


def written(format, audio: Audio) -> bytes:
    file = encoder(format, audio.rate)
    return file.encode(audio) + file.finish()


def loudness(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def wav_of(data: bytes, *, tag: int, bits: int, rate: int, channels: int = 1) -> bytes:
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("flac", "flac", 44_100), ("ipod", "aac", 44_100), ("mp3", "libmp3lame", 22_050), ("mp4", "aac", 48_000),
        ("mpeg", "mp2", 44_100), ("mp2", "mp2", 24_000), ("ogg", "libopus", 48_000), ("oga", "libopus", 16_000),
        ("wav", "pcm_s16le", 11_025), ("wav", "pcm_s24le", 48_000), ("wav", "pcm_f32le", 48_000), ("wav", "pcm_u8", 8_000),
        ("wav", "pcm_mulaw", 8_000), ("wav", "pcm_alaw", 8_000), ("webm", "libopus", 48_000), ("adts", "aac", 24_000),
        ("mpegts", "aac", 44_100), ("mov", "alac", 44_100), ("matroska", "pcm_f32le", 96_000),
    ],
)  # fmt: skip
def test_every_upload_format_decodes_to_the_sound_that_went_in(tone, media, container, codec, rate) -> None:
    original = tone(2.0, rate)
    audio = decode(media(container, codec, original.samples[np.newaxis], rate), RATE, max_seconds=10)
    assert audio.rate == RATE
    assert audio.samples.dtype == np.float32
    assert audio.seconds == pytest.approx(2.0, abs=0.13)
    assert loudness(audio.samples[RATE // 2 : RATE]) == pytest.approx(loudness(original.samples), rel=0.05)


def test_a_path_and_its_bytes_give_the_same_samples(tone, tmp_path: Path) -> None:
    for format in ("mp3", "wav", "flac"):
        file = tmp_path / f"upload.{format}"
        file.write_bytes(written(format, tone(1.0, 24_000)))
        np.testing.assert_array_equal(decode(file, RATE, max_seconds=9).samples, decode(file.read_bytes(), RATE, max_seconds=9).samples)


def test_a_16_bit_wav_at_the_wanted_rate_comes_back_bit_by_bit(tone) -> None:
    original = tone(1.5, RATE)
    assert to_pcm16(decode(wav_bytes(original), RATE, max_seconds=9)) == to_pcm16(original)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_short_way_for_pcm_wav_agrees_with_ffmpeg(tone, media, channels: int) -> None:
    left = tone(1.0, 44_100).samples
    sound = np.stack([left, left[::-1]][:channels])
    layout = "mono" if channels == 1 else "stereo"
    short = decode(media("wav", "pcm_s16le", sound, 44_100, layout=layout), RATE, max_seconds=9)
    through_ffmpeg = decode(media("matroska", "pcm_s16le", sound, 44_100, layout=layout), RATE, max_seconds=9)
    np.testing.assert_allclose(short.samples, through_ffmpeg.samples, atol=1e-5)


def test_a_wav_stream_of_unknown_length_and_one_cut_short_give_what_is_there(tone) -> None:
    audio = tone(1.0, RATE)
    assert decode(written("wav", audio), RATE, max_seconds=9).seconds == 1.0
    assert decode(wav_bytes(audio)[: 44 + RATE + 1], RATE, max_seconds=9).seconds == 0.5


def test_chunks_before_and_after_the_samples_of_a_wav_are_not_sound(tone) -> None:
    whole = wav_bytes(tone(0.5, RATE))
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert len(decode(whole[:12] + extra + whole[12:] + extra, RATE, max_seconds=9).samples) == RATE // 2


def test_stereo_is_the_mean_of_both_channels(tone, media) -> None:
    left = tone(1.0, RATE).samples
    audio = decode(media("flac", "flac", np.stack([left, left[::-1]]), RATE, layout="stereo"), RATE, max_seconds=9)
    np.testing.assert_allclose(audio.samples, (left + left[::-1]) / 2, atol=1e-3)


def test_surround_keeps_the_centre_and_drops_the_subwoofer(tone, media) -> None:
    sound = tone(1.0, 48_000).samples
    faint = 0.02 * sound[::-1]

    def heard(speaker: int) -> float:
        channels = np.stack([sound if n == speaker else faint for n in range(6)])
        return loudness(decode(media("flac", "flac", channels, 48_000, layout="5.1"), RATE, max_seconds=9).samples)

    front_left, front_right, centre, subwoofer, side_left, side_right = (heard(n) for n in range(6))
    assert subwoofer < 0.2 * side_left
    assert centre > front_left > side_left > 0
    assert front_left == pytest.approx(front_right, rel=1e-3)
    assert side_left == pytest.approx(side_right, rel=1e-3)
    everything = decode(media("flac", "flac", np.stack([sound] * 6), 48_000, layout="5.1"), RATE, max_seconds=9)
    assert loudness(everything.samples) == pytest.approx(loudness(sound), rel=0.02)


def test_a_video_is_heard_and_not_seen(tone, media) -> None:
    for container in ("mp4", "matroska"):
        film = media(container, "aac", tone(2.0, 44_100).samples[np.newaxis], 44_100, video=True)
        assert decode(film, RATE, max_seconds=9).seconds == pytest.approx(2.0, abs=0.1)


def test_a_live_webm_without_a_duration_decodes(tone, media) -> None:
    recording = media("webm", "libopus", tone(2.0, 48_000).samples[np.newaxis], 48_000, seekable=False)
    assert av.open(io.BytesIO(recording)).duration is None
    assert decode(recording, RATE, max_seconds=9).seconds == pytest.approx(2.0, abs=0.05)
    with pytest.raises(AudioTooLong):
        decode(recording, RATE, max_seconds=1.5)


@pytest.mark.parametrize(("tag", "bits", "dtype"), [(3, 32, "<f4"), (3, 64, "<f8")])
def test_broken_float_samples_become_silence_and_loud_ones_are_clipped(tag: int, bits: int, dtype: str) -> None:
    samples = np.resize([0.25, -0.25], RATE)
    samples[[10, 20, 30]] = np.nan, np.inf, -np.inf
    samples[40] = 1e30
    audio = decode(wav_of(samples.astype(dtype).tobytes(), tag=tag, bits=bits, rate=RATE), RATE, max_seconds=9)
    assert audio.samples[[10, 20, 30, 40]].tolist() == [0, 0, 0, 1]
    assert audio.samples[50:].tolist() == samples[50:].tolist()


@pytest.mark.parametrize("format", ["mp3", "flac", "opus", "aac"])
def test_the_first_half_of_a_truncated_file_is_heard(tone, format) -> None:
    whole = written(format, tone(4.0, 24_000))
    assert decode(whole[: len(whole) // 2], RATE, max_seconds=9).seconds == pytest.approx(2.0, abs=0.7)


def test_the_first_half_of_a_truncated_webm_is_heard(tone, media) -> None:
    whole = media("webm", "libopus", tone(4.0, 48_000).samples[np.newaxis], 48_000)
    assert decode(whole[: len(whole) // 2], RATE, max_seconds=9).seconds == pytest.approx(2.0, abs=0.5)


def test_damage_in_the_middle_costs_only_the_damaged_part(tone) -> None:
    for format in ("mp3", "opus"):
        damaged = bytearray(written(format, tone(4.0, 24_000)))
        middle = len(damaged) // 2
        damaged[middle : middle + 500] = bytes(500)
        assert 3.0 < decode(bytes(damaged), RATE, max_seconds=9).seconds < 4.3


def test_a_file_that_ends_within_its_header_is_not_audio(tone, media) -> None:
    whole = media("webm", "libopus", tone(1.0, 48_000).samples[np.newaxis], 48_000)
    for length in (1, 8, 40, 120):
        with pytest.raises(InvalidAudio):
            decode(whole[:length], RATE, max_seconds=9)


PLAYLISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '%s'\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=%s\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    "dash": b'<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"><BaseURL>%s</BaseURL></MPD>',
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\n%s\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_file_that_points_to_another_file_is_refused(tone, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "private.wav"
    target.write_bytes(wav_bytes(tone(1.0, RATE)))
    playlist = tmp_path / "upload.m3u8"
    playlist.write_bytes(PLAYLISTS[kind] % str(target).encode())
    for source in (playlist, playlist.read_bytes()):
        with pytest.raises(InvalidAudio) as refused:
            decode(source, RATE, max_seconds=9)
        assert str(refused.value) == UNKNOWN_FORMAT


@pytest.mark.parametrize(
    "data",
    [
        b"This is a letter, not a sound. " * 50, b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500), bytes(100_000), np.random.default_rng(1).bytes(100_000), b"PK\x03\x04" + bytes(500),
    ],
    ids=["text", "bare riff", "png", "jpeg", "zeros", "noise", "zip"],
)  # fmt: skip
def test_what_is_not_media_is_refused_in_openais_words(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "renamed.wav"
    file.write_bytes(data)
    for source in (data, file):
        with pytest.raises(InvalidAudio) as refused:
            decode(source, RATE, max_seconds=9)
        assert (str(refused.value), refused.value.param, refused.value.status) == (UNKNOWN_FORMAT, "file", 400)


def test_a_real_picture_and_a_film_without_sound_are_refused() -> None:
    for container, codec, pixels in (("image2pipe", "png", "rgb24"), ("gif", "gif", "rgb8"), ("mp4", "mpeg4", "yuv420p")):
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
            for _ in range(5):
                output.mux(stream.encode(av.VideoFrame(32, 32, pixels)))
            output.mux(stream.encode(None))
        with pytest.raises(InvalidAudio) as refused:
            decode(file.getvalue(), RATE, max_seconds=9)
        assert refused.value.param == "file"


def test_an_empty_file_and_a_file_without_a_sample_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp3"
    empty.touch()
    nothing = Audio(np.zeros(0, np.float32), RATE)
    for source in (b"", empty, wav_bytes(nothing), written("flac", nothing), written("opus", nothing), written("mp3", nothing)):
        with pytest.raises(InvalidAudio) as refused:
            decode(source, RATE, max_seconds=9)
        assert refused.value.param == "file"


@pytest.mark.parametrize("rate", [0, 1, 999, 2**31])
def test_a_sample_rate_that_no_recorder_has_is_refused(rate: int) -> None:
    header = bytearray(wav_bytes(Audio(np.zeros(500, np.float32), RATE)))
    header[24:28] = struct.pack("<I", rate)
    with pytest.raises(InvalidAudio):
        decode(bytes(header), RATE, max_seconds=1e9)


def test_ten_hours_of_silence_in_a_small_file_are_refused_at_once(long_silence) -> None:
    file, short = long_silence("ogg", hours=10), long_silence("ogg", hours=0.1)
    assert len(file) < 6_000_000

    def refuse() -> None:
        with pytest.raises(AudioTooLong) as refused:
            decode(file, RATE, max_seconds=14_400)
        assert refused.value.param == "file"

    # Decoding up to the limit would take forty times as long as the short file.
    assert_costs_at_most(5, refuse, lambda: decode(short, RATE, max_seconds=14_400))


def test_a_file_that_hides_its_length_is_refused_at_the_limit_and_costs_no_more_than_it(long_silence) -> None:
    file = long_silence("webm", hours=10, seekable=False)
    limit_s = 1200
    tracemalloc.start()
    try:
        with pytest.raises(AudioTooLong):
            decode(file, RATE, max_seconds=limit_s)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * limit_s * RATE * 4


def test_a_long_file_exists_once_in_memory(tone) -> None:
    minute = written("flac", tone(120.0, 24_000))
    tracemalloc.start()
    try:
        audio = decode(minute, RATE, max_seconds=600)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * audio.samples.nbytes


def test_exactly_the_limit_is_accepted_and_a_sample_more_is_not(tone) -> None:
    for format in ("wav", "flac"):
        assert decode(written(format, tone(1.0, RATE)), RATE, max_seconds=1.0).seconds == 1.0
        with pytest.raises(AudioTooLong):
            decode(written(format, tone(1.0 + 1 / RATE, RATE)), RATE, max_seconds=1.0)


def test_headerless_pcm_is_read_and_resampled(tone, tmp_path: Path) -> None:
    original = tone(1.0, RATE)
    file = tmp_path / "audio_file"
    file.write_bytes(to_pcm16(original))
    same = decode_pcm16(file, RATE, RATE, max_seconds=9)
    assert to_pcm16(same) == to_pcm16(original)
    assert decode_pcm16(file.read_bytes(), RATE, 8000, max_seconds=9).seconds == 1.0


def test_headerless_pcm_has_its_limits(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for source in (b"", empty, b"abc"):
        with pytest.raises(InvalidAudio):
            decode_pcm16(source, RATE, RATE, max_seconds=9)
    with pytest.raises(AudioTooLong):
        decode_pcm16(bytes(RATE * 4), RATE, RATE, max_seconds=1.9)
