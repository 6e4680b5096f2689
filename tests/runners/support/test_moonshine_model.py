"""What decides a text token by token, on plain values; the networks themselves are heard in test_moonshine.py."""

from pathlib import Path

import numpy as np
import pytest

from open_speech.errors import WeightsCorrupt, WeightsUnavailable
from runners.support.moonshine_model import END, MOST_TOKENS, Utterance, most_likely, read_vocabulary, token_limit, without_loop


def scores(*rows: dict[int, float]) -> np.ndarray:
    """Logits of six tokens, from the probabilities that are not negligible."""
    table = np.full((len(rows), 6), 1e-9)
    for row, values in zip(table, rows, strict=True):
        for token, probability in values.items():
            row[token] = probability
    return np.log(table).astype(np.float32)


def test_the_best_token_is_chosen_with_its_log_probability() -> None:
    chosen, logprobs = most_likely(scores({3: 0.8, 4: 0.2}, {END: 0.5, 4: 0.25, 5: 0.25}), may_end=True)
    assert chosen.tolist() == [3, END]
    assert np.exp(logprobs).tolist() == pytest.approx([0.8, 0.5], rel=1e-4)


def test_a_text_begins_unless_silence_is_all_but_certain() -> None:
    chosen, logprobs = most_likely(scores({END: 0.7, 3: 0.3}, {END: 0.9, 3: 0.1}, {3: 1.0}), may_end=False)
    assert chosen.tolist() == [3, END, 3]
    assert np.exp(logprobs).tolist() == pytest.approx([0.3, 0.9, 1.0], rel=1e-4)


@pytest.mark.parametrize(("tokens", "kept"), [
    ([], 0),
    ([7], 1),
    ([7, 8, 9] * 3, 9),
    ([7, 8, 9] * 4, 3),
    ([1, 2, 7, 8, 9, *[7, 8, 9] * 3], 5),
    ([7] * 11, 11),
    ([7] * 12, 1),
    ([7, 8] * 5, 10),
    ([7, 8] * 6, 2),
    ([*[7, 8, 9] * 4, 5], 13),
    (list(range(60)), 60),
    (list(range(10)) * 4, 10),
])  # fmt: skip
def test_a_loop_is_cut_to_one_round(tokens: list[int], kept: int) -> None:
    assert without_loop(tokens) == kept


def test_an_utterance_ends_by_the_models_word_by_its_limit_or_in_a_loop() -> None:
    said = Utterance(limit=50)
    assert said.goes_on_with(7, -0.5) and said.goes_on_with(8, -0.1)
    assert not said.goes_on_with(END, 0.0)
    assert (said.tokens, said.mean_logprob) == ([7, 8], pytest.approx(-0.3))

    short = Utterance(limit=2)
    assert short.goes_on_with(7, 0.0)
    assert not short.goes_on_with(8, 0.0)
    assert short.tokens == [7, 8]

    circling = Utterance(limit=50)
    going = [circling.goes_on_with(token, -1.0) for token in [5, *[7, 8, 9] * 4]]
    assert going == [True] * 12 + [False]
    assert (circling.tokens, circling.logprobs) == ([5, 7, 8, 9], [-1.0] * 4)


def test_a_long_clip_may_say_no_more_than_the_networks_were_taught() -> None:
    assert token_limit(0.1) < token_limit(1.0) < token_limit(10.0)
    assert token_limit(3600.0) == MOST_TOKENS


def test_the_vocabulary_is_read_piece_by_piece(tmp_path: Path) -> None:
    long = "▁".encode() * 50
    pieces = [b"<unk>", b"<s>", b"</s>", b"\xc3", " ▁a".encode(), b"", long, b"<<ST_12>>"]
    sizes = [bytes([len(piece)]) if len(piece) < 128 else bytes([128 + len(piece) % 128, len(piece) // 128]) for piece in pieces]
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(b"".join(size + piece for size, piece in zip(sizes, pieces, strict=True)))
    assert read_vocabulary(path) == [b"", b"", b"", b"\xc3", " ▁a".encode(), b"", long, b""]


@pytest.mark.parametrize("data", [b"", b"\x01a\x01b", b"\x01a\x01b\x01c\x01d\x05x", b"\x01a\x01b\x01c\x80"])
def test_a_vocabulary_that_ends_too_soon_is_broken(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokenizer.bin"
    path.write_bytes(data)
    with pytest.raises(WeightsCorrupt, match=r"tokenizer\.bin"):
        read_vocabulary(path)


def test_a_vocabulary_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"tokenizer\.bin"):
        read_vocabulary(tmp_path / "tokenizer.bin")
