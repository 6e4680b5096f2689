from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from open_speech.audio import Audio, concat, from_pcm16, silence
from open_speech.backends import SpeechOptions
from open_speech.codecs import Stretcher, decode, encode_stream, loudness
from open_speech.config import Settings
from open_speech.config.types import AudioFormat
from open_speech.synthesis.plan import SynthesisRequest
from open_speech.synthesis.postprocess import (
    LEAD_S,
    TAIL_S,
    TARGET_LUFS,
    Finish,
    LeadTrimmer,
    Leveller,
    TailTrimmer,
    postprocessed,
    prepared,
)
from runners.wiring.engine import local_engine

RATE = 24_000
ALL = Finish(trim=True, normalize=True)
Samples = NDArray[np.float32]


def voice(seconds: float, level: float, *, seed: int = 0, rate: int = RATE, lead_s: float = 0.04, tail_s: float = 0.35) -> Audio:
    """Something like a sentence: harmonics of a wandering pitch in syllables of uneven strength, silence around."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    at = np.arange(n) / rate
    phase = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * at + seed)) / rate
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllables = round(seconds * 8)
    strength = np.interp(at, np.linspace(0, seconds, syllables + 2), [0, *rng.uniform(0.1, 1, syllables), 0])
    sound = level * tone * strength + 1e-5 * rng.standard_normal(n)
    return Audio(np.concatenate([silence(lead_s, rate).samples, sound, silence(tail_s, rate).samples]).astype(np.float32), rate)


async def spoken(pieces: Iterable[Audio], finish: Finish, voices: Iterable[str] | None = None) -> list[Audio]:
    """Have a speech of these pieces finished, each as the sound of one piece of text, in chunks of 2 s at most."""
    pieces = list(pieces)
    names = list(voices or ["ann"] * len(pieces))

    async def synthesize(text: str, _: SpeechOptions) -> AsyncGenerator[Audio, None]:
        piece = pieces[int(text)]
        for start in range(0, len(piece.samples), 2 * piece.rate):
            yield Audio(piece.samples[start : start + 2 * piece.rate], piece.rate)

    speak = prepared(synthesize, finish)

    async def whole() -> AsyncGenerator[Audio, None]:
        for number, name in enumerate(names):
            async for audio in speak(str(number), SpeechOptions(name)):
                yield audio

    return [audio async for audio in postprocessed(whole(), finish)]


def finished(pieces: Iterable[Audio], finish: Finish, voices: Iterable[str] | None = None) -> Audio:
    parts = asyncio.run(spoken(pieces, finish, voices))
    return concat(parts, parts[0].rate)


async def encode(pieces: list[Audio], form: AudioFormat) -> bytes:
    """Encode a speech as it is sent."""

    async def given() -> AsyncGenerator[Audio, None]:
        for piece in pieces:
            yield piece

    rate = pieces[0].rate
    return b"".join([chunk async for chunk in encode_stream(given(), form, rate, pcm_rate=rate)])


def heard_again(data: bytes, form: AudioFormat, pcm_rate: int) -> Audio:
    return from_pcm16(data, pcm_rate) if form == "pcm" else decode(data, RATE, max_seconds=120)


def steepest(audio: Audio) -> float:
    """The largest step between two samples, relative to the loudest sample."""
    return float(np.abs(np.diff(audio.samples)).max() / np.abs(audio.samples).max())


@pytest.mark.parametrize("level", [0.02, 0.05, 0.2, 0.9])
def test_speech_of_any_loudness_comes_within_one_lu_of_the_target(level: float) -> None:
    rng = np.random.default_rng(5)
    pieces = [voice(seconds, level * 10 ** (rng.uniform(-3, 3) / 20), seed=seed) for seed, seconds in enumerate([0.8, 3, 2, 4, 1, 3])]
    assert loudness(finished(pieces, ALL)) == pytest.approx(TARGET_LUFS, abs=1.0)


@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.0])
def test_a_single_word_is_as_loud_as_the_rest(seconds: float) -> None:
    assert loudness(finished([voice(seconds, 0.1)], ALL)) == pytest.approx(TARGET_LUFS, abs=1.0)


def test_each_voice_of_a_dialogue_is_brought_to_the_target() -> None:
    quiet, loud = (voice(3, level, seed=seed) for seed, level in ((1, 0.02), (2, 0.5)))
    parts = [finished([quiet, loud, quiet, loud], Finish(normalize=True), ["ann", "bob", "ann", "bob"])]
    length = len(quiet.samples)
    for turn in range(4):
        assert loudness(Audio(parts[0].samples[turn * length : (turn + 1) * length], RATE)) == pytest.approx(TARGET_LUFS, abs=0.5)


def test_a_loud_sentence_stays_louder_than_its_neighbours() -> None:
    pieces = [voice(3, level, seed=seed) for seed, level in enumerate([0.1, 0.1, 0.1, 0.2])]
    sound = finished(pieces, Finish(normalize=True))
    third, fourth = (loudness(Audio(sound.samples[k * len(pieces[0].samples) :][: len(pieces[0].samples)], RATE)) for k in (2, 3))
    assert third is not None
    assert fourth is not None
    assert fourth - third > 2


def test_nothing_is_steeper_at_the_joints_than_within_a_sentence() -> None:
    pieces = [voice(2, level, seed=seed) for seed, level in enumerate([0.02, 0.2, 0.1, 0.4])]
    own = max(steepest(piece) for piece in pieces)
    assert steepest(finished(pieces, ALL)) <= own * 1.02


def test_the_gain_of_a_voice_never_jumps() -> None:
    leveller = Leveller(RATE)
    pieces = [Audio(voice(1, level, seed=3, tail_s=0).samples, RATE) for level in (0.05, 0.4, 0.05)]
    gains = np.concatenate([leveller.feed(piece).samples[2000:-2000] / piece.samples[2000:-2000] for piece in pieces])
    steps = np.abs(np.diff(20 * np.log10(np.abs(gains))))
    within = np.delete(steps, [len(gains) // 3 - 1, 2 * len(gains) // 3 - 1])
    assert within.max() <= 12 / RATE * 1.5


def test_small_chunks_are_levelled_like_large_ones() -> None:
    sound = voice(4, 0.02)
    chunks = [Audio(part, RATE) for part in np.array_split(sound.samples, 60)]
    leveller = Leveller(RATE)
    out = [leveller.feed(chunk, last=number == 59) for number, chunk in enumerate(chunks)]
    assert not any(len(part.samples) for part in out[:4])
    assert len(concat(out, RATE).samples) == len(sound.samples)
    assert loudness(concat(out, RATE)) == pytest.approx(TARGET_LUFS, abs=1.5)


def test_silence_comes_out_as_it_was() -> None:
    for sound in (silence(3, RATE), silence(0.05, RATE)):
        np.testing.assert_array_equal(finished([sound], ALL).samples, sound.samples)


def test_the_first_piece_comes_out_at_once() -> None:
    async def first() -> Audio:
        async def pieces(_: str, __: SpeechOptions) -> AsyncGenerator[Audio, None]:
            yield voice(1, 0.1)
            raise AssertionError("a second piece was asked for before the first one was given")

        async for audio in postprocessed(prepared(pieces, ALL)("", SpeechOptions("ann")), ALL):
            return audio
        raise AssertionError("no sound")

    assert asyncio.run(first()).seconds > 1.1


@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_silence_is_cut_at_both_ends_only(pieces: int) -> None:
    speech = [voice(1, 0.1, seed=seed, lead_s=0.5, tail_s=0.9) for seed in (1, 2)]
    onset, ending = LeadTrimmer(RATE), TailTrimmer(RATE)
    parts = np.array_split(np.concatenate([part.samples for part in speech]), pieces)
    sound = concat([ending.feed(onset.feed(Audio(part, RATE))) for part in parts], RATE)
    assert sound.seconds == pytest.approx(LEAD_S + 1 + 0.9 + 0.5 + 1 + TAIL_S, abs=0.03)
    middle = sound.samples[round(1.2 * RATE) : round(2.3 * RATE)]
    assert np.abs(middle).max() < 1e-3


def test_the_beginning_and_the_end_of_a_word_are_kept() -> None:
    # A breath of 30 ms at -46 dB before the word and one after it.
    breath = 0.0025 * np.random.default_rng(0).standard_normal(round(0.03 * RATE))
    word = voice(0.5, 0.3, lead_s=0, tail_s=0).samples
    spoken = np.concatenate([silence(1, RATE).samples, breath, word, breath, silence(1, RATE).samples]).astype(np.float32)
    sound = finished([Audio(spoken, RATE)], Finish(trim=True)).samples
    kept = spoken[RATE : RATE + 2 * len(breath) + len(word)]
    place = round(LEAD_S * RATE)
    starts = [start for start in range(place - 200, place + 200) if np.array_equal(sound[start : start + len(kept)], kept)]
    assert starts


def test_a_pause_that_was_asked_for_is_kept_at_the_end() -> None:
    async def speech() -> AsyncGenerator[Audio, None]:
        yield voice(1, 0.1)
        yield silence(2, RATE)

    async def taken() -> float:
        return sum([audio.seconds async for audio in postprocessed(speech(), ALL)])

    assert asyncio.run(taken()) == pytest.approx(0.04 + 1 + 0.35 + 2, abs=0.02)


def test_with_no_finish_the_sound_is_what_it_was() -> None:
    piece = voice(3, 0.1, lead_s=0.3)
    np.testing.assert_array_equal(finished([piece], Finish()).samples, piece.samples)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_gain_is_applied_after_all_else_and_does_not_clip(normalize: bool) -> None:
    speech = [voice(1, 0.1, seed=seed) for seed in (1, 2)]
    plain, quiet, loud = (finished(speech, Finish(normalize=normalize, gain_db=gain)) for gain in (0, -12, 40))
    np.testing.assert_allclose(quiet.samples, plain.samples * 10 ** (-12 / 20), atol=0.01)
    assert len(loud.samples) == len(plain.samples)
    assert 0.85 < np.abs(loud.samples).max() <= 0.9  # 1 dB below full scale


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_rate_that_is_asked_for_is_what_comes_out(rate: int) -> None:
    speech = [voice(1, 0.1, seed=seed) for seed in (1, 2)]
    plain, other = finished(speech, ALL), finished(speech, Finish(trim=True, normalize=True, rate=rate))
    assert other.rate == rate
    assert other.seconds == pytest.approx(plain.seconds, abs=0.002)
    assert loudness(other) == pytest.approx(TARGET_LUFS, abs=1.0)


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
@pytest.mark.parametrize("rate", [None, 16000])
def test_every_format_decodes_to_the_length_and_loudness_of_the_speech(form: AudioFormat, speed: float, rate: int | None) -> None:
    speech = [voice(4, level, seed=seed) for seed, level in enumerate([0.028, 0.04])]

    async def encoded() -> bytes:
        stretcher = Stretcher(RATE, speed)
        stretched = [stretcher.feed(piece, last=number == 1) for number, piece in enumerate(speech)]
        pieces = await spoken(stretched, Finish(trim=True, normalize=True, rate=rate))

        return await encode(pieces, form)

    heard = heard_again(asyncio.run(encoded()), form, rate or RATE)
    expected_s = (2 * (0.04 + 4 + 0.35)) / speed - (0.35 / speed - min(0.35 / speed, TAIL_S))
    assert heard.seconds == pytest.approx(expected_s, rel=0.03)
    assert loudness(heard) == pytest.approx(TARGET_LUFS, abs=1.0)


TEXT = (
    "Good morning, everyone. The quick brown fox jumps over the lazy dog, while nobody is watching! Is that really so? Yes. "
    "In the afternoon we walked along the river, and talked about the weather, the harvest and the price of bread."
)


@pytest.mark.weights
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("model", "voice"), [("kokoro", "af_heart"), ("piper/en_US-joe-medium", "en_US-joe-medium")])
@pytest.mark.usefixtures("default_weights")
def test_a_real_voice_has_its_length_and_loudness_in_every_format(weights_root: Path, model: str, voice: str, speed: float) -> None:
    settings = Settings(
        os_models_dir=weights_root, tts_backends=("kokoro", "piper"), stt_backends=(), tts_trim_silence=False, tts_normalize_output=False
    )

    request = SynthesisRequest(model, TEXT, voice=voice, speed=speed)

    async def made() -> tuple[list[Audio], list[Audio], dict[AudioFormat, bytes]]:
        raw = [audio async for audio in await local_engine(settings).synthesis.speak(request)]
        pieces = await spoken(raw, ALL)
        return raw, pieces, {form: await encode(pieces, form) for form in ("mp3", "opus", "aac", "flac", "wav", "pcm")}

    raw, pieces, files = asyncio.run(made())
    sound = concat(pieces, pieces[0].rate)
    assert loudness(sound) == pytest.approx(TARGET_LUFS, abs=1.0)
    assert sound.seconds == pytest.approx(concat(raw, raw[0].rate).seconds, rel=0.03, abs=0.2)
    steps = np.abs(np.diff(sound.samples))
    for joint in np.cumsum([len(piece.samples) for piece in raw[:-1]]):
        assert steps[joint - 200 : joint + 200].max() < steps.max() / 20
    for form, data in files.items():
        heard = heard_again(data, form, sound.rate)
        assert heard.seconds == pytest.approx(sound.seconds, rel=0.03), form
        assert loudness(heard) == pytest.approx(TARGET_LUFS, abs=1.0), form
