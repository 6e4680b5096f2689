from concurrent.futures import ThreadPoolExecutor

import pytest

from open_speech.errors import NotInstalled, UnsupportedLanguage
from open_speech.text.ipa import marked
from runners.support import g2p

pytest.importorskip("kokoro_onnx", reason="needs open-speech[kokoro]")


@pytest.fixture(scope="module", autouse=True)
def espeak() -> None:
    from kokoro_onnx.tokenizer import Tokenizer

    Tokenizer()


@pytest.mark.parametrize(
    ("voice", "asked", "expected"),
    [
        ("af_heart", None, "en-us"),
        ("bf_emma", None, "en-gb"),
        ("ff_siwis", None, "fr-fr"),
        ("zf_xiaobei", None, "zh"),
        ("bf_emma", "en", "en-gb"),
        ("af_heart", "EN_GB", "en-gb"),
        ("af_heart", "en-AU", "en-us"),
        ("af_heart", "fr", "fr-fr"),
        ("af_heart", "pt-PT", "pt-br"),
        ("af_heart", "cmn", "zh"),
    ],
)
def test_the_voice_decides_the_language_unless_another_is_asked_for(voice: str, asked: str | None, expected: str) -> None:
    assert g2p.language_for(voice, asked) == expected


def test_phonemes_in_a_text_stay_and_have_their_space() -> None:
    text = f"You say {marked('təˈmɑː toʊ')}, I say{marked('wɪn')}."
    assert g2p.phonemes(text, "en-us") == "ju sˈA təˈmɑ tO, I sˈAwɪn."


def test_a_language_kokoro_does_not_speak_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedLanguage, match="sw") as refused:
        g2p.language_for("af_heart", "sw")
    assert refused.value.param == "language"


def test_english_is_written_in_the_signs_the_model_was_trained_on() -> None:
    assert g2p.phonemes("Nice house.", "en-us") == "nˈIs hˈWs."


def test_decimal_points_are_read_and_full_stops_kept() -> None:
    assert g2p.phonemes("It is 3.5.", "en-us") == "ɪT ɪz θɹˈi pYnt fˈIv."


def test_foreign_words_bring_no_language_flags() -> None:
    assert "(" not in g2p.phonemes("Le weekend, on fait du shopping.", "fr-fr")


def test_phonemes_are_the_same_from_many_threads_and_languages_at_once() -> None:
    jobs = [("Good morning, everybody.", "en-us"), ("Bonjour à tous.", "fr-fr"), ("Buenos días a todos.", "es")] * 20
    alone = [g2p.phonemes(*job) for job in jobs[:3]]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: g2p.phonemes(*job), jobs))
    assert together == alone * 20


@pytest.mark.parametrize(("language", "module"), [("ja", "misaki.ja"), ("zh", "misaki.zh")])
def test_a_language_without_its_reader_names_the_extra(language: str, module: str) -> None:
    try:
        __import__(module)
    except ImportError:
        with pytest.raises(NotInstalled, match=rf"open-speech\[kokoro-{language}\]"):
            g2p.phonemes("你好", language)
    else:
        assert g2p.phonemes("你好", language)


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
    assert g2p.with_short_words(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A T and T", "eh T and T"), ("A plus B", "eh plus B"), ("A is less than B", "eh is less than B"), ("A squared", "eh squared"),
        ("S W one A, one A A", "S W one A, one eh A"), ("A dog is here", "A dog is here"), ("A is for apple", "A is for apple"),
        ("Plan A works", "Plan A works"),
    ],
)  # fmt: skip
def test_the_letter_a_is_said_by_its_name_where_it_is_no_article(text: str, read: str) -> None:
    assert g2p.with_letter_a(text) == read


def test_espeak_says_that_letter_by_its_name() -> None:
    assert g2p.phonemes("A plus B", "en-us").startswith("ˈA ")
