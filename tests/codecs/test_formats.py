"""Containers and codecs beyond those that every browser writes: each is written here, or was by an encoder that PyAV has not got."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from open_speech.audio import Audio, to_pcm16
from open_speech.codecs.decode import decode
from open_speech.codecs.formats import DECODERS, DEMUXERS, is_one_of
from open_speech.codecs.media import UNKNOWN_FORMAT
from open_speech.codecs.probe import stated_seconds
from open_speech.errors import InvalidAudio
from tests.codecs.timed import RATE, beeps, onsets, timed

DATA = Path(__file__).parent.parent / "data"
WRITTEN = [
    ("aiff", "pcm_s16be", 44_100), ("aiff", "pcm_s24be", 16_000), ("aiff", "pcm_mulaw", 8_000), ("aiff", "pcm_f32be", 16_000),
    ("caf", "pcm_s16le", 48_000), ("caf", "alac", 44_100), ("caf", "pcm_alaw", 8_000),
    ("au", "pcm_s16be", 16_000), ("au", "pcm_mulaw", 8_000), ("w64", "pcm_s16le", 44_100), ("w64", "pcm_f32le", 16_000),
    ("avi", "pcm_s16le", 16_000), ("avi", "libmp3lame", 44_100), ("avi", "ac3", 48_000), ("avi", "adpcm_ms", 22_050),
    ("asf", "wmav1", 44_100), ("asf", "wmav2", 44_100), ("asf", "libmp3lame", 44_100),
    ("amr", "libopencore_amrnb", 8_000), ("3g2", "libopencore_amrnb", 8_000), ("3gp", "aac", 16_000),
    ("flv", "libmp3lame", 44_100), ("flv", "nellymoser", 22_050), ("flv", "adpcm_swf", 44_100),
    ("tta", "tta", 44_100), ("wv", "wavpack", 44_100), ("matroska", "wavpack", 44_100), ("matroska", "tta", 44_100),
    ("mpeg", "mp2", 44_100), ("vob", "ac3", 48_000), ("vob", "pcm_dvd", 48_000), ("mpegts", "ac3", 48_000), ("matroska", "eac3", 48_000),
    ("ac3", "ac3", 48_000), ("eac3", "eac3", 48_000), ("matroska", "ac3", 48_000), ("mov", "adpcm_ima_qt", 44_100),
    ("wav", "adpcm_yamaha", 16_000), ("wav", "g722", 16_000), ("wav", "g726", 8_000), ("wav", "g723_1", 8_000),
    ("mov", "pcm_s24le", 48_000),
]  # fmt: skip
OURS = ["beep_dts.mka", "beep.dts", "beep_truehd.mka", "beep.spx", "beep.mpc", "beep_gsm.wav"]


@pytest.mark.parametrize(("container", "codec", "rate"), WRITTEN, ids=[f"{row[0]}-{row[1]}-{row[2]}" for row in WRITTEN])
def test_a_container_is_decoded_to_the_audio_that_went_in(container: str, codec: str, rate: int) -> None:
    audio = decode(timed(container, codec, beeps(3, rate), lambda _: 0.0), RATE, max_seconds=20)
    assert audio.seconds == pytest.approx(3.0, abs=0.13)
    assert onsets(audio) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)
    beep = audio.samples[round(0.57 * RATE) : round(0.63 * RATE)]
    assert np.abs(beep).max() == pytest.approx(0.5, rel=0.35)


@pytest.mark.parametrize("name", OURS)
def test_a_file_of_an_encoder_elsewhere_is_decoded(name: str) -> None:
    audio = decode(DATA / name, RATE, max_seconds=20)
    assert audio.seconds == pytest.approx(1.0, abs=0.05)
    assert onsets(audio) == pytest.approx([0.5], abs=0.06)


def wave64_of_64_bits(kind: bytes, audio: Audio) -> bytes:
    """A WAV file whose sizes are in a `ds64` chunk, as radio archives have them."""
    data = to_pcm16(audio)
    sizes = struct.pack("<QQQI", len(data) + 80, len(data), len(audio.samples), 0)
    fmt = struct.pack("<HHIIHH", 1, 1, audio.rate, 2 * audio.rate, 2, 16)
    chunks = b"ds64" + struct.pack("<I", len(sizes)) + sizes + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    return kind + b"\xff\xff\xff\xffWAVE" + chunks + b"data\xff\xff\xff\xff" + data


@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_wav_with_sizes_of_64_bits_is_decoded(kind: bytes) -> None:
    audio = decode(wave64_of_64_bits(kind, beeps(3)), RATE, max_seconds=20)
    assert (audio.seconds, onsets(audio)) == (3.0, pytest.approx([0.5, 1.5, 2.5], abs=0.02))


def test_material_exchange_files_are_decoded() -> None:
    audio = decode(material_exchange(beeps(3, 48_000)), RATE, max_seconds=20)
    assert onsets(audio) == pytest.approx([0.5, 1.5, 2.5], abs=0.06)


def material_exchange(audio: Audio) -> bytes:
    """An MXF file: it must have a video."""
    file = io.BytesIO()
    with av.open(file, "w", format="mxf") as output:
        picture = output.add_stream("mpeg2video", rate=25)
        picture.width, picture.height, picture.pix_fmt = 720, 576, "yuv420p"
        stream = output.add_stream("pcm_s16le", rate=audio.rate, layout="mono")
        for n in range(round(audio.seconds * 25)):
            image = av.VideoFrame(720, 576, "yuv420p")
            image.pts = n
            output.mux(picture.encode(image))
            first = n * audio.rate // 25
            data = np.rint(audio.samples[np.newaxis, first : first + audio.rate // 25] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data, "s16", "mono")
            frame.sample_rate, frame.pts = audio.rate, first
            output.mux(stream.encode(frame))
        output.mux(picture.encode(None))
        output.mux(stream.encode(None))
    return file.getvalue()


def wav_with_tag(tag: int) -> bytes:
    fmt = struct.pack("<HHIIHH", tag, 2, 44_100, 32_000, 304, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", 3040) + bytes(3040)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("tag", "named"), [(0x0270, "`atrac3`"), (0x1234, "0x1234"), (0x2048, "`sonic`"), (0x3333, "0x3333"), (0x0022, "`truespeech`")]
)
def test_a_codec_that_is_not_decoded_is_named(tag: int, named: str) -> None:
    with pytest.raises(InvalidAudio) as refused:
        decode(wav_with_tag(tag), RATE, max_seconds=20)
    assert named in str(refused.value)
    assert refused.value.param == "file"


def test_a_codec_without_a_decoder_in_a_film_is_named() -> None:
    film = bytearray(timed("mov", "pcm_s16le", beeps(1), lambda _: 0.0))
    at = film.index(b"sowt")
    film[at : at + 4] = b"ac-4"
    with pytest.raises(InvalidAudio) as refused:
        decode(bytes(film), RATE, max_seconds=20)
    assert "`ac4`" in str(refused.value)


def test_a_container_that_is_not_listed_is_refused_in_openais_words() -> None:
    with pytest.raises(InvalidAudio) as refused:
        decode(DATA / "beep.rm", RATE, max_seconds=20)
    assert str(refused.value) == UNKNOWN_FORMAT


def test_every_listed_name_is_one_of_ffmpegs() -> None:
    known = {part for name in av.formats_available for part in name.split(",")}
    assert [name for name in DEMUXERS if name not in known] == []
    missing = [name for name in DECODERS if name not in av.codecs_available]
    assert missing == []


@pytest.mark.parametrize(
    ("container", "codec"), [("aiff", "pcm_s16be"), ("caf", "pcm_s16le"), ("w64", "pcm_s16le"), ("tta", "tta"), ("asf", "wmav2")]
)
def test_these_containers_state_their_length(tmp_path: Path, container: str, codec: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(timed(container, codec, beeps(3, 44_100), lambda _: 0.0))
    assert stated_seconds(path) == pytest.approx(3, abs=0.2)


def test_ffmpegs_name_of_a_container_may_be_several() -> None:
    assert is_one_of("mov,mp4,m4a", ("mov",))
    assert is_one_of("matroska,webm", ("webm",))
    assert not is_one_of("mp3", ("mov", "mpegts"))
