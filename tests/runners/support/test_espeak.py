import pytest

from runners.support import espeak

pytest.importorskip("phonemizer", reason="needs open-speech[kokoro]")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("The U.S.S.R. is 1.5 m. Wait....... no.", "The U.S.S.R. is 1.5 m. Wait....... no."),
        ("a.b.c.d.e.f.g.", "a.b.c.d.e.f.g."),
        ("a.b.c.d.e.f.g.h.", "a b c d e f g h "),
        ("x" * 100, "x" * 80 + " " + "x" * 20),
    ],
)
def test_words_that_espeak_cannot_take_are_parted(text: str, read: str) -> None:
    assert espeak.with_short_words(text) == read


def test_it_is_installed_and_has_a_library() -> None:
    assert espeak.is_installed()
    espeak.set_up()


def test_decimal_points_are_read_and_full_stops_kept() -> None:
    assert espeak.phonemes("It is 3.5.", "en-us") == "ɪɾ ɪz θɹˈiː pɔɪnt fˈaɪv."


def test_foreign_words_bring_no_language_flags() -> None:
    assert "(" not in espeak.phonemes("Le weekend, on fait du shopping.", "fr-fr")


def test_the_letter_a_is_said_by_its_name() -> None:
    assert espeak.phonemes("A plus B", "en-us").startswith("ˈeɪ ")
