"""The rules that the languages of Western Europe share: numbers, money, units, ranges, dates, times, telephone numbers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_speech.text.normalization.european.language import FEMININE, MASCULINE, Language, Money, Noun
from open_speech.text.normalization.grammar import DASH, Grammar, Rule, SpokenForm, first_of, matching, word_before

_NUMBER = (
    r"(?:\d{1,3}(?:\.\d{3}){1,5}(?!\d)|\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3}){1,5}(?!\d|\.\d|[ -]\d)"
    r"|\d{1,3}(?:['’]\d{3}){1,5}(?!\d)|\d{1,18})"
    r"(?:,\d{1,12}(?![\d,]))?"
)
_ENGLISH_POINT = re.compile(r"\d{1,6}\.(?:\d{1,2}|\d{4,12})(?![\d.,])")
_PREFIX = frozenset(" \t\n([{\"'«„“¿¡:;,/")
_END = r"(?![^\W_]|[.,]\d)"
_MOST_DAYS, _MONTHS = 31, 12
_CENTS = 2
_PIVOT = 50


@dataclass(frozen=True)
class _Amount:
    """A number with its noun or currency."""

    digits: str
    """Digits with a full stop as the decimal mark."""
    minus: bool
    noun: Noun | None = None
    money: Money | None = None
    magnitude: tuple[Noun, int] | None = None


class Rules:
    """The rules for one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        units = "|".join(re.escape(unit) for unit in sorted(language.units, key=len, reverse=True))
        money = "|".join(re.escape(sign) for sign in sorted(language.currencies, key=len, reverse=True))
        magnitudes = "|".join(re.escape(word) for word in sorted(language.magnitudes, key=len, reverse=True))
        self._number = re.compile(_NUMBER)
        self._unit = re.compile(rf"[ \u00a0]?(?P<unit>{units}|%|m2|m3|km2)(?![^\W_]|[²³°^/])")
        self._before = re.compile(rf"(?P<money>{money})[ \u00a0]?(?=[-−]?\d)")
        self._after = re.compile(rf"[ \u00a0]?(?P<money>{money})(?![^\W_])")
        self._magnitude = re.compile(rf"[ \u00a0]?(?P<word>{magnitudes})(?![^\W_])")
        self._dash = re.compile(rf" ?{DASH} ?(?=[-−]?[\d$€£¥R])")
        self._counted_after, self._feminine = re.compile(language.counted), re.compile(language.feminine)
        self._months = "|".join(sorted(language.months, key=len, reverse=True))

    def grammar(self) -> Grammar:
        """Return the grammar; earlier rules take precedence."""
        language = self.language
        abbreviations = "|".join(re.escape(word) for word in sorted(language.abbreviations, key=len, reverse=True))
        short = matching(rf"({abbreviations})(?!\w)", self._short)
        address = matching(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}|(?:https?://|www\.)[^\s<>\"]{1,500}[\w/]", self._address)
        dates = first_of(self._iso(), self._numeric(), self._named())
        digits: tuple[Rule, ...] = (
            address, dates, self._clock(), self._years(), self._phone(), self._ordinal(), self._equation(), self.amount, self._plain(),
        )  # fmt: skip
        signs: tuple[Rule, ...] = (self._phone(), self.amount, short, self._sign())
        return Grammar(digits=digits, letters=(address, short, self.amount), signs=signs)

    def value(self, digits: str, noun: Noun | None = None, *, counted: bool = False) -> str:
        """Return the words of a number with the gender of the counted noun; decimals one by one."""
        whole, point, part = digits.partition(".")
        gender = noun.gender if noun else MASCULINE
        if len(whole) > 1 and whole[0] == "0" or len(whole) > 15:  # noqa: PLR2004 - longer numbers are spelled out
            return self.spelled(whole)
        words = self.language.cardinal(int(whole), MASCULINE if point else gender, counted and not point)
        return f"{words} {self.language.point} {self.spelled(part)}" if point else words

    def spelled(self, digits: str) -> str:
        """Return the words of digits one by one."""
        return " ".join(self.language.cardinal(int(digit), MASCULINE, False) for digit in digits)

    def amount(self, text: str, at: int) -> SpokenForm | None:
        """Read an amount, or two with a dash between them: `-5 °C`, `10,50 €`, `5–10 kg`, `3 Mio. €`."""
        first = self._amount(text, at, None)
        if first is None:
            return None
        low, end = first
        dash = self._dash.match(text, end)
        second = self._amount(text, dash.end(), low.money) if dash else None
        if second:
            high, end = second
            bare = (low.noun, low.money) in ((None, None), (high.noun, high.money))
            words = self._bare(low, high) if bare else self._amount_words(low)
            return SpokenForm(f"{words} {self.language.to} {self._amount_words(high)}", end)
        alone = low.noun or low.money or low.minus or low.magnitude
        return SpokenForm(self._amount_words(low), end) if alone else None

    def _amount(self, text: str, at: int, known: Money | None) -> tuple[_Amount, int] | None:
        minus, at = self._minus(text, at)
        money, start = known, at
        if found := self._before.match(text, at):
            money, start = self.language.currencies[found["money"]], found.end()
            inner, start = self._minus(text, start, inside=True)
            minus = minus or inner
        number = _ENGLISH_POINT.match(text, start) or self._number.match(text, start)
        if not number:
            return None
        digits = number[0] if number.re is _ENGLISH_POINT else re.sub(r"[. \u00a0\u2009\u202f'’]", "", number[0]).replace(",", ".")
        amount, end = self._tail(text, _Amount(digits, minus, money=money), number.end())
        return (amount, end) if re.compile(_END).match(text, end) else None

    def _tail(self, text: str, amount: _Amount, end: int) -> tuple[_Amount, int]:
        magnitude = None
        if found := self._magnitude.match(text, end):
            magnitude, end = self.language.magnitudes[found["word"]], found.end()
        if amount.money:
            return _Amount(amount.digits, amount.minus, None, amount.money, magnitude), end
        if found := self._after.match(text, end):
            return _Amount(amount.digits, amount.minus, None, self.language.currencies[found["money"]], magnitude), found.end()
        if found := self._unit.match(text, end):
            unit = found["unit"].replace("2", "²").replace("3", "³")
            noun = Noun(self.language.percent, self.language.percent) if unit == "%" else self.language.units[unit]
            return _Amount(amount.digits, amount.minus, noun, None, magnitude), found.end()
        return _Amount(amount.digits, amount.minus, None, None, magnitude), end

    def _minus(self, text: str, at: int, *, inside: bool = False) -> tuple[bool, int]:
        before = at == 0 or text[at - 1] in _PREFIX or inside
        is_sign = before and text[at : at + 1] in ("-", "−", "–") and re.match(r"[\d$€£¥R]", text[at + 1 : at + 2]) is not None
        return is_sign, at + is_sign

    def _amount_words(self, amount: _Amount) -> str:
        words = self._large(amount) if amount.magnitude else self._money(amount, amount.money) if amount.money else self._counted(amount)
        for pattern, elided in self.language.elisions:
            words = re.sub(pattern, elided, words)
        return f"{self.language.minus} {words}" if amount.minus else words

    def _bare(self, low: _Amount, high: _Amount) -> str:
        noun = high.noun or (high.money.whole if high.money else None)
        words = self.value(low.digits, noun)
        if low.magnitude and low.magnitude != high.magnitude:
            words = f"{words} {low.magnitude[0].many}"
        return f"{self.language.minus} {words}" if low.minus else words

    def _counted(self, amount: _Amount) -> str:
        noun = amount.noun
        if noun is None:
            return self.value(amount.digits)
        number = self.value(amount.digits, noun, counted=noun.one != self.language.percent)
        return f"{number} {noun.one if amount.digits == '1' else noun.many}"

    def _large(self, amount: _Amount) -> str:
        assert amount.magnitude is not None
        name, zeros = amount.magnitude
        counted = amount.money.whole if amount.money else amount.noun
        one = amount.digits == "1"
        words = f"{self.value(amount.digits, name, counted=True)} {name.one if one else name.many}"
        if zeros == 3:  # noqa: PLR2004 - a thousand is no noun
            words = words.removeprefix(f"{self.language.cardinal(1, name.gender, True)} ")
        if counted is None:
            return words
        of = self.language.of if zeros > 3 else ""  # noqa: PLR2004 - as above
        return f"{words} {f'{of} ' if of else ''}{counted.many}"

    def _money(self, amount: _Amount, money: Money) -> str:
        whole, point, cents = amount.digits.partition(".")
        if point and (money.part is None or len(cents) != _CENTS):
            return f"{self.value(amount.digits, money.whole)} {money.whole.many}"
        words = f"{self.value(whole, money.whole, counted=True)} {money.whole.one if whole == '1' else money.whole.many}"
        if int(whole) >= 10**6 and int(whole) % 10**6 == 0 and self.language.of:
            words = words.replace(f" {money.whole.many}", f" {self.language.of} {money.whole.many}")
        if not point or not int(cents) or money.part is None:
            return words
        part = f"{self.value(str(int(cents)), money.part, counted=True)} {money.part.one if int(cents) == 1 else money.part.many}"
        return part if whole == "0" else self.language.money(words, part)

    def _plain(self) -> Rule:
        def read(text: str, at: int) -> SpokenForm | None:
            found = _ENGLISH_POINT.match(text, at) or self._number.match(text, at)
            if not found:
                return None
            if found.re is _ENGLISH_POINT:
                digits = found[0]
            else:
                digits = re.sub(r"[. \u00a0\u2009\u202f'’]", "", found[0]).replace(",", ".")
            if re.fullmatch(r"1[1-9]\d\d", found[0]):
                return SpokenForm(self.language.year(int(found[0])), found.end())
            feminine = self._feminine.match(text, found.end()) is not None
            counted = feminine or self._counted_after.match(text, found.end()) is not None
            noun = Noun("", "", FEMININE if feminine else MASCULINE)
            return SpokenForm(self.value(digits, noun, counted=counted), found.end())

        return read

    def _date(self, day: int, month: int, digits: str, found: re.Match[str]) -> str | None:
        if not (1 <= month <= _MONTHS and 1 <= day <= _MOST_DAYS):
            return None
        if len(digits) == 2:  # noqa: PLR2004 - a short year
            digits = ("20" if int(digits) < _PIVOT else "19") + digits
        year = self.language.year(int(digits)) if digits else ""
        return self.language.date(day, month, year, word_before(found.string, found.start()))

    def _iso(self) -> Rule:
        return matching(r"(\d{4})-(\d{2})-(\d{2})(?![\w-])", lambda found: self._date(int(found[3]), int(found[2]), found[1], found))

    def _numeric(self) -> Rule:
        return matching(
            r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?![\w/]|[.,-]\d)",
            lambda found: self._date(int(found[1]), int(found[3]), found[4], found),
        )

    def _named(self) -> Rule:
        pattern = rf"(\d{{1,2}}){self.language.month_pattern}((?i:{self._months}))(?!\w)\.?(?:(?: de| del)? (\d{{4}})(?!\w|[.,]\d))?"
        return matching(pattern, lambda found: self._date(int(found[1]), self.language.months[found[2].lower()], found[3] or "", found))

    def _clock(self) -> Rule:
        def say(found: re.Match[str]) -> str | None:
            given = [group for group in found.groups() if group]
            hours, minutes = int(given[0]), int(given[1]) if len(given) > 1 else 0
            return self.language.clock(hours, minutes) if hours <= 24 and minutes < 60 else None  # noqa: PLR2004 - the clock

        rule = matching(self.language.clock_pattern, lambda found: say(found) if found[0] else None)
        dash = re.compile(rf" ?{DASH} ?")

        def read(text: str, at: int) -> SpokenForm | None:
            first = rule(text, at)
            joint = dash.match(text, first.end) if first else None
            second = rule(text, joint.end()) if joint else None
            return SpokenForm(f"{first.words} {self.language.to} {second.words}", second.end) if first and second else first

        return read

    def _years(self) -> Rule:
        def say(found: re.Match[str]) -> str | None:
            first, last = int(found[1]), int(found[2])
            return f"{self.language.year(first)} {self.language.to} {self.language.year(last)}" if first < last else None

        return matching(rf"(1[1-9]\d\d|20\d\d) ?{DASH} ?(1[1-9]\d\d|20\d\d)(?![\w%]|[.,]\d| ?[€$£])", say)

    def _phone(self) -> Rule:
        def say(found: re.Match[str]) -> str | None:
            groups = re.findall(r"\d+", found[0])
            if not 7 <= sum(map(len, groups)) <= 15:  # noqa: PLR2004 - digits of a telephone number
                return None
            return f"{f'{self.language.plus} ' if found[0][0] == '+' else ''}{', '.join(self.spelled(group) for group in groups)}"

        return matching(r"(?:\+\d{1,3}|\(?0\d{1,5}\)?)(?:[ /.-]?\(?\d{1,8}\)?){1,6}(?![\w%€$£]|[.,]\d)", say)

    def _ordinal(self) -> Rule:
        def say(found: re.Match[str]) -> str | None:
            mark, value = found[2] or "", int(found[1])
            before = word_before(found.string, found.start())
            if not mark and (not before or before.lower() not in _ARTICLES):
                return None
            feminine = mark in ("ª", "a") or mark.startswith(("re", "ère"))
            return self.language.ordinal(value, FEMININE if feminine else MASCULINE, before) if value else None

        return matching(rf"(\d{{1,3}}){self.language.ordinal_pattern}", say)

    def _equation(self) -> Rule:
        number = r"-?\d{1,9}(?:,\d{1,6})?"
        names = {"+": self.language.plus, "-": self.language.minus, "−": self.language.minus, "=": self.language.equals}

        def say(found: re.Match[str]) -> str | None:
            if "=" not in found[0] and "+" not in found[0]:
                return None
            parts = re.split(r" ([-+−=]) ", found[0])
            return " ".join(names[part] if at % 2 else self.value(part.replace(",", ".")) for at, part in enumerate(parts))

        return matching(rf"{number}(?: [-+−=] {number}){{1,10}}{_END}", say)

    def _sign(self) -> Rule:
        names = {"&": self.language.both, "=": self.language.equals, "+": self.language.plus, "%": self.language.percent}

        def say(found: re.Match[str]) -> str | None:
            text, start, end = found.string, found.start(), found.end()
            isolated = (start == 0 or text[start - 1].isspace()) and (end == len(text) or text[end].isspace())
            return names[found[0]] if isolated else None

        return matching(r"[&=+%]", say)

    def _short(self, found: re.Match[str]) -> str | None:
        text = found.string
        at_end = not text[found.end() :].strip()
        if len(found[1]) <= 2 and found[1].endswith(".") and not re.match(r" ?[A-ZÀ-Ý\d]", text[found.end() :]):  # noqa: PLR2004
            return None
        return self.language.abbreviations[found[1]] + ("." if at_end and found[1].endswith(".") else "")

    def _address(self, found: re.Match[str]) -> str:
        text = re.sub(r"^https?://", "", found[0]).rstrip("/")
        return " ".join("".join(f" {self.language.signs[char]} " if char in self.language.signs else char for char in text).split())


_ARTICLES = frozenset("der die das dem den am im zum vom beim des einem".split())
