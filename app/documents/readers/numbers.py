"""Numbers of workbooks as their format shows them: dates as ISO 8601, decimals, percent, currency."""

import re
from datetime import datetime, timedelta
from functools import lru_cache

_DATES = (14, 15, 16, 17, *range(27, 32), 36, *range(50, 59))
_TIMES = (18, 19, 20, 21, *range(32, 36), 45, 47)
_OTHERS = "1 0, 2 0.00, 3 0, 4 0.00, 9 0%, 10 0.00%, 11 0.00E+00, 22 y h, 37 0, 38 0, 39 0.00, 40 0.00, 46 [h]:mm:ss"
BUILT_IN = {
    **dict.fromkeys(_DATES, "y"),
    **dict.fromkeys(_TIMES, "h"),
    **{int(number): code for number, code in (item.split(maxsplit=1) for item in _OTHERS.split(", "))},
}
"""The formats that a workbook names by number alone (ECMA-376, part 1, 18.8.30)."""

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|[_*].')
_BRACKET = re.compile(r"\[(?!\$|h+\]|m+\]|s+\])[^\]]*\]", re.IGNORECASE)
_CURRENCY = re.compile(r"\[\$([^\]-]*)[^\]]*\]|([€$£¥₹])")
_DECIMALS = re.compile(r"[0#?]\.([0#?]+)")
_DAY = timedelta(days=1)


def shown(value: str, code: str, since_1904: bool) -> str:
    """A number as a format shows it, its decimal mark a point, its thousands together."""
    number = float(value)
    sections = code.split(";")
    section = 0 if number > 0 else 2 if number == 0 else 1
    kind, decimals, before, after = _parsed(sections[section if section < len(sections) else 0])
    if kind in ("date", "time", "moment"):
        try:
            return _moment(number, kind, since_1904)
        except (OverflowError, ValueError):
            kind = ""
    if kind == "span":
        seconds = round(abs(number) * 86_400)
        return f"{'-' * (number < 0)}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if kind == "words":
        return before
    if kind == "percent":
        number *= 100
    plain = decimals is None or abs(number) >= 1e15
    return before + (f"{number:.15g}" if plain else f"{number:.{decimals}f}") + after


def _moment(number: float, kind: str, since_1904: bool) -> str:
    if number < 0:
        raise ValueError
    epoch = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30 + (number < 60))  # noqa: DTZ001 - has no zone
    when = epoch + timedelta(seconds=round(number * 86_400))
    time = f"{when:%H:%M:%S}".removesuffix(":00")
    if kind == "time" and number < 1:
        return time
    return when.date().isoformat() + (f" {time}" if kind != "date" or number % 1 else "")


@lru_cache(maxsize=256)
def _parsed(code: str) -> tuple[str, int | None, str, str]:
    """The kind of a format, its decimals, and what stands before and after the number."""
    code = _BRACKET.sub("", code)
    bare = _LITERAL.sub("", _CURRENCY.sub("", code))
    lower = bare.lower().replace("general", "").replace("am/pm", "")
    words = "".join(quoted or escaped for quoted, escaped in _LITERAL.findall(code)).strip()
    if not bare.strip() and words:
        return "words", None, words, ""
    if re.search(r"\[[hms]+\]", lower):
        return "span", None, "", ""
    if re.search(r"[dyhs]|m", lower) and "0" not in lower.replace("s.0", ""):
        day, time = re.search(r"[dy]", lower), re.search(r"[hs]", lower)
        return ("moment" if day and time else "time" if time else "date"), None, "", ""
    if not re.search(r"[0#?]", lower) or "e+" in lower or "/" in lower:
        return "", None, "", ""
    fraction = _DECIMALS.search(bare)
    decimals = None if fraction and "#" in fraction[1] else len(fraction[1]) if fraction else 0
    currency = _CURRENCY.search(code)
    sign = (currency[1] or currency[2] or "") if currency else ""
    in_front = currency is not None and currency.start() < re.search(r"[0#?]", code).start()  # type: ignore[union-attr]
    percent = "%" * ("%" in bare)
    return "percent" * bool(percent), decimals, sign * in_front, percent + f" {sign}" * (bool(sign) and not in_front)
