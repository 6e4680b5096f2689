from __future__ import annotations

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.filter import Graph

from open_speech.audio import Audio, silence
from open_speech.codecs import loudness
from open_speech.codecs.loudness import LoudnessMeter, integrated


def tone(seconds: float, rate: int, peak: float, hertz: float = 997.0) -> Audio:
    return Audio((peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32), rate)


def by_ffmpeg(audio: Audio) -> list[float]:
    """The loudness of each block as FFmpeg's filter measures it."""
    graph = Graph()
    source = graph.add_abuffer(sample_rate=audio.rate, format="flt", layout="mono")
    graph.link_nodes(source, graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")).configure()
    frame = AudioFrame.from_ndarray(audio.samples[np.newaxis], "flt", "mono")
    frame.sample_rate = audio.rate
    graph.push(frame)
    found = []
    while True:
        try:
            found.append(float(graph.pull().metadata["lavfi.r128.M"]))
        except (av.BlockingIOError, av.EOFError):
            return found


def test_it_measures_what_ffmpeg_measures() -> None:
    rng = np.random.default_rng(3)
    strength = np.repeat(rng.uniform(0.01, 0.3, 60), 2400)
    sound = Audio((strength * rng.standard_normal(len(strength))).astype(np.float32), 48_000)
    ours = LoudnessMeter(48_000).feed(sound)
    np.testing.assert_allclose(ours, by_ffmpeg(sound)[-len(ours) :], atol=0.02)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100])
@pytest.mark.parametrize("hertz", [40, 100, 500, 3000])
def test_a_note_is_as_loud_at_every_rate(rate: int, hertz: float) -> None:
    assert loudness(tone(3, rate, 0.5, hertz)) == pytest.approx(loudness(tone(3, 48_000, 0.5, hertz)), abs=0.02)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_the_standards_own_calibration_holds_at_every_rate(rate: int) -> None:
    # BS.1770: a sine of 997 Hz at full scale in one channel is -3.01 LUFS.
    assert loudness(tone(3, rate, 1.0)) == pytest.approx(-3.01, abs=0.1)
    assert loudness(tone(3, rate, 0.1)) == pytest.approx(-23.01, abs=0.1)


def test_low_notes_count_less_to_an_ear() -> None:
    low, middle = loudness(tone(2, 24000, 0.5, 40)), loudness(tone(2, 24000, 0.5, 1000))
    assert low is not None
    assert middle is not None
    assert low < middle - 4


def test_pauses_do_not_make_speech_quieter() -> None:
    spoken = tone(2, 24000, 0.25).samples
    paused = np.concatenate([spoken, silence(8, 24000).samples, spoken])
    assert loudness(Audio(paused, 24000)) == pytest.approx(loudness(Audio(spoken, 24000)), abs=0.5)


def test_a_stream_is_as_loud_as_its_pieces_together() -> None:
    sound = np.concatenate([tone(1, 16000, peak).samples for peak in (0.1, 0.4, 0.2)])
    meter = LoudnessMeter(16000)
    blocks = [meter.feed(Audio(part, 16000)) for part in np.array_split(sound, 37)]
    assert integrated(np.concatenate(blocks)) == pytest.approx(loudness(Audio(sound, 16000)), abs=0.01)


def test_the_gates_are_the_standards() -> None:
    assert integrated(np.array([-20.0, -20.0, -33.0, -75.0, -120.7])) == pytest.approx(-20.0)
    assert integrated(np.array([-20.0, -26.0])) == pytest.approx(-22.03, abs=0.01)


def test_silence_has_no_loudness() -> None:
    assert loudness(silence(2, 24000)) is None
    assert loudness(Audio(np.zeros(0, np.float32), 24000)) is None
    assert integrated(LoudnessMeter(24000).feed(tone(0.3, 24000, 0.5))) is None
    assert integrated(np.zeros(0)) is None


def test_a_short_sound_is_measured_with_silence_after_it() -> None:
    assert loudness(tone(0.2, 24000, 1.0)) == pytest.approx(-6.0, abs=0.5)


def test_a_piece_of_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="16000"):
        LoudnessMeter(24000).feed(silence(1, 16000))
