"""Moonshine's encoder, decoder and vocabulary on onnxruntime: greedy decoding of many clips in one call, each with its own token limit.

The official package (useful-moonshine-onnx) decodes one clip at a time with idle threads that spin: it takes two to three times the CPU
for the same text, and installs 370 MB of packages, none of which this module needs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from open_speech.backends import STT_RATE
from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from runners.support.onnx import cpu_session

START, END = 1, 2
"""The tokens at the start and the end of a text."""
FEWEST_TOKENS, TOKENS_PER_SECOND, MOST_TOKENS = 16, 8, 192
"""The token limit of a clip: twice the fastest English, and never more than the model was trained on."""
SURE_OF_SILENCE = 0.85
"""Probability of END from which a text may be empty. Base returns 0.89 and more in silence, noise and tones, and occasionally up to 0.7
in clear speech, for which the text would be empty."""
LOOP_TIMES, LOOP_TOKENS = 4, 12
"""Minimum repetitions in a row, and minimum tokens in them, of a loop that is not speech."""
_SPACE = "▁".encode()
_MARKS = re.compile(rb"<unk>|</?s>|<<ST_\d+>>\Z")


@dataclass(slots=True)
class Utterance:
    """The tokens of one clip, without START and END, each with its log-probability."""

    limit: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    @property
    def mean_logprob(self) -> float:
        """Mean log-probability of the tokens: at most 0, and 0 for no tokens."""
        return sum(self.logprobs) / max(1, len(self.logprobs))

    def goes_on_with(self, token: int, logprob: float) -> bool:
        """Add the next token; False if the text ends: by the token END, by the limit, or because of a loop."""
        if token == END:
            return False
        self.tokens.append(token)
        self.logprobs.append(logprob)
        kept = without_loop(self.tokens)
        if kept < len(self.tokens):
            del self.tokens[kept:], self.logprobs[kept:]
            return False
        return len(self.tokens) < self.limit


class MoonshineModel:
    """One model, loaded; safe to use from several threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Open the files; `threads` 0 uses up to four cores. Raises WeightsUnavailable or WeightsCorrupt with the name of the file."""
        pieces = read_vocabulary(folder / "tokenizer.bin")
        self._encoder = cpu_session(folder / "encoder_model.ort", threads)
        self._decoder = cpu_session(folder / "decoder_model_merged.ort", threads)
        # Base returns scores for 768 more tokens than its vocabulary has.
        self._vocabulary = pieces + [b""] * (self._decoder.get_outputs()[0].shape[-1] - len(pieces))
        inputs = {value.name: value.shape for value in self._decoder.get_inputs()}
        # Tiny has a mask for the padding of a clip; base treats the padding as silence.
        self._masked = "encoder_attention_mask" in inputs
        # The first step requires a cache as input, too, and ignores it.
        self._no_memory = {
            name: np.zeros((0, shape[1], 1, shape[3]), np.float32) for name, shape in inputs.items() if name.startswith("past_key_values")
        }

    def decode(self, clips: Sequence[NDArray[np.float32]]) -> list[Utterance]:
        """Transcribe clips of similar length together; each has shape (n,) at STT_RATE, n at least 1600."""
        if not clips:
            return []
        said = [Utterance(token_limit(len(clip) / STT_RATE)) for clip in clips]
        running, inputs = said, self._encoded(clips)
        while running:
            scores, inputs = self._step(inputs)
            chosen, logprobs = most_likely(scores, may_end=len(running[0].tokens) > 0)
            going = [one.goes_on_with(int(token), float(sure)) for one, token, sure in zip(running, chosen, logprobs, strict=True)]
            inputs["input_ids"] = chosen[:, np.newaxis]
            if not all(going):
                # A complete text costs nothing more: its row is removed from the batch.
                running = [one for one, goes in zip(running, going, strict=True) if goes]
                inputs = {name: value if name == "use_cache_branch" else value[going] for name, value in inputs.items()}
        return said

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; it begins with a space, like that of a segment."""
        return b"".join(self._vocabulary[token] for token in tokens).replace(_SPACE, b" ").decode("utf-8", "replace")

    def _encoded(self, clips: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
        """Run the encoder; return the inputs of the decoder's first step."""
        shape = (len(clips), max(map(len, clips)))
        sound, mask = np.zeros(shape, np.float32), np.zeros(shape, np.int64)
        for row, clip in enumerate(clips):
            sound[row, : len(clip)] = clip
            mask[row, : len(clip)] = 1
        (hidden,) = self._encoder.run(None, {"input_values": sound, **({"attention_mask": mask} if self._masked else {})})
        first = {"encoder_hidden_states": hidden, "input_ids": np.full((len(clips), 1), START, np.int64), **self._no_memory}
        return {**first, "use_cache_branch": np.array([False]), **({"encoder_attention_mask": mask} if self._masked else {})}

    def _step(self, inputs: dict[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Run the decoder for one token; return its scores, shape (clips, tokens), and the next inputs without `input_ids`."""
        scores, *memory = self._decoder.run(None, inputs)
        later = bool(inputs["use_cache_branch"][0])
        # The decoder returns its cache of the encoder output only once, at the first step.
        changed = {name: value for name, value in zip(self._no_memory, memory, strict=True) if not later or ".decoder." in name}
        return scores[:, -1], {**inputs, **changed, "use_cache_branch": np.array([True])}


def most_likely(scores: NDArray[np.float32], *, may_end: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each row's best token and its log-probability; without `may_end`, END needs a probability of SURE_OF_SILENCE."""
    best = scores.max(axis=1, keepdims=True)
    totals = best + np.log(np.exp(scores - best).sum(axis=1, keepdims=True))
    if not may_end:
        unsure = scores[:, END] - totals[:, 0] < math.log(SURE_OF_SILENCE)
        scores = scores.copy()
        scores[unsure, END] = -np.inf
    chosen = scores.argmax(axis=1)
    return chosen, np.minimum(np.take_along_axis(scores, chosen[:, np.newaxis], 1) - totals, 0.0)[:, 0]


def token_limit(seconds: float) -> int:
    """Return the maximum number of tokens for a clip of this length."""
    return min(MOST_TOKENS, FEWEST_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds))


def without_loop(tokens: Sequence[int]) -> int:
    """Return the number of tokens to keep of an incomplete text: all, or those up to the first repetition if it now ends in a loop.

    Checks only the end of the text, so call it after every token.
    """
    for length in range(1, len(tokens) // LOOP_TIMES + 1):
        times = max(LOOP_TIMES, -(-LOOP_TOKENS // length))
        tail = tokens[-length * times :]
        if len(tail) == length * times and all(tail[at] == tail[at - length] for at in range(length, len(tail))):
            return len(tokens) - length * (times - 1)
    return len(tokens)


def read_vocabulary(path: Path) -> list[bytes]:
    """Read the texts of the tokens: each is stored as its length in bytes (one byte, two from 128 on) and its UTF-8.

    Raises WeightsUnavailable if the file is missing and WeightsCorrupt if it ends in the middle of a text, or has too few.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise WeightsUnavailable(f"The file `{path.name}` of the model is missing.") from None
    pieces: list[bytes] = []
    at = 0
    try:
        while at < len(data):
            length, at = data[at], at + 1
            if length >= 128:
                length, at = length - 128 + 128 * data[at], at + 1
            piece = data[at : at + length]
            if len(piece) < length:
                raise IndexError
            pieces.append(b"" if _MARKS.match(piece) else piece)
            at += length
        if len(pieces) <= END:
            raise IndexError
    except IndexError:
        raise WeightsCorrupt(f"The file `{path.name}` of the model cannot be read.") from None
    return pieces
