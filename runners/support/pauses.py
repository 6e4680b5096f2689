"""The silence around speech: cut to what the punctuation asks for, so that pieces spoken one by one sound like one reading. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from open_speech.audio import Audio

SENTENCE_S = 0.35
CLAUSE_S = 0.15
NONE_S = 0.03
"""Seconds after a piece that ends without a mark: the sentence goes on in the next piece, and 0.1 is heard as a comma."""
_LEAD_S = 0.04
"""Seconds kept before the first sound: the breath of an `f` or `h` is too quiet to be found."""
_FADE_S = 0.005
_FRAME_S = 0.005
_QUIET = 10 ** (-50 / 20)
"""Root mean square of a silent frame, relative to the loudest; at -40 dB the end of a word such as `ship` is lost."""
_CLOSERS = "\"'”’»)]}」』 "


def pause_after(text: str) -> float:
    """Tell how many seconds of silence the last mark of a text, or of its phonemes, asks for at normal speed."""
    mark = text.rstrip(_CLOSERS)[-1:]
    if mark and mark in ".!?…。！？؟।॥":
        return SENTENCE_S
    return CLAUSE_S if mark and mark in ",;:—–，、；：،؛" else NONE_S


def settle(samples: NDArray[np.float32], rate: int, pause_s: float) -> Audio:
    """Cut the silence before speech of shape (n,) to 40 ms and make the silence after it `pause_s` seconds long.

    Both ends are faded over 5 ms, so that a joint cannot click; samples are clipped to [-1, 1]. Silence alone is returned as it is.
    """
    frame = max(1, round(_FRAME_S * rate))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    loudness = np.sqrt(np.einsum("ij,ij->i", frames, frames) / frame)
    loud = np.flatnonzero(loudness > loudness.max(initial=0.0) * _QUIET)
    if not len(loud):
        return Audio(samples, rate)
    start = max(0, int(loud[0]) * frame - round(_LEAD_S * rate))
    end = (int(loud[-1]) + 1) * frame + round(pause_s * rate)
    kept = np.zeros(end - start, np.float32)
    sound = samples[start:end]
    np.clip(sound, -1.0, 1.0, out=kept[: len(sound)])
    fade = np.linspace(0.0, 1.0, min(round(_FADE_S * rate), len(sound)), dtype=np.float32)
    kept[: len(fade)] *= fade
    kept[len(sound) - len(fade) : len(sound)] *= fade[::-1]
    return Audio(kept, rate)
