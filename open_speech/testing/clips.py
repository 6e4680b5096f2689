"""Real speech for tests: two English recordings, downloaded like models and stored beside the models folder."""

from __future__ import annotations

from pathlib import Path

from open_speech.model_rows import read_models
from open_speech.weights import Store

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
"""The words of the clip `beckett`."""
TWO_CITIES = """It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the
epoch of belief, it was the epoch of incredulity, it was the season of light, it was the season of darkness, it was the spring of hope,
it was the winter of despair, we had everything before us, we had nothing before us, we were all going direct to heaven, we were all
going direct the other way. In short, the period was so far like the present period, that some of its noisiest authorities insisted on
its being received, for good or for evil, in the superlative degree of comparison only."""
"""The words of the clip `two_cities`."""


def speech_clips(models_dir: Path) -> dict[str, Path]:
    """Return the recordings by name, downloaded first if necessary: `beckett` (9.96 s) and `two_cities` (44.4 s), both WAV at 48 kHz.

    Raises WeightsUnavailable if they are missing and cannot be downloaded.
    """
    (row,) = read_models(Path(__file__).parent / "speech.toml")
    folder = Store(models_dir.parent).pull(row)
    return {Path(file.path).stem: folder / file.path for file in row.files}
