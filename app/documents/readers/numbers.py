"""Numbers of workbooks with the decimals, percent, currency and units that their formats give them."""

import re
from functools import lru_cache

BUILT_IN = {1: "0", 2: "0.00", 3: "0", 4: "0.00", 9: "0%", 10: "0.00%", 37: "0", 38: "0", 39: "0.00", 40: "0.00"}
"""The formats of plain numbers that a workbook names by number alone (ECMA-376, part 1, 18.8.30)."""

_TOKEN = re.compile(
    r'\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[[^\]]*\]|[_*].|"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<sign>[ %€$£¥₹])'
    r"|(?P<digits>[#0?][#0?,]*)(?:\.(?P<decimals>[#0?]*))?|(?P<other>[E/])"
)


def shown(number: float, code: str) -> str:
    """A number as a format shows it, its decimal mark a point, its thousands together, a minus before it."""
    before, decimals, after, factor = _parsed(code)
    number *= factor
    plain = decimals is None or abs(number) >= 1e15
    return before + (f"{number:.15g}" if plain else f"{number:.{decimals}f}") + after


@lru_cache(maxsize=256)
def _parsed(code: str) -> tuple[str, int | None, str, int]:
    """What stands before a number, its decimals, what stands after it, and by what it is multiplied."""
    texts, factor = ["", ""], 1
    decimals: int | None = None
    found = False
    for token in _TOKEN.finditer(code.split(";")[0]):
        if token["other"]:  # powers of ten and fractions
            return "", None, "", 1
        if token["digits"] and not found:
            found = True
            fraction = token["decimals"] or ""
            decimals = len(fraction) if set(fraction) <= {"0"} else None
        else:
            texts[found] += token["currency"] or token["quoted"] or token["escaped"] or token["sign"] or ""
            factor = 100 if token["sign"] == "%" else factor
    return (texts[0].lstrip(), decimals, texts[1].rstrip(), factor) if found else ("", None, "", 1)
