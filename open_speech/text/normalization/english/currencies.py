"""Currencies: signs and codes, before and after an amount, and the words for whole units and their parts. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple


class Currency(NamedTuple):
    """The singular and plural of a currency and of its hundredth part; empty if it has none."""

    one: str
    many: str
    part: str = ""
    parts: str = ""


_DOLLAR = Currency("dollar", "dollars", "cent", "cents")
_POUND = Currency("pound", "pounds", "penny", "pence")
_RUPEE = Currency("rupee", "rupees", "paisa", "paise")
_CENT = Currency("cent", "cents")
_YEN = Currency("yen", "yen")
_KRONA = Currency("Swedish krona", "Swedish kronor", "öre", "öre")
_ZLOTY = Currency("zloty", "zlotys", "grosz", "groszy")


def _dollar(country: str) -> Currency:
    return Currency(f"{country} dollar", f"{country} dollars", "cent", "cents")


SIGNS = {
    "$": _DOLLAR, "€": Currency("euro", "euros", "cent", "cents"), "£": _POUND, "¥": _YEN, "₹": _RUPEE, "₩": Currency("won", "won"),
    "¢": _CENT, "₽": Currency("rouble", "roubles", "kopeck", "kopecks"), "₿": Currency("bitcoin", "bitcoins"),
    "₺": Currency("lira", "lira", "kurush", "kurush"), "₴": Currency("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
    "₪": Currency("shekel", "shekels", "agora", "agorot"), "฿": Currency("baht", "baht", "satang", "satang"),
    "₫": Currency("dong", "dong"), "₱": Currency("peso", "pesos", "centavo", "centavos"), "₦": Currency("naira", "naira", "kobo", "kobo"),
    "₸": Currency("tenge", "tenge"), "₵": Currency("cedi", "cedis", "pesewa", "pesewas"), "₡": Currency("colón", "colones"),
    "Ξ": Currency("ether", "ether"),
}  # fmt: skip
PREFIXES = {
    "US$": _dollar("US"), "A$": _dollar("Australian"), "AU$": _dollar("Australian"), "C$": _dollar("Canadian"),
    "CA$": _dollar("Canadian"), "NZ$": _dollar("New Zealand"), "HK$": _dollar("Hong Kong"), "S$": _dollar("Singapore"),
    "NT$": _dollar("Taiwan"), "R$": Currency("real", "reais", "centavo", "centavos"),
    "MX$": Currency("Mexican peso", "Mexican pesos", "centavo", "centavos"),
    "Rs.": _RUPEE, "Rs": _RUPEE,
}  # fmt: skip
CODES = {
    "USD": _dollar("US"), "EUR": SIGNS["€"], "GBP": Currency("British pound", "British pounds", "penny", "pence"), "JPY": _YEN,
    "CHF": Currency("Swiss franc", "Swiss francs", "centime", "centimes"), "AUD": _dollar("Australian"), "CAD": _dollar("Canadian"),
    "NZD": _dollar("New Zealand"), "HKD": _dollar("Hong Kong"), "SGD": _dollar("Singapore"), "CNY": Currency("yuan", "yuan"),
    "RMB": Currency("yuan", "yuan"), "INR": Currency("Indian rupee", "Indian rupees", "paisa", "paise"), "SEK": _KRONA,
    "NOK": Currency("Norwegian krone", "Norwegian kroner", "øre", "øre"), "DKK": Currency("Danish krone", "Danish kroner", "øre", "øre"),
    "PLN": _ZLOTY, "CZK": Currency("Czech crown", "Czech crowns"),
    "BRL": Currency("Brazilian real", "Brazilian reais", "centavo", "centavos"),
    "MXN": PREFIXES["MX$"], "ZAR": Currency("rand", "rand", "cent", "cents"), "TRY": Currency("Turkish lira", "Turkish lira"),
    "KRW": SIGNS["₩"], "RUB": SIGNS["₽"], "ILS": SIGNS["₪"], "THB": SIGNS["฿"], "BTC": SIGNS["₿"], "ETH": SIGNS["Ξ"],
}  # fmt: skip
_WORDS_AFTER = {"kr": Currency("krona", "kronor"), "zł": _ZLOTY, "Kč": Currency("crown", "crowns")}


def _keys(*tables: dict[str, Currency]) -> str:
    return "|".join(re.escape(key) for key in sorted({key for table in tables for key in table}, key=len, reverse=True))


_BEFORE = re.compile(rf"(?:(?P<sign>{_keys(PREFIXES, SIGNS)})[ \u00a0]?|(?P<code>{_keys(CODES)})[ \u00a0]?)(?=[-−–]?\.?\d)")
_AFTER = re.compile(
    rf"[ \u00a0]?(?P<sign>[{''.join(SIGNS)}])(?!\w)|[ \u00a0]?(?P<code>{_keys(CODES)})(?![^\W_])"
    rf"|[ \u00a0]?(?P<word>{_keys(_WORDS_AFTER)})(?![^\W_])"
)
_BILLS = re.compile(r"(?:[ -])(?=(?:bill|note|coin|menu|gift|fine|fee|deal|tip|ticket|question)s?\b)")


def before(text: str, at: int) -> tuple[Currency, int] | None:
    """Read the sign or code before an amount; return the currency and the position where the amount begins."""
    found = _BEFORE.match(text, at)
    if not found:
        return None
    currency = CODES[found["code"]] if found["code"] else PREFIXES.get(found["sign"]) or SIGNS[found["sign"]]
    return currency, found.end()


def after(text: str, at: int) -> tuple[Currency, int] | None:
    """Read the sign or code after an amount; return the currency and the position where it ends."""
    found = _AFTER.match(text, at)
    if not found:
        return None
    if found["sign"]:
        return SIGNS[found["sign"]], found.end()
    return (CODES[found["code"]] if found["code"] else _WORDS_AFTER[found["word"]]), found.end()


def is_adjective(text: str, at: int) -> bool:
    """Return whether an amount describes the noun after it, as in `a $5 bill`."""
    return _BILLS.match(text, at) is not None


STARTS = frozenset(key[0] for key in SIGNS | PREFIXES | CODES)
"""First characters of the signs and codes that may precede an amount."""
