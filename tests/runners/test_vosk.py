"""Vosk's own ways, on the real weights: streaming, utterances, times, determinism, other languages, files that are broken."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from open_speech.audio import Audio, concat, silence
from open_speech.backends import STT_RATE, Setup, TranscribeOptions
from open_speech.codecs import decode
from open_speech.errors import BackendFailed, UnsupportedLanguage, WeightsCorrupt, WeightsUnavailable
from open_speech.transcript import Segment, TranscriptInfo
from runners import catalog
from runners.vosk import STEP, Vosk

pytest.importorskip("vosk", reason="needs open-speech[vosk]")

ENTRIES = {model.languages[0]: model for model in catalog.models() if model.backend == "vosk"}
ENGLISH = ENTRIES["en"]
PLAIN = TranscribeOptions()
BECKETT = "ever tried ever failed no matter try again fail again fail better"


@pytest.fixture(scope="module")
def vosk(model_folder: Callable[[str], Path]) -> Vosk:
    backend = Vosk(Setup(ENGLISH, model_folder(ENGLISH.id)))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def beckett(speech_clips: dict[str, Path]) -> Audio:
    return decode(speech_clips["beckett"], STT_RATE, max_seconds=60)


def steps(audio: Audio) -> list[Audio]:
    return [Audio(audio.samples[start : start + STEP], STT_RATE) for start in range(0, len(audio.samples), STEP)]


def segments(vosk: Vosk, audio: Audio, options: TranscribeOptions = PLAIN) -> list[Segment]:
    return [item for item in vosk.transcribe(audio, options) if isinstance(item, Segment)]


def test_before_it_is_loaded_it_says_so() -> None:
    with pytest.raises(BackendFailed):
        Vosk(Setup(ENGLISH, Path())).transcribe(silence(1.0, STT_RATE), PLAIN)


@pytest.fixture
def copy(model_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A model's folder to break."""
    return shutil.copytree(model_folder(ENGLISH.id), tmp_path / "model")


@pytest.mark.weights
@pytest.mark.parametrize("name", ["am/final.mdl", "conf/mfcc.conf", "graph/phones/word_boundary.int"])
def test_a_file_that_is_missing_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(WeightsUnavailable, match=name):
        Vosk(Setup(ENGLISH, copy)).load()


@pytest.mark.weights
@pytest.mark.parametrize("name", ["am/final.mdl", "graph/HCLr.fst", "ivector/final.ie"])
def test_a_file_that_is_broken_stops_the_load(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:1000])
    with pytest.raises(WeightsCorrupt, match=ENGLISH.id):
        Vosk(Setup(ENGLISH, copy)).load()


@pytest.mark.weights
def test_loading_leaves_the_models_own_files_as_they_are(copy: Path) -> None:
    before = {path: path.read_bytes() for path in sorted((copy / "conf").iterdir())}
    Vosk(Setup(ENGLISH, copy)).load()
    assert {path: path.read_bytes() for path in sorted((copy / "conf").iterdir())} == before


@pytest.mark.weights
def test_loading_and_hearing_write_nothing_to_the_log(
    vosk: Vosk, model_folder: Callable[[str], Path], beckett: Audio, capfd: pytest.CaptureFixture[str]
) -> None:
    fresh = Vosk(Setup(ENGLISH, model_folder(ENGLISH.id)))
    fresh.load()
    assert segments(fresh, beckett)
    assert capfd.readouterr() == ("", "")


@pytest.mark.weights
def test_pauses_end_utterances_and_each_comes_before_the_rest_is_heard(vosk: Vosk, beckett: Audio) -> None:
    found = segments(vosk, beckett)
    assert "".join(segment.text for segment in found) == f" {BECKETT}"
    assert len(found) == 3
    stream = vosk.stream(PLAIN)
    at = [stream.seconds for step in steps(beckett) if stream.feed(step) is not None]
    assert 5.5 < at[0] < 6.6  # "no matter … try again" has ended at 5.5 s, and the next word begins at 6.6 s


