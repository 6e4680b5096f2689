"""Amounts, and ranges of them: a sign, a currency, a number, a magnitude and a unit, each of which may be missing. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from open_speech.text.normalization.english import currencies
from open_speech.text.normalization.english.currencies import Currency
from open_speech.text.normalization.english.numbers import END, NUMBER, VULGAR, digits_of, mixed, part_of
from open_speech.text.normalization.english.units import UNITS, Unit, per_at, unit_at
from open_speech.text.normalization.grammar import DASH, SpokenForm, describes
from open_speech.text.numbers_en import cardinal, number

_PREFIX = re.compile(r"(?P<words><=|>=|[<>≤≥~≈±+]|(?P<minus>[-−–]))(?P<space> ?)(?=[^\W_]|[$€£¥₹.(±½-¾⅐-⅞-])")
_PREFIXES = {
    "<": "less than", ">": "more than", "<=": "at most", "≤": "at most", ">=": "at least", "≥": "at least", "~": "about", "≈": "about",
    "±": "plus or minus", "+": "plus",
}  # fmt: skip
_MAY_PRECEDE_A_SIGN = frozenset(" \t\n([{\"'“‘=:;,/|")
_NUMBER = re.compile(rf"{NUMBER}|\.\d{{1,12}}")
_COMMA_CENTS = re.compile(r"\d{1,3}(?:\.\d{3}){0,4},\d{2}(?![\d.,]\d|\d)")
_MIXED = re.compile(r"(\d{1,4})[ -](\d{1,2})[/⁄](\d{1,3})(?![\w/]|[.,]\d)")
_VULGAR = re.compile(rf"(?:(\d{{1,9}})[ ⁄]?)?([{''.join(VULGAR)}])")
_MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "mln": "million", "MM": "million", "mm": "million",
    "bn": "billion", "bln": "billion", "b": "billion", "B": "billion", "t": "trillion", "T": "trillion", "tn": "trillion",
    "trn": "trillion",
}  # fmt: skip
_MONEY_MAGNITUDE = re.compile(
    r"[ -]?(?P<word>hundred|thousand|million|billion|trillion)s?\b|(?P<short> ?(?:mln|bln|trn|mn|bn|tn|MM|mm|[kKmMbBtT]))(?![^\W_]|%)"
)
_MAGNITUDE = re.compile(
    r"[ -](?P<word>hundred|thousand|million|billion|trillion)\b"
    r"|(?P<short>k|K|M|(?: ?(?:mn|mln|bn|bln|trn|tn))"
    r"|m(?= ?[€£]| (?:EUR|USD|GBP|CHF)\b| (?:people|users|customers|viewers|views|subscribers|jobs|homes|homeless"
    r"|households|residents|followers|downloads|voters|votes|tonnes|barrels|times)\b))(?![^\W_]|[²³/])"
)
_SMALL_K = {"2", "4", "5", "8"}
"""`4K` is a resolution and `5K` a run; these are spoken as `four K`."""
_FRACTION = re.compile(r"(\d{1,2})[/⁄](\d{1,3})(?![\w/⁄]|[.,]\d)")
_DASH = re.compile(rf"(?: ?(?:{DASH}|…|\.\.\.?|~) ?)(?=[-−+]?[^\W_]|[$€£¥₹.±½-¾⅐-⅞-])")
_NO_RANGE_AFTER = re.compile(rf"{DASH}\w")
_TENS_OF_CENTS = 2


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its unit or currency. `digits` is empty if the number is a fraction, whose words are in `words`."""

    words: str
    digits: str = ""
    sign: str = ""
    """Words before the number, such as `minus`."""
    magnitude: str = ""
    unit: Unit | None = None
    currency: Currency | None = None
    per: str = ""
    adjective: bool = False
    is_part: bool = False
    """A fraction below one: `half a mile`."""
    is_plain_fraction: bool = False
    """Written with a slash, which has other meanings without a unit."""

    @property
    def has_tail(self) -> bool:
        """Whether it says what is counted."""
        return self.unit is not None or self.currency is not None

    def say(self) -> str:
        """Return the words."""
        if self.currency is not None:
            spoken = self._money(self.currency)
        else:
            spoken = " ".join(filter(None, (self.words, self.magnitude, self._unit())))
        return " ".join(filter(None, (self.sign, spoken, self.per)))

    def number(self) -> str:
        """Return the words for the number alone, with its sign and magnitude."""
        return " ".join(filter(None, (self.sign, self.words, self.magnitude)))

    def _unit(self) -> str:
        if self.unit is None:
            return ""
        if self.is_part and self.unit.many != "percent":
            article = "an" if self.unit.one[0] in "aeiou" or self.unit.one.startswith("hour") else "a"
            return f"of {article} {self.unit.one}"
        return self.unit.one if self.adjective or (self.digits == "1" and not self.magnitude) else self.unit.many

    def _money(self, currency: Currency) -> str:
        if self.magnitude or not self.digits:
            return " ".join(filter(None, (self.words, self.magnitude, currency.one if self.adjective else currency.many)))
        whole, point, cents = self.digits.partition(".")
        whole = whole or "0"
        one = whole == "1" or self.adjective
        if point and (not currency.part or len(cents) != _TENS_OF_CENTS):
            return f"{number(self.digits)} {currency.many}"
        spoken = f"{cardinal(whole)} {currency.one if one else currency.many}"
        if not point or cents == "00":
            return spoken
        small = f"{cardinal(cents.lstrip('0'))} {currency.part if cents == '01' else currency.parts}"
        return small if whole == "0" else f"{spoken} and {small}"


