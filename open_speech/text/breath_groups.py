"""Breath groups: positions within a clause at which a reader may take a breath, before a function word.

Otherwise a first sentence without a comma is synthesized in one piece, and no audio is available until it is complete. Groups of words that
are spoken in one breath begin with a function word after a content word (Liberman and Church, "Text analysis and word pronunciation in
text-to-speech synthesis", 1992, call them chinks and chunks). Pure: a word list per language; languages without a list are not split.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_STRONG = {
    "en": "and or but because although though while when where whether if unless until since after before that which who whose than as "
    "in on at by for from with without within about into onto over under between through during against toward towards across around near",
    "de": "und oder aber weil obwohl während wenn wo ob bis seit nachdem bevor dass welcher welche welches als "
    "in im an am auf aus bei mit nach von vom vor zu zum zur für durch gegen ohne um über unter zwischen",
    "es": "y e o u pero porque aunque mientras cuando donde si hasta desde después antes que cual quien como "
    "en a al con sin por para de del sobre entre hacia contra durante",
    "fr": "et ou mais parce quoique tandis quand lorsque où si jusque depuis après avant que qui dont comme "
    "dans en à au aux avec sans par pour de du des sur sous entre vers contre pendant chez",
    "it": "e ed o ma perché benché mentre quando dove se finché dopo prima che cui come "
    "in nel nella con senza per da dal dalla di del della su sul sulla tra fra verso contro durante a al alla",
    "pt": "e ou mas porque embora enquanto quando onde se até desde depois antes que quem como "
    "em no na com sem por para de do da sobre entre contra durante a ao à",
}
_WEAK = {
    "en": "the a an this these those my your his her its our their some any every each no to of is are was were will would can could "
    "should may might must has have had do does did not",
    "de": "der die das den dem des ein eine einen einem einer sein seine ihr ihre unser unsere dieser diese dieses nicht",
    "es": "el la los las un una unos unas este esta estos estas su sus mi mis no",
    "fr": "le la les un une ce cette ces son sa ses leur leurs mon ma mes ne",
    "it": "il lo la i gli le un uno una questo questa suo sua non",
    "pt": "o os as um uma este esta seu sua não",
}
_LISTS = {
    language: (frozenset(_STRONG[language].split()), frozenset(_STRONG[language].split()) | frozenset(_WEAK[language].split()))
    for language in _STRONG
}


def breath(text: str, language: str, shortest: int, longest: int) -> int:
    """Return the position of a breath group where `text` may be split, with at least `shortest` characters before and after it.

    It is the first position within `longest` characters before a conjunction, a relative word or a preposition, else the first before
    another function word. 0 if there is none, or if the language (a BCP-47 tag) has no word list.
    """
    lists = _LISTS.get(language.lower().replace("_", "-").partition("-")[0])
    if lists is None:
        return 0
    strong, function_words = lists
    weak, before = 0, ""
    for match in _WORD.finditer(text):
        word, place = match[0].lower(), match.start()
        if place > min(longest, len(text) - shortest):
            break
        if place >= shortest and text[place - 1].isspace() and word in function_words and before not in function_words:
            if word in strong:
                return place
            weak = weak or place
        before = word
    return weak