@pytest.mark.weights
def test_a_stream_tells_the_words_while_they_are_said(vosk: Vosk, beckett: Audio) -> None:
    stream = vosk.stream(PLAIN)
    heard, partials = [], []
    for step in steps(beckett):
        if (segment := stream.feed(step)) is not None:
            heard.append(segment)
        partials.append(stream.partial)
    last = stream.finish()
    assert [*heard, *([last] if last else [])] == segments(vosk, beckett)
    assert "ever tried" in partials[20:45]
    assert stream.seconds == beckett.seconds


@pytest.mark.weights
def test_a_stream_that_hears_nothing_says_nothing(vosk: Vosk) -> None:
    stream = vosk.stream(PLAIN)
    assert [stream.feed(step) for step in steps(silence(3.0, STT_RATE))] == [None] * 30
    assert (stream.partial, stream.finish()) == ("", None)
    assert vosk.stream(PLAIN).finish() is None


@pytest.mark.weights
def test_the_same_clip_is_heard_the_same_to_the_last_digit(vosk: Vosk, beckett: Audio) -> None:
    options = TranscribeOptions(word_times=True, logprobs=True)
    assert segments(vosk, beckett, options) == segments(vosk, beckett, options)


@pytest.mark.weights
def test_words_have_their_time_and_confidence(vosk: Vosk, beckett: Audio) -> None:
    found = segments(vosk, concat([silence(5.0, STT_RATE), beckett], STT_RATE), TranscribeOptions(word_times=True, logprobs=True))
    words = [word for segment in found for word in segment.words]
    assert [word.text for word in words] == [f" {word}" for word in BECKETT.split()]
    assert words[0].start == pytest.approx(5.3, abs=0.15)
    assert words[-1].end == pytest.approx(13.82, abs=0.15)
    for segment in found:
        assert [token.text for token in segment.logprobs] == [word.text for word in segment.words]
        assert np.mean([token.logprob for token in segment.logprobs]) == pytest.approx(segment.avg_logprob)
        assert np.exp([token.logprob for token in segment.logprobs]) == pytest.approx([word.probability for word in segment.words])


@pytest.mark.weights
@pytest.mark.parametrize(("options", "kind", "field"), [
    (TranscribeOptions(language="de"), UnsupportedLanguage, "language"),
    (TranscribeOptions(languages=("de", "fr")), UnsupportedLanguage, "languages"),
])  # fmt: skip
def test_what_it_cannot_do_is_refused_before_the_first_item(
    vosk: Vosk, options: TranscribeOptions, kind: type[UnsupportedLanguage], field: str
) -> None:
    for ask in (vosk.stream, lambda options: vosk.transcribe(silence(1.0, STT_RATE), options)):
        with pytest.raises(kind) as refused:
            ask(options)
        assert refused.value.param == field


@pytest.mark.weights
def test_who_asks_for_the_language_alone_waits_for_no_text(vosk: Vosk, beckett: Audio) -> None:
    items = list(islice(vosk.transcribe(beckett, TranscribeOptions(detect_only=True)), 2))
    assert items == [TranscriptInfo("en", 1.0, beckett.seconds)]


@pytest.mark.weights
@pytest.mark.parametrize("language", ["ko", "zh"])
def test_a_model_of_another_language_writes_in_its_script(weights_root: Path, language: str, beckett: Audio) -> None:
    from open_speech.weights import Store

    entry, store = ENTRIES[language], Store(weights_root, offline=True)
    if not store.is_complete(entry):
        pytest.skip(f"{entry.id} is not in the models folder: open-speech models pull {entry.id}")
    backend = Vosk(Setup(entry, store.folder(entry)))
    backend.load()
    info, *found = backend.transcribe(beckett, TranscribeOptions(word_times=True))
    assert isinstance(info, TranscriptInfo) and info.language == language
    said = "".join(segment.text for segment in found if isinstance(segment, Segment))
    assert any("가" <= letter <= "힣" or "一" <= letter <= "鿿" for letter in said)
    assert (" " in said) == (language == "ko")