def amount_at(text: str, at: int, known: Currency | None = None) -> tuple[Amount, int] | None:
    """Read one amount: `-$5`, `£3m`, `2.5 million km`, `1 1/2 cups`, `10%`; `known` is the currency of the amount before a dash."""
    sign, start = _sign(text, at)
    money = currencies.before(text, start) if start < len(text) and text[start] in currencies.STARTS else None
    if money and not sign:
        sign, start = _sign(text, money[1], inside=True)
    elif money:
        start = money[1]
    read = _number(text, start, is_money=money is not None)
    if read is None:
        return None
    amount, end = replace(read[0], sign=sign), read[1]
    currency = money[0] if money else known
    tail = None if currency else _decimal_comma(text, start)
    if currency is not None:
        amount, end = _with_currency(text, amount, end, currency)
    elif tail is not None:
        amount, end = replace(tail[0], sign=sign), tail[1]
    else:
        amount, end = _with_unit(text, amount, end)
    if _is_cut(text, end):
        return None
    if amount.has_tail and not amount.per and (per := per_at(text, end)):
        amount, end = replace(amount, per=per[0]), per[1]
    return amount, end


def read_amount(text: str, at: int) -> SpokenForm | None:
    """Read an amount, or two with a dash between them: `$20-30`, `10%–20%`, `5-10 kg`. A bare number is left to other rules."""
    first = amount_at(text, at)
    if first is None:
        return None
    low, end = first
    if low.has_tail and describes(text, at, end):
        low = replace(low, adjective=True)
    if (span := _span(text, low, end)) is not None:
        return span
    whole = low.has_tail or low.magnitude or low.sign or "," in text[at:end] or (not low.digits and not low.is_plain_fraction)
    return SpokenForm(low.say(), end) if whole else None


def _span(text: str, low: Amount, end: int) -> SpokenForm | None:
    dash = _DASH.match(text, end)
    second = amount_at(text, dash.end(), low.currency) if dash else None
    if second is None or _NO_RANGE_AFTER.match(text, second[1]) and not second[0].has_tail:
        return None
    high, end = second
    if low.currency is not None and high.unit is None and high.currency is None:
        high = replace(high, currency=low.currency)
    if low.per and not high.per:
        high, low = replace(high, per=low.per), replace(low, per="")
    alike = (low.unit, low.currency) == (high.unit, high.currency)
    if not low.has_tail or (alike and not _has_cents(low) and not _has_cents(high)):
        if not low.magnitude or low.magnitude == high.magnitude:
            low = replace(low, magnitude="")
        return SpokenForm(f"{low.number()} to {high.say()}", end)
    return SpokenForm(f"{low.say()} to {high.say()}", end)


def _has_cents(amount: Amount) -> bool:
    return amount.currency is not None and not amount.magnitude and "." in amount.digits


