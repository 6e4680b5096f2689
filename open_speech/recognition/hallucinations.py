"""Phrases that Whisper returns for audio without speech: closing words of the videos in its training data. Pure.

A phrase alone is no proof, because people do say "thank you". It is dropped only if the decoder itself was unsure that there was speech.
"""

from __future__ import annotations

import re

from open_speech.transcript import Segment

PHRASES = {
    "en": (
        "thank you", "thanks", "thanks for watching", "thank you for watching", "thank you very much", "thank you so much", "bye", "you",
        "please subscribe", "subscribe", "like and subscribe", "see you in the next video", "ill see you next time", "music", "applause",
        "silence", "the end", "subtitles by the amara org community", "so", "oh", "hmm", "i",
    ),
    "de": (
        "vielen dank", "untertitel der amara org community", "untertitelung des zdf 2020", "untertitel im auftrag des zdf", "tschüss",
        "musik",
    ),
    "fr": (
        "merci", "merci davoir regardé cette vidéo", "soustitres réalisés par la communauté damara org", "soustitrage st 501", "musique",
    ),
    "es": ("gracias", "gracias por ver el video", "subtítulos realizados por la comunidad de amara org", "suscríbete", "música"),
    "it": ("grazie", "grazie per la visione", "sottotitoli creati dalla comunità amara org", "sottotitoli e revisione a cura di qtss"),
    "pt": ("obrigado", "obrigada", "legendas pela comunidade amara org", "inscrevase no canal", "tchau"),
    "nl": ("dank u wel", "bedankt voor het kijken", "ondertiteling door de amara org gemeenschap", "tv gelderland 2021"),
    "pl": ("dziękuję", "dziękuję za uwagę", "napisy stworzone przez społeczność amara org"),
    "ru": ("спасибо", "спасибо за просмотр", "продолжение следует", "субтитры сделал dimatorzok", "субтитры создавал dimatorzok"),
    "ja": ("ご視聴ありがとうございました", "ありがとうございました", "おやすみなさい", "字幕"),
    "zh": ("谢谢", "谢谢观看", "谢谢大家", "請不吝點贊訂閱轉發打賞支持明鏡與點點欄目", "字幕由amaraorg社区提供"),
    "ko": ("감사합니다", "시청해주셔서 감사합니다", "구독과 좋아요 부탁드립니다"),
    "tr": ("teşekkürler", "izlediğiniz için teşekkür ederim", "altyazı mk"),
}  # fmt: skip
UNSURE_LOGPROB = -1.0
"""Mean log-probability below which the decoder is unsure. A text of one or two words never has a high one: these phrases, spoken alone by
six voices, had -0.93 and more. " You" in the sound of breathing had -1.07."""
UNSURE_NO_SPEECH = 0.3
"""Probability of silence above which the decoder is unsure: at most 0.26 for the spoken phrases, 0.59 for the breathing."""
_PUNCTUATION = re.compile(r"[^\w\s]", re.UNICODE)


def is_hallucination(segment: Segment, language: str) -> bool:
    """Return whether a segment is a known phrase of its language, and the decoder was unsure that there was speech."""
    unsure = segment.no_speech_prob > UNSURE_NO_SPEECH or segment.avg_logprob < UNSURE_LOGPROB
    return unsure and plain(segment.text) in PHRASES.get(language, ())


def plain(text: str) -> str:
    """Return text in lower case, without punctuation, with single spaces."""
    return " ".join(_PUNCTUATION.sub("", text.lower().replace(".org", " org")).split())
