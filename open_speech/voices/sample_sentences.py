"""A short sentence in each language, for samples of voices."""

from __future__ import annotations

_SENTENCES = {
    "ar": "مرحبا، هكذا يبدو صوتي.",
    "bg": "Здравейте, така звучи моят глас.",
    "ca": "Hola, així sona la meva veu.",
    "cs": "Dobrý den, takhle zní můj hlas.",
    "cy": "Helô, dyma sut mae fy llais yn swnio.",
    "da": "Hej, sådan lyder min stemme.",
    "de": "Guten Tag, so klingt meine Stimme.",
    "el": "Γεια σας, έτσι ακούγεται η φωνή μου.",
    "en": "Hello, this is how my voice sounds.",
    "es": "Hola, así suena mi voz.",
    "et": "Tere, nii kõlab minu hääl.",
    "fa": "سلام، صدای من این‌طور است.",
    "fi": "Hei, tältä ääneni kuulostaa.",
    "fr": "Bonjour, voici comment sonne ma voix.",
    "he": "שלום, כך נשמע הקול שלי.",
    "hi": "नमस्ते, मेरी आवाज़ ऐसी है।",
    "hu": "Jó napot, így szól a hangom.",
    "id": "Halo, beginilah suara saya.",
    "is": "Halló, svona hljómar röddin mín.",
    "it": "Ciao, ecco come suona la mia voce.",
    "ja": "こんにちは、これが私の声です。",
    "ko": "안녕하세요, 제 목소리는 이렇습니다.",
    "lb": "Moien, sou kléngt meng Stëmm.",
    "lv": "Labdien, tā skan mana balss.",
    "nl": "Hallo, zo klinkt mijn stem.",
    "no": "Hei, slik høres stemmen min ut.",
    "pl": "Dzień dobry, tak brzmi mój głos.",
    "pt": "Olá, é assim que soa a minha voz.",
    "ro": "Bună, așa sună vocea mea.",
    "ru": "Здравствуйте, так звучит мой голос.",
    "sk": "Dobrý deň, takto znie môj hlas.",
    "sl": "Dober dan, tako zveni moj glas.",
    "sq": "Përshëndetje, kështu tingëllon zëri im.",
    "sr": "Dobar dan, ovako zvuči moj glas.",
    "sv": "Hej, så här låter min röst.",
    "tr": "Merhaba, sesim böyle.",
    "uk": "Добрий день, так звучить мій голос.",
    "vi": "Xin chào, đây là giọng nói của tôi.",
    "zh": "你好，这就是我的声音。",
}
_OTHER_LANGUAGES = "1, 2, 3, 4, 5."
"""For other languages: voices read digits in their own language."""


def greeting(language: str | None) -> str:
    """Return the sentence for a BCP-47 tag; None, for a voice of unknown language, returns the English one."""
    code = (language or "en").lower().replace("_", "-").partition("-")[0]
    return _SENTENCES.get({"nb": "no", "nn": "no"}.get(code, code), _OTHER_LANGUAGES)
