"""Formulas: operands with operators between them, powers, roots, comparisons. Pure."""

from __future__ import annotations

import re

from open_speech.text.normalization.english.numbers import NUMBER, digits_of, part_of, power, value
from open_speech.text.normalization.grammar import SpokenForm, matching
from open_speech.text.numbers_en import cardinal

_OPERATORS = {
    "+": "plus", "-": "minus", "−": "minus", "–": "minus", "*": "times", "×": "times", "·": "times", "⋅": "times", "/": "divided by",
    "÷": "divided by", "=": "equals", "==": "equals", "===": "equals", ":=": "equals", "≡": "is equivalent to", "≠": "is not equal to",
    "!=": "is not equal to", "<": "is less than", ">": "is greater than", "<=": "is less than or equal to", "≤": "is less than or equal to",
    ">=": "is greater than or equal to", "≥": "is greater than or equal to", "≈": "is about", "≪": "is much less than",
    "≫": "is much greater than", "±": "plus or minus", "∈": "is in", "∝": "is proportional to", "+=": "plus equals", "-=": "minus equals",
    "→": "to", "->": "to", "x": "times",
}  # fmt: skip
_STRONG = frozenset(_OPERATORS) - {"-", "−", "–", "/", "->", "→", "·", "±", "x"}
_LETTERS = {"π": "pi", "θ": "theta", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "Δ": "delta", "λ": "lambda", "σ": "sigma",
            "Σ": "sigma", "μ": "mu", "ω": "omega", "Ω": "omega", "φ": "phi", "ε": "epsilon", "∞": "infinity"}  # fmt: skip
_GREEK = "".join(_LETTERS)
_UP = r"[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ]{1,5}"
_PART = r"(?:[1-9]/(?:[2-9]|1\d)(?=\)* [-+=−<>×*]|$|[.,;]?(?:\s[a-z]|$)))"
_EXPONENT = rf"(?:\^(?:\(?[-−]?\w{{1,6}}(?:\.\d{{1,4}})?\)?)|\*\*\w{{1,4}}|{_UP})"
_NAME = rf"(?:[A-Za-z]{{1,20}}(?:_\w{{1,10}})?\d{{0,3}}|[{_GREEK}][A-Za-z]?)"
_ATOM = rf"(?:√?(?:{_PART}|[-−]?{NUMBER}%?(?:[A-Za-z{_GREEK}](?![A-Za-z]))?|{_NAME}(?:\([A-Za-z](?:, ?[A-Za-z])?\))?))"
_OPERAND = rf"(?:\({{0,3}}{_ATOM}{_EXPONENT}?\){{0,3}}{_EXPONENT}?)"
_OPERATOR = r"(?:x(?= \d)|===?|:=|!=|<=|>=|\+=|-=|->|[-+−–*×·⋅/÷=≡≠<>≤≥≈≪≫±∈∝→])"
_WORDS = "of|no|is|to|in|on|at|it|we|he|do|go|so|up|us|me|my|be|by|as|am|an|or|if|and|the|not|you|she|call|dial|only|was|are|with"
"""Words that are never operands."""
_STEP = re.compile(rf"(?P<before> ?)(?P<operator>{_OPERATOR})(?P<after> ?)(?!(?:{_WORDS})\b)(?P<operand>[-−]?{_OPERAND})(?![^\W_])")
_FIRST = re.compile(rf"(?!(?:{_WORDS})\b){_OPERAND}(?= x \d|\s?[-+−–*×·⋅/÷=≡≠<>≤≥≈≪≫±∈∝!:→])")
_PIECES = re.compile(
    rf"(?P<part>\d{{1,3}}/\d{{1,3}})|(?P<number>{NUMBER})|(?P<up>{_UP})|\^\(?(?P<exponent>[-−]?[\w.]{{1,8}})\)?|\*\*(?P<stars>\w{{1,4}})"
    rf"|(?P<call>[A-Za-z])\((?P<of>[A-Za-z](?:, ?[A-Za-z])?)\)"
    rf"|(?P<snake>[A-Za-z]+_\w+)|(?P<word>[A-Za-z]+)|(?P<root>√)|(?P<minus>[-−])|(?P<percent>%)|(?P<greek>[{_GREEK}])|."
)
_ANY = re.compile(r"[+*×⋅÷=≡≠<>≤≥≈≪≫±∈∝^²³⁰-⁹·√]| [-−–/x] ")
_NEAR = 100
"""Characters within which a formula has an operator other than a hyphen: most hyphens and slashes are not operators."""
_LONGEST = 20
"""Maximum operators in one formula."""
_LETTERED = 3
"""Minimum letters of a word: a shorter operand is a variable."""
_MINUS = "-−–"
_JOINS_WORDS = frozenset({"-", "−", "–", "/", "<", ">", "*", "·"})
"""Operators that may join words if there are no spaces: `well-known`, `and/or`, `<tag>`."""
_WORD = re.compile(r"[A-Za-z]{3}")
_MAY_BE_UNEVEN = frozenset({"=", "==", ":="})


