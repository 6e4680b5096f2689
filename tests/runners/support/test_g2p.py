from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from open_speech.errors import NotInstalled, UnsupportedLanguage
from open_speech.text.ipa import marked
from runners.support.g2p import G2P, english_converter, language_for
from tests.waiting import PATIENCE_S

ESPEAK, HIBARI = G2P("espeak"), G2P("hibari")


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
    assert language_for(voice, asked) == expected


def test_a_language_kokoro_does_not_speak_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedLanguage, match="sw") as refused:
        language_for("af_heart", "sw")
    assert refused.value.param == "language"


class TestEspeak:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("phonemizer", reason="needs open-speech[kokoro]")

    def test_it_is_what_converts_english_unless_hibari_is_asked_for(self) -> None:
        assert english_converter("auto") == english_converter("espeak") == "espeak"

    def test_phonemes_in_a_text_stay_and_have_their_space(self) -> None:
        text = f"You say {marked('təˈmɑː toʊ')}, I say{marked('wɪn')}."
        assert ESPEAK.phonemes(text, "en-us") == "ju sˈA təˈmɑ tO, I sˈAwɪn."

    def test_english_is_written_in_the_signs_the_model_was_trained_on(self) -> None:
        assert ESPEAK.phonemes("Nice house.", "en-us") == "nˈIs hˈWs."

    def test_phonemes_are_the_same_from_many_threads_and_languages_at_once(self) -> None:
        jobs = [("Good morning, everybody.", "en-us"), ("Bonjour à tous.", "fr-fr"), ("Buenos días a todos.", "es")] * 20
        alone = [ESPEAK.phonemes(*job) for job in jobs[:3]]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda job: ESPEAK.phonemes(*job), jobs))
        assert together == alone * 20

    def test_hibari_is_for_english_only(self) -> None:
        assert HIBARI.phonemes("Bonjour.", "fr-fr") == ESPEAK.phonemes("Bonjour.", "fr-fr")


class TestHibari:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("hibari", reason="needs open-speech[hibari]")

    def test_it_converts_english_if_it_is_asked_for(self) -> None:
        assert english_converter("hibari") == "hibari"

    def test_sentences_are_one_text_again(self) -> None:
        assert HIBARI.phonemes("Nice house. Is it\n\nours?", "en-us") == "nˈIs hˈWs. ˌɪz ɪt ˈWəɹz?"

    def test_phonemes_in_a_text_stay_and_have_their_space(self) -> None:
        assert HIBARI.phonemes(f"I say {marked('təˈmɑː toʊ')}, not{marked('wɪn')}.", "en-us") == "ˌI sˈA təˈmɑ tO, nˌɑtwɪn."

    def test_each_accent_has_its_own_lexicon(self) -> None:
        assert [HIBARI.phonemes("The car.", language) for language in ("en-us", "en-gb")] == ["ðə kˈɑɹ.", "ðə kˈɑː."]

    def test_phonemes_are_the_same_from_many_threads(self) -> None:
        jobs = [("Good morning, everybody.", "en-us"), ("Good morning, everybody.", "en-gb"), ("Is it late?", "en-us")] * 20
        alone = [HIBARI.phonemes(*job) for job in jobs[:3]]
        fresh = G2P("hibari")
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda job: fresh.phonemes(*job), jobs)) == alone * 20


@pytest.mark.parametrize(("language", "module"), [("ja", "misaki.ja"), ("zh", "misaki.zh")])
def test_a_language_without_its_reader_names_the_extra(language: str, module: str) -> None:
    try:
        __import__(module)
    except ImportError:
        with pytest.raises(NotInstalled, match=rf"open-speech\[kokoro-{language}\]"):
            ESPEAK.phonemes("你好", language)
    else:
        assert ESPEAK.phonemes("你好", language)


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))  # None: an import of the module fails, and it is not found
from open_speech.errors import NotInstalled
from runners.support.g2p import G2P, english_converter
try:
    print({code})
except NotInstalled as missing:
    print(missing.param, missing.message)
"""
ESPEAK_MODULES, HIBARI_MODULES = ("phonemizer", "espeakng_loader", "kokoro_onnx", "piper"), ("hibari",)


def without(blocked: tuple[str, ...], code: str) -> str:
    """Run code in a process in which the modules are not installed; return what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT.format(blocked=blocked, code=code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout.strip()


def test_without_espeak_english_is_converted_by_hibari() -> None:
    pytest.importorskip("hibari", reason="needs open-speech[hibari]")
    assert without(ESPEAK_MODULES, "G2P(english_converter('auto')).phonemes('Nice house.', 'en-us')") == "nˈIs hˈWs."


@pytest.mark.parametrize("language", ["es", "fr-fr", "hi", "it", "pt-br"])
def test_without_espeak_another_language_names_the_extra(language: str) -> None:
    said = without(ESPEAK_MODULES, f"G2P('hibari').phonemes('Bonjour.', '{language}')")
    assert said == f"language Kokoro needs espeak-ng for the language `{language}`: `pip install 'open-speech[kokoro]'`."


def test_a_converter_that_is_asked_for_and_not_installed_names_its_extra() -> None:
    assert without(ESPEAK_MODULES, "english_converter('espeak')").endswith("=espeak): `pip install 'open-speech[kokoro]'`.")
    assert without(HIBARI_MODULES, "english_converter('hibari')").endswith("=hibari): `pip install 'open-speech[kokoro-en]'`.")
    assert "open-speech[kokoro]'` or `pip install 'open-speech[kokoro-en]'" in without(
        ESPEAK_MODULES + HIBARI_MODULES, "english_converter('auto')"
    )