def _sign(text: str, at: int, *, inside: bool = False) -> tuple[str, int]:
    found = _PREFIX.match(text, at)
    if not found or (not inside and at and text[at - 1] not in _MAY_PRECEDE_A_SIGN):
        return "", at
    if found["minus"]:
        return ("", at) if found["space"] else ("minus", found.end())
    end = found.end()
    words = _PREFIXES[found["words"]]
    nested, further = _sign(text, end, inside=True) if found["words"] not in "+±" else ("", end)
    return f"{words} {nested}".rstrip(), further


def _number(text: str, at: int, *, is_money: bool) -> tuple[Amount, int] | None:
    if found := _MIXED.match(text, at):
        top, bottom = int(found[2]), int(found[3])
        if 0 < top < bottom:
            return Amount(mixed(found[1], top, bottom)), found.end()
    if found := _VULGAR.match(text, at):
        top, bottom = VULGAR[found[2]]
        if found[1]:
            return Amount(mixed(found[1], top, bottom)), found.end()
        return Amount(part_of(top, bottom), is_part=True), found.end()
    if is_money and (found := _COMMA_CENTS.match(text, at)):
        digits = found[0].replace(".", "").replace(",", ".")
        return Amount(number(digits), digits), found.end()
    if found := _FRACTION.match(text, at):
        top, bottom = int(found[1]), int(found[2])
        if 0 < top < bottom:
            return Amount(part_of(top, bottom), is_part=True, is_plain_fraction=True), found.end()
    if not (found := _NUMBER.match(text, at)):
        return None
    digits = digits_of(found[0])
    return Amount(number(digits), digits), found.end()


def _with_currency(text: str, amount: Amount, end: int, currency: Currency) -> tuple[Amount, int]:
    found = _MONEY_MAGNITUDE.match(text, end)
    if found:
        short = (found["short"] or "").strip()
        amount, end = replace(amount, magnitude=found["word"] or _MAGNITUDES[short]), found.end()
    if word := re.compile(rf" {currency.many}(?!\w)").match(text, end):
        end = word.end()
    # `$5 USD` names the currency twice, and the code is more precise.
    again = currencies.after(text, end)
    if again and again[0].part == currency.part:
        currency, end = again
    adjective = not found and currencies.is_adjective(text, end)
    return replace(amount, currency=currency, adjective=adjective), end


_SHORT_NAME = 3
_COMMA = re.compile(r"\d{1,3}(?:\.\d{3}){0,4},\d{1,2}(?![\d,]|\.\d)")
_UNIT_NAME = re.compile(
    rf" (?:{'|'.join(sorted({unit.many for unit in UNITS.values() if ' ' not in unit.many and len(unit.many) > 3}))})\b"
)


_POINTS = re.compile(r"\d{1,3}(?:\.\d{3}){2,5}(?:,\d{1,2})?(?![\d,]|\.\d)")


def _decimal_comma(text: str, at: int) -> tuple[Amount, int] | None:
    """Read a number with a decimal comma if a unit or a currency follows: `2,50 €`. Without one it may be a list."""
    found = _POINTS.match(text, at) or _COMMA.match(text, at)
    if not found:
        return None
    digits = found[0].replace(".", "").replace(",", ".")
    amount, end = _with_unit(text, Amount(number(digits), digits), found.end())
    return (amount, end) if amount.has_tail or _UNIT_NAME.match(text, end) else None


def _with_unit(text: str, amount: Amount, end: int) -> tuple[Amount, int]:
    magnitude = _magnitude(text, amount, end)
    if magnitude is None and (measured := unit_at(text, end)):
        return replace(amount, unit=measured.unit, adjective=measured.adjective), measured.end
    if magnitude is None and (money := currencies.after(text, end)):
        return replace(amount, currency=money[0]), money[1]
    if magnitude is None:
        return amount, end
    amount, end = replace(amount, magnitude=magnitude[0]), magnitude[1]
    if money := currencies.after(text, end):
        return replace(amount, currency=money[0]), money[1]
    if measured := unit_at(text, end):
        return replace(amount, unit=measured.unit), measured.end
    return amount, end


def _magnitude(text: str, amount: Amount, end: int) -> tuple[str, int] | None:
    found = _MAGNITUDE.match(text, end)
    if not found:
        return None
    if found["short"] == "K" and amount.digits in _SMALL_K:
        return None
    return found["word"] or _MAGNITUDES[found["short"].strip()], found.end()


_END = re.compile(END)


def _is_cut(text: str, end: int) -> bool:
    """Return whether letters or digits follow that belong to the amount."""
    return _END.match(text, end) is None