def formula(text: str, at: int) -> SpokenForm | None:
    """Read a formula: at least two operands, and an operator that does not occur between words in prose."""
    first = _FIRST.match(text, at)
    if not first or not _ANY.search(text, at, at + _NEAR):
        return None
    words, end, operators, last = [_operand(first[0])], first.end(), list[str](), first[0]
    for _ in range(_LONGEST):
        step = _STEP.match(text, end)
        if not step or not _continues(step, last):
            break
        operators.append(step["operator"])
        words += [_OPERATORS[step["operator"]], _operand(step["operand"])]
        end, last = step.end(), step["operand"]
    if not operators or not _is_formula(first[0], operators, text[first.start() : end]):
        return None
    return SpokenForm(" ".join(words), end)


def _continues(step: re.Match[str], before: str) -> bool:
    """Return whether a step continues a formula: a slash or hyphen without spaces may join words, and an uneven space begins a sign."""
    if bool(step["before"]) != bool(step["after"]):
        return step["operator"] in _MAY_BE_UNEVEN
    is_within_a_word = not step["before"] and step["operator"] in _JOINS_WORDS
    return not (is_within_a_word and (_WORD.search(before) or _WORD.search(step["operand"])))


def _is_formula(first: str, operators: list[str], written: str) -> bool:
    if any(operator in _STRONG for operator in operators):
        return not (
            set(operators) <= {"*", "+"}
            and all(len(word) > _LETTERED for word in re.findall(r"[A-Za-z]+", written))
            and not re.search(r"\d", written)
        )
    spaced = f" {operators[0]} " in written
    if operators[0] in _MINUS and spaced:
        numbers = re.fullmatch(rf"({NUMBER})%? [-−–] ({NUMBER})%?", written)
        if numbers:
            return float(digits_of(numbers[1])) > float(digits_of(numbers[2]))
        letters = re.findall(r"[A-Za-z]+", written)
        return 0 < len(letters) <= _LETTERED and all(len(letter) == 1 for letter in letters) and not re.fullmatch(r"[A-Z]\w*", first)
    if operators[0] == "/" and spaced:
        return re.fullmatch(rf"{NUMBER} / {NUMBER}", written) is not None
    return operators[0] in ("±", "·") or "^" in written or "²" in written


def _operand(written: str) -> str:
    return " ".join(" ".join(filter(None, map(_piece, _PIECES.finditer(written)))).split())


def _piece(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "part":
            top, _, bottom = found[0].partition("/")
            return part_of(int(top), int(bottom))
        case "number":
            return value(found[0])
        case "up" | "exponent" | "stars":
            return power(found[0].lstrip("^*(").rstrip(")"))
        case "of":
            return f"{found['call']} of {found['of'].replace(',', ' and')}"
        case "snake":
            return " underscore ".join(found[0].split("_"))
        case "word":
            # The variable `a` is not an article: as a capital letter it is spoken by its name.
            return " ".join(found[0]).replace("a", "A") if len(found[0]) < _LETTERED else found[0]
        case "greek":
            return _LETTERS[found[0]]
        case "root" | "minus" | "percent":
            return {"root": "the square root of", "minus": "minus", "percent": "percent"}[found.lastgroup]
    return " "


POWER = matching(
    rf"({NUMBER}|[A-Za-z{_GREEK}](?![A-Za-z]))({_EXPONENT})(?![^\W_])",
    lambda found: f"{_operand(found[1])} {power(found[2].lstrip('^*(').rstrip(')'))}",
)
WORD_POWER = matching(
    rf"([A-Za-z]{{2,20}})({_UP})(?![^\W_])", lambda found: f"{found[1]} {power(found[2])}" if not found[1].isupper() else None
)
SCIENTIFIC = matching(
    r"(\d{1,3}(?:\.\d{1,12})?)[eE]([-+−]?\d{1,3})(?!\w|\.\d)", lambda found: f"{value(found[1])} times ten {_ten(found[2])}"
)


def _ten(exponent: str) -> str:
    sign = "minus " if exponent[0] in "-−" else ""
    return f"to the power of {sign}{cardinal(exponent.lstrip('+-−').lstrip('0') or '0')}"


ROOT = matching(
    rf"(√|∛) ?\(?({NUMBER}|[A-Za-z])\)?(?!\w)", lambda found: f"the {'square' if found[1] == '√' else 'cube'} root of {_operand(found[2])}"
)
_DOWN = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
SUBSCRIPT = matching(
    r"(?:[A-Z][a-z]?[₀-₉]{0,3}){1,8}(?<=[₀-₉A-Za-z])(?![^\W_])|[a-z][₀-₉]{1,3}(?![^\W_])",
    lambda found: _chemical(found[0].translate(_DOWN)) if re.search("[₀-₉]", found[0]) else None,
)


def _chemical(written: str) -> str:
    return " ".join(
        cardinal(piece) if piece.isdigit() else " ".join(piece.upper() if len(piece) > 1 else piece)
        for piece in re.findall(r"[A-Za-z]+|\d+", written)
    )


GREEK = matching(
    rf"({NUMBER})?([{_GREEK}])([A-Za-z])?(?![^\W_])",
    lambda found: " ".join(filter(None, (value(found[1]) if found[1] else "", _LETTERS[found[2]], found[3]))),
)
