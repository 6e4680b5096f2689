import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.support.phoneme_pieces import LONGEST, phoneme_pieces

PARTS = ["ab", "c", "defg" * 5, "h" * 40, ". ", ", ", " ", "  ", "?! ", "… ", "\n", ".", ";"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)


def test_what_fits_is_one_piece() -> None:
    assert phoneme_pieces("  hˈI ðɛɹ.  ") == ["hˈI ðɛɹ."]
    assert phoneme_pieces("a" * LONGEST) == ["a" * LONGEST]


@pytest.mark.parametrize("nothing", ["", "   ", "\n"])
def test_nothing_is_no_piece(nothing: str) -> None:
    assert phoneme_pieces(nothing) == []


@pytest.mark.parametrize(
    ("phonemes", "expected"),
    [
        ("aaa bbb. ccc ddd.", ["aaa bbb.", "ccc ddd."]),
        ("aaa, bbb ccc ddd", ["aaa, bbb", "ccc ddd"]),
        ("aa bb cc dd ee", ["aa bb cc", "dd ee"]),
        ("aaaaaaaaaaaaaa", ["aaaaaaaaaa", "aaaa"]),
    ],
)
def test_it_is_cut_after_sentences_then_clauses_then_words(phonemes: str, expected: list[str]) -> None:
    assert phoneme_pieces(phonemes, 10) == expected


def test_pieces_have_similar_lengths() -> None:
    assert [len(piece) for piece in phoneme_pieces(" ".join(["aaaa."] * 13), 59)] == [41, 35]


@given(TEXTS, st.integers(10, 80))
def test_every_sign_is_kept_in_pieces_that_are_short_enough(phonemes: str, longest: int) -> None:
    pieces = phoneme_pieces(phonemes, longest)
    assert all(0 < len(piece) <= longest for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(phonemes.split())


@given(TEXTS, st.integers(10, 80))
def test_the_pieces_are_those_of_kokoro_onnx(phonemes: str, longest: int) -> None:
    chunker = pytest.importorskip("kokoro_onnx.chunker", reason="needs kokoro-onnx, to compare with")
    assert phoneme_pieces(phonemes, longest) == chunker.split_phonemes(phonemes, longest)
