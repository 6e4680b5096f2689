"""The built-in pair: what goes in as text comes out as the same text, whatever happens to the sound on the way."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_speech.audio import Audio, concat, resample, silence
from open_speech.backends import STT_RATE, ModelEntry, Setup, SpeechOptions, Task, TranscribeOptions
from open_speech.codecs import decode, encoder
from open_speech.config.types import AudioFormat
from open_speech.transcript import Segment, Transcript, TranscriptInfo
from runners.tones import TTS_RATE, TonesSynthesizer, TonesTranscriber
from tests.growth import assert_linear

SETUP = Setup(ModelEntry("tones", "tones", Task.TTS, "MIT", ("en",)), Path())
SPEAKER, LISTENER = TonesSynthesizer(SETUP), TonesTranscriber(SETUP)
TEXT = "The quick brown Fox jumps over 13 lazy Dogs; Grüße an Zoë! 日本語, עברית and 🎉  twice\na line."


def say(text: str, speed: float = 1.0) -> Audio:
    return concat(SPEAKER.synthesize(text, SpeechOptions("tone", speed)), TTS_RATE)


def transcribe_windows(audio: Audio, *, word_times: bool = False) -> Transcript:
    info, *segments = LISTENER.transcribe(resample(audio, STT_RATE), TranscribeOptions(word_times=word_times))
    assert isinstance(info, TranscriptInfo)
    assert all(isinstance(segment, Segment) for segment in segments)
    return Transcript(info, tuple(segment for segment in segments if isinstance(segment, Segment)))


def through_codec(audio: Audio, container: str, codec: str, rate: int, bits_per_second: int) -> Audio:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bits_per_second
        frame = av.AudioFrame.from_ndarray(audio.samples[None], format="flt", layout="mono")
        frame.sample_rate = audio.rate
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return decode(file.getvalue(), STT_RATE, max_seconds=600)


def with_pauses(pieces: Sequence[Audio], pauses: Sequence[float]) -> Audio:
    parts = [part for pause, piece in zip(pauses, pieces, strict=True) for part in (silence(pause, TTS_RATE), piece)]
    return concat([*parts, silence(0.5, TTS_RATE)], TTS_RATE)


def test_text_comes_back_exactly() -> None:
    assert transcribe_windows(say(TEXT)).text == TEXT


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: text.strip()))
def test_any_text_comes_back_without_the_space_around_it(text: str) -> None:
    assert transcribe_windows(say(text)).text == text.strip()


def test_half_a_surrogate_pair_is_spoken_as_a_question_mark() -> None:
    assert transcribe_windows(say("one \ud83c two")).text == "one ? two"


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.0, 1.3, 2.0, 3.0, 4.0])
def test_speed_changes_the_length_and_not_the_text(speed: float) -> None:
    audio = say(TEXT, speed)
    assert transcribe_windows(audio).text == TEXT
    assert audio.seconds == pytest.approx(say(TEXT).seconds / speed, rel=0.01)


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_text_survives_resampling(rate: int, speed: float) -> None:
    assert transcribe_windows(resample(say(TEXT, speed), rate)).text == TEXT


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.5])
@pytest.mark.parametrize(
    ("container", "codec", "rate", "bits_per_second"),
    [
        ("mp3", "libmp3lame", 24_000, 32_000),
        ("mp3", "libmp3lame", 16_000, 32_000),
        ("ogg", "libopus", 24_000, 32_000),
        ("ogg", "libopus", 48_000, 64_000),
        ("adts", "aac", 24_000, 32_000),
        ("wav", "pcm_mulaw", 8_000, 64_000),
    ],
)
def test_text_survives_small_files(container: str, codec: str, rate: int, bits_per_second: int, speed: float) -> None:
    assert transcribe_windows(through_codec(say(TEXT, speed), container, codec, rate, bits_per_second)).text == TEXT


@pytest.mark.parametrize("format", sorted({*get_args(AudioFormat)} - {"pcm"}))
def test_text_survives_every_file_format_that_the_server_writes(format: AudioFormat) -> None:
    out = encoder(format, TTS_RATE)
    file = b"".join(out.encode(piece) for piece in SPEAKER.synthesize(TEXT, SpeechOptions("tone"))) + out.finish()
    assert transcribe_windows(decode(file, STT_RATE, max_seconds=600)).text == TEXT


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.9])
def test_text_survives_loud_and_quiet(gain: float) -> None:
    audio = say(TEXT)
    assert transcribe_windows(Audio(audio.samples * np.float32(gain), audio.rate)).text == TEXT


def test_text_survives_noise_at_ten_decibels_below_it() -> None:
    audio = say(TEXT)
    noise = np.random.default_rng(0).normal(0, 0.1, len(audio.samples)).astype(np.float32)
    assert transcribe_windows(Audio(audio.samples + noise, audio.rate)).text == TEXT


def test_pieces_between_pauses_are_segments_with_their_times() -> None:
    pieces = [say("Hello World."), say("How are you today?"), say("Fine!", speed=2.0)]
    pauses = [0.7, 0.2, 0.1]
    heard = transcribe_windows(with_pauses(pieces, pauses))

    assert [segment.text for segment in heard.segments] == [" Hello World.", " How are you today?", " Fine!"]
    assert heard.text == "Hello World. How are you today? Fine!"
    at = 0.0
    for piece, pause, segment in zip(pieces, pauses, heard.segments, strict=True):
        at += pause
        # The opening and closing marks of a piece, 30 ms at most, are outside its words.
        assert at <= segment.start <= at + 0.035
        at += piece.seconds
        assert at - 0.035 <= segment.end <= at


def test_pieces_without_a_pause_are_one_segment_with_a_space_between() -> None:
    heard = transcribe_windows(concat([say("Hello."), say("World.")], TTS_RATE))
    assert [segment.text for segment in heard.segments] == [" Hello. World."]


def test_words_have_times_only_when_asked_for() -> None:
    audio = with_pauses([say("one two"), say("three")], [0.3, 0.3])
    assert transcribe_windows(audio).words == ()
    heard = transcribe_windows(audio, word_times=True)
    assert [word.text for word in heard.words] == [" one", " two", " three"]
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(seg.start <= word.start < word.end <= seg.end for seg in heard.segments for word in seg.words)
    assert heard.words[0].end - heard.words[0].start == pytest.approx((len(" one") + 1) * 0.024, abs=0.008)


def test_sound_cut_off_in_a_word_loses_that_word_alone() -> None:
    audio = say("alpha beta gamma delta")
    assert transcribe_windows(Audio(audio.samples[: -round(0.06 * TTS_RATE)], TTS_RATE)).text == "alpha beta gamma"
    assert transcribe_windows(Audio(audio.samples[round(0.06 * TTS_RATE) :], TTS_RATE)).text == "beta gamma delta"


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_hardly_any_samples_are_no_speech(count: int, value: float) -> None:
    heard = transcribe_windows(Audio(np.full(count, value, np.float32), STT_RATE))
    assert heard.segments == ()
    assert heard.info.duration == count / STT_RATE


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_no_speech(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.2, 60 * STT_RATE).astype(np.float32)
    assert transcribe_windows(Audio(noise, STT_RATE)).segments == ()


def test_a_sweep_over_all_tones_is_no_speech() -> None:
    time = np.arange(4 * STT_RATE) / STT_RATE
    sweep = np.sin(2 * np.pi * (500 * time + 400 * time**2))
    assert transcribe_windows(Audio(sweep.astype(np.float32), STT_RATE)).segments == ()


def test_a_word_with_a_wrong_check_byte_is_left_out() -> None:
    good, bad = say("alpha beta gamma"), say("alpha bexa gamma")
    # The middle word's letters from one sentence, its check byte from the other.
    cut = round(0.324 * TTS_RATE)
    both = np.concatenate([good.samples[:cut], bad.samples[cut:]])
    assert len(good.samples) == len(bad.samples)
    assert transcribe_windows(good).text == "alpha beta gamma"
    assert transcribe_windows(Audio(both, TTS_RATE)).text == "alpha gamma"


def test_the_sound_comes_in_pieces_that_join_without_a_click() -> None:
    pieces = list(SPEAKER.synthesize("one two three", SpeechOptions("tone")))
    assert len(pieces) == 3
    whole = concat(pieces, TTS_RATE).samples
    # The steepest slope of a sine of amplitude 0.5 at the highest tone.
    assert np.abs(np.diff(whole)).max() <= 0.5 * 2 * np.pi * 3250 / TTS_RATE
    assert np.abs(whole).max() <= 0.5


def test_a_text_of_any_length_takes_linear_time_each_way() -> None:
    def written(chars: int) -> str:
        return (TEXT * 20)[:chars]

    assert transcribe_windows(say(written(1000))).text == written(1000).strip()
    assert_linear(say, written, 100)
    assert_linear(transcribe_windows, lambda chars: resample(say(written(chars)), STT_RATE), 100)
