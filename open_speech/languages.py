"""Languages by code and English name: the hundred languages of Whisper, and other usual codes and names for them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from open_speech.errors import UnsupportedLanguage

LANGUAGES = {
    "af": "afrikaans", "am": "amharic", "ar": "arabic", "as": "assamese", "az": "azerbaijani", "ba": "bashkir", "be": "belarusian",
    "bg": "bulgarian", "bn": "bengali", "bo": "tibetan", "br": "breton", "bs": "bosnian", "ca": "catalan", "cs": "czech",
    "cy": "welsh", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "et": "estonian", "eu": "basque",
    "fa": "persian", "fi": "finnish", "fo": "faroese", "fr": "french", "gl": "galician", "gu": "gujarati", "ha": "hausa",
    "haw": "hawaiian", "he": "hebrew", "hi": "hindi", "hr": "croatian", "ht": "haitian creole", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "is": "icelandic", "it": "italian", "ja": "japanese", "jw": "javanese", "ka": "georgian", "kk": "kazakh",
    "km": "khmer", "kn": "kannada", "ko": "korean", "la": "latin", "lb": "luxembourgish", "ln": "lingala", "lo": "lao",
    "lt": "lithuanian", "lv": "latvian", "mg": "malagasy", "mi": "maori", "mk": "macedonian", "ml": "malayalam", "mn": "mongolian",
    "mr": "marathi", "ms": "malay", "mt": "maltese", "my": "myanmar", "ne": "nepali", "nl": "dutch", "nn": "nynorsk",
    "no": "norwegian", "oc": "occitan", "pa": "punjabi", "pl": "polish", "ps": "pashto", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sa": "sanskrit", "sd": "sindhi", "si": "sinhala", "sk": "slovak", "sl": "slovenian", "sn": "shona",
    "so": "somali", "sq": "albanian", "sr": "serbian", "su": "sundanese", "sv": "swedish", "sw": "swahili", "ta": "tamil",
    "te": "telugu", "tg": "tajik", "th": "thai", "tk": "turkmen", "tl": "tagalog", "tr": "turkish", "tt": "tatar", "uk": "ukrainian",
    "ur": "urdu", "uz": "uzbek", "vi": "vietnamese", "yi": "yiddish", "yo": "yoruba", "yue": "cantonese", "zh": "chinese",
}  # fmt: skip
"""Code -> English name in lower case, both as in Whisper: `jw` is Javanese, which is `jv` in ISO-639-1."""

_OTHER_NAMES = {
    "bokmål": "no", "burmese": "my", "castilian": "es", "farsi": "fa", "filipino": "tl", "flemish": "nl", "haitian": "ht",
    "letzeburgesch": "lb", "mandarin": "zh", "moldavian": "ro", "moldovan": "ro", "panjabi": "pa", "pushto": "ps", "sinhalese": "si",
    "valencian": "ca",
}  # fmt: skip
_OTHER_CODES = {"cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "ji": "yi", "jv": "jw", "mo": "ro", "nb": "no"}
_LETTERS_3 = (
    "afr af  amh am  ara ar  arb ar  asm as  aze az  azj az  bak ba  bel be  bul bg  ben bn  bod bo  tib bo  bre br  bos bs  "
    "cat ca  ces cs  cze cs  cym cy  wel cy  dan da  deu de  ger de  ell el  gre el  eng en  spa es  est et  ekk et  eus eu  "
    "baq eu  fas fa  per fa  pes fa  fin fi  fao fo  fra fr  fre fr  glg gl  guj gu  hau ha  heb he  hin hi  hrv hr  hat ht  "
    "hun hu  hye hy  arm hy  ind id  isl is  ice is  ita it  jpn ja  jav jw  kat ka  geo ka  kaz kk  khm km  kan kn  kor ko  "
    "lat la  ltz lb  lin ln  lao lo  lit lt  lav lv  lvs lv  mlg mg  plt mg  mri mi  mao mi  mkd mk  mac mk  mal ml  mon mn  "
    "khk mn  mar mr  msa ms  may ms  zsm ms  mlt mt  mya my  bur my  nep ne  npi ne  nld nl  dut nl  nno nn  nor no  nob no  "
    "oci oc  pan pa  pol pl  pus ps  pbt ps  por pt  ron ro  rum ro  mol ro  rus ru  san sa  snd sd  sin si  slk sk  slo sk  "
    "slv sl  sna sn  som so  sqi sq  alb sq  als sq  srp sr  sun su  swe sv  swa sw  swh sw  tam ta  tel te  tgk tg  tha th  "
    "tuk tk  tgl tl  tur tr  tat tt  ukr uk  urd ur  uzb uz  uzn uz  vie vi  yid yi  ydd yi  yor yo  zho zh  chi zh  "
).split()
"""Pairs of a three-letter code and Whisper's code: both variants of ISO 639-2, and ISO 639-3 codes that clients use for a language."""
_OTHER_CODES |= dict(zip(_LETTERS_3[::2], _LETTERS_3[1::2], strict=True))
DETECT = frozenset({"auto", "detect", "und"})
"""Values that request detection of the language, like an absent value."""
_CODES = {**{name: code for code, name in LANGUAGES.items()}, **_OTHER_NAMES, **_OTHER_CODES}


def language_code(value: str) -> str | None:
    """Return the code of a language written in any usual form: `en`, `EN`, `en-US`, `en_US`, `eng`, `English`; None if it is unknown.

    The region and script of a tag are dropped. Chinese of Hong Kong stays `zh`: `yue` is selected by its own code or name only.
    """
    wanted = value.strip().lower()
    if wanted in _CODES:
        return _CODES[wanted]
    primary = wanted.replace("_", "-").partition("-")[0]
    return primary if primary in LANGUAGES else _OTHER_CODES.get(primary)


def requested_language(value: str | None, field: str) -> str | None:
    """Return the code of the language that a request names in `field`; None if it names none or requests detection (`auto`).

    Raises UnsupportedLanguage naming the field for a value that is not a language.
    """
    wanted = (value or "").strip()
    if not wanted or wanted.lower() in DETECT:
        return None
    code = language_code(wanted)
    if code is None:
        raise UnsupportedLanguage(f"`{wanted[:40]}` is not a language: send an ISO 639-1 code such as `en`, or `auto`.", param=field)
    return code


def requested_languages(values: Iterable[str], field: str) -> tuple[str, ...]:
    """Return the codes of the candidate languages that a request lists in `field`, without duplicates; none if `auto` is among them.

    Raises UnsupportedLanguage naming the field for a value that is not a language.
    """
    codes = [requested_language(value, field) for value in values]
    return () if None in codes else tuple(dict.fromkeys(code for code in codes if code))


def language_tag(value: str | None) -> str | None:
    """Return the BCP-47 tag of the language to speak: `English` and `eng` become `en`, `en-GB` stays, `auto` and an empty value give None.

    A value that is not a language is returned unchanged, so that the model of the voice rejects it by name.
    """
    wanted = (value or "").strip()
    if not wanted or wanted.lower() in DETECT:
        return None
    primary, _, rest = wanted.replace("_", "-").partition("-")
    known = primary.lower() in LANGUAGES or len(primary) == 2  # noqa: PLR2004 - a two-letter code is a tag already
    code = None if known else language_code(wanted)
    return wanted if code is None else f"{code}-{rest}" if rest and primary.lower() in _OTHER_CODES else code


def language_name(code: str) -> str:
    """Return the English name of a language in lower case, as in `verbose_json`; an unknown code is returned unchanged."""
    return LANGUAGES.get(code, code)
