import pytest

from open_speech.text.ipa import marked
from open_speech.text.normalization.scripts import ScriptRun, script_of, script_runs, scripts_of, without_empty_brackets
from tests.growth import assert_linear


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("The word 你好 means hello.", "en-US", [ScriptRun("The word "), ScriptRun("你好", "Han"), ScriptRun(" means hello.")]),
        ("Привет, мир! Hello", "en", [ScriptRun("Привет, мир", "Cyrillic"), ScriptRun("! Hello")]),
        ("Привет Tom", "ru", [ScriptRun("Привет Tom")]),
        ("ようこそ東京", "en", [ScriptRun("ようこそ東京", "Hiragana")]),
        ("東京へ", "zh", [ScriptRun("東京"), ScriptRun("へ", "Hiragana")]),
        ("东京 is big", "zh", [ScriptRun("东京 is big")]),
        ("안녕 hi", "en", [ScriptRun("안녕", "Hangul"), ScriptRun(" hi")]),
        ("مرحبا", "de", [ScriptRun("مرحبا", "Arabic")]),
        ("नमस्ते", "hi", [ScriptRun("नमस्ते")]),
        ("नमस्ते", "es", [ScriptRun("नमस्ते", "Devanagari")]),
        ("λόγος", "en", [ScriptRun("λόγος", "Greek")]),
        ("naïve Łódź, ½ € 5²", "en", [ScriptRun("naïve Łódź, ½ € 5²")]),
        ("plain", "en", [ScriptRun("plain")]),
    ],
)
def test_a_text_is_cut_where_the_script_changes(text: str, language: str, found: list[ScriptRun]) -> None:
    assert script_runs(text, language) == found


def test_a_single_greek_letter_is_a_sign_with_a_name() -> None:
    assert script_runs("2π rad", "en") == [ScriptRun("2π rad")]


def test_digits_of_other_scripts_are_read() -> None:
    assert script_runs("in ١٢٣ and ४", "en") == [ScriptRun("in 123 and 4")]


def test_phonemes_are_read_by_every_voice() -> None:
    text = f"say {marked('βoθ χ')} now"
    assert script_runs(text, "en") == [ScriptRun(text)]


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
    assert_linear(lambda text: list(script_runs(text, "en")), lambda chars: (nasty * chars)[:chars], 3_000)
