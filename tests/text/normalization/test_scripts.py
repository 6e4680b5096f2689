import pytest

from open_speech.text.ipa import marked
from open_speech.text.normalization.scripts import Stretch, script_of, scripts_of, stretches, without_empty_brackets
from tests.growth import assert_linear


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("The word 你好 means hello.", "en-US", [Stretch("The word "), Stretch("你好", "Han"), Stretch(" means hello.")]),
        ("Привет, мир! Hello", "en", [Stretch("Привет, мир", "Cyrillic"), Stretch("! Hello")]),
        ("Привет Tom", "ru", [Stretch("Привет Tom")]),
        ("ようこそ東京", "en", [Stretch("ようこそ東京", "Hiragana")]),
        ("東京へ", "zh", [Stretch("東京"), Stretch("へ", "Hiragana")]),
        ("东京 is big", "zh", [Stretch("东京 is big")]),
        ("안녕 hi", "en", [Stretch("안녕", "Hangul"), Stretch(" hi")]),
        ("مرحبا", "de", [Stretch("مرحبا", "Arabic")]),
        ("नमस्ते", "hi", [Stretch("नमस्ते")]),
        ("नमस्ते", "es", [Stretch("नमस्ते", "Devanagari")]),
        ("λόγος", "en", [Stretch("λόγος", "Greek")]),
        ("naïve Łódź, ½ € 5²", "en", [Stretch("naïve Łódź, ½ € 5²")]),
        ("plain", "en", [Stretch("plain")]),
    ],
)
def test_a_text_is_cut_where_the_script_changes(text: str, language: str, found: list[Stretch]) -> None:
    assert stretches(text, language) == found


def test_a_single_greek_letter_is_a_sign_with_a_name() -> None:
    assert stretches("2π rad", "en") == [Stretch("2π rad")]


def test_digits_of_other_scripts_are_read() -> None:
    assert stretches("in ١٢٣ and ४", "en") == [Stretch("in 123 and 4")]


def test_phonemes_are_read_by_every_voice() -> None:
    text = f"say {marked('βoθ χ')} now"
    assert stretches(text, "en") == [Stretch(text)]


def test_every_voice_of_a_language_reads_its_scripts() -> None:
    assert scripts_of("ja-JP") == {"Han", "Hiragana", "Katakana"}
    assert scripts_of("zh_CN") == {"Han", "Bopomofo"}
    assert scripts_of("en") == frozenset()


def test_kana_makes_a_text_japanese() -> None:
    assert [script_of(text) for text in ("東京", "東京へ", "カナ", "ᚠ")] == ["Han", "Hiragana", "Katakana", "another script"]


def test_brackets_that_lost_their_content_go() -> None:
    assert without_empty_brackets("Beijing ( ) is big") == "Beijing is big"


@pytest.mark.parametrize("nasty", ["你", "你 ", "你.", "你" + "." * 30, "a你", "λ", "٣", "(你)"])
def test_a_text_is_cut_in_linear_time(nasty: str) -> None:
    assert_linear(lambda text: list(stretches(text, "en")), lambda chars: (nasty * chars)[:chars], 3_000)
