"""The language of what a person reads, and numbers in it: counts, ages, sizes, remaining times.

English stands in the code, other languages in app/translations, one file each. The files are catalogues of GNU gettext
(.po), in which the English text is the key. `python tasks.py texts` adds what the code says and a catalogue does not
have yet, and tests/test_translation.py fails until it is translated.
"""

import io
import json
import re
from collections.abc import Sequence
from contextvars import ContextVar
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polib

FOLDER = Path(__file__).with_name("translations")

ENGLISH = "en"

LANGUAGES = (ENGLISH, "da", "de", "nl", "no", "ro")

ALIASES = {"nb": "no", "nn": "no"}
"""Codes of a browser for a language that has another one here."""

PAGE = "public"
"""The place that a catalogue gives for the texts of the scripts in public/."""

KEPT = "kept"
"""The place that a catalogue gives for texts that are kept in English, with their values, until they are shown."""

SEPARATORS = {ENGLISH: ",.", "no": "\N{NO-BREAK SPACE},"}
"""What stands between thousands and before decimals, where it is not "." and ","."""

VARYING = {"cache-control": "no-cache", "vary": "accept-language"}
"""Headers of the script with the texts of a page."""

_SAY = """\
document.documentElement.lang = {language};
{{
  const texts = {texts};
  window.say = (text, values = {{}}) => (texts[text] ?? text).replace(/{{(\\w+)}}/g, (_, name) => values[name]);
}}
"""

_language = ContextVar("language", default=ENGLISH)


def supported(tag: str) -> str:
    """Return the language of ours that a browser's tag ("de-AT", "nb") asks for; English for those we do not have."""
    code = tag.partition("-")[0].lower()
    code = ALIASES.get(code, code)
    return code if code in LANGUAGES else ENGLISH


def preferred(accepted: str) -> str:
    """Return the language of ours for the header Accept-Language: the first that is asked for."""
    return supported(accepted.partition(",")[0].partition(";")[0].strip())


def choose(tag: str) -> None:
    """Set the language of texts for the running task, and for the tasks and threads that it begins."""
    _language.set(supported(tag))


def chosen() -> str:
    """Return the language of texts."""
    return _language.get()


@cache
def catalogue(language: str) -> NullTranslations:
    """Read the texts of a language; English has none, as it is in the code."""
    return NullTranslations() if language == ENGLISH else GNUTranslations(io.BytesIO(_read(language).to_binary()))


@cache
def of_page(language: str) -> dict[str, str]:
    """Return the texts that the components of the page ask for, by the English ones; empty for English."""
    entries = [] if language == ENGLISH else _read(language).translated_entries()
    return {entry.msgid: entry.msgstr for entry in entries if (PAGE, "") in entry.occurrences}


def script_of_page(language: str) -> str:
    """Make the script by which a page finds its texts in a language, with `say`."""
    return _SAY.format(language=json.dumps(language), texts=json.dumps(of_page(language)))


def load(language: str) -> None:
    """Read the catalogue of a language before it is needed where nothing may block; blocks the first time."""
    catalogue(language), of_page(language), _patterns(language)


@cache
def _read(language: str) -> "polib.POFile":
    import polib

    return polib.pofile(str(FOLDER / f"{language}.po"))


def mark(text: str) -> str:
    """Mark a text for the catalogues that is translated where it is shown: by `_`, or by `again` if it has values."""
    return text


def _(text: str, /, **values: object) -> str:
    """Translate a text, and put the values into its braces; a text with values has no other braces."""
    translated = catalogue(chosen()).gettext(text) if text else ""
    return translated.format(**values) if values else translated


def plural(one: str, many: str, number: int, /, **values: object) -> str:
    """Translate the text for a number of things, which is the value `number` in its braces: "{number} files"."""
    translated = catalogue(chosen()).ngettext(one, many, number)
    return translated.format(number=figure(number), **values)


def again(english: str) -> str:
    """Translate a text that was put together in English and kept, such as the reason why a file was not read."""
    return english if chosen() == ENGLISH else _again(english, chosen())


@lru_cache(maxsize=1000)
def _again(english: str, language: str) -> str:
    if (translated := _(english)) != english:
        return translated
    for pattern, text in _patterns(language):
        if match := pattern.fullmatch(english):
            return _(text, **{name: _again(value, language) for name, value in match.groupdict().items()})
    return english


@cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Return what kept texts look like with their values, those with the most words of their own first."""
    texts = [
        entry.msgid for entry in ([] if language == ENGLISH else _read(language)) if (KEPT, "") in entry.occurrences
    ]
    texts.sort(key=lambda text: -len(re.sub(r"{\w+}", "", text)))
    return [(_pattern(text), text) for text in texts]


def _pattern(text: str) -> re.Pattern[str]:
    named: set[str] = set()

    def value(match: re.Match[str]) -> str:
        once = match[1] not in named
        named.add(match[1])
        return f"(?P<{match[1]}>.+?)" if once else f"(?P={match[1]})"

    return re.compile(re.sub(r"\\{(\w+)\\}", value, re.escape(text)), re.DOTALL)


def figure(number: float, digits: int = 0) -> str:
    """Format a number with so many decimals: "2,000" and "0.8" in English, "2.000" and "0,8" in German."""
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", SEPARATORS.get(chosen(), ".,")))


def count(number: int, noun: str) -> str:
    """Format a number with its noun: "1 file", "2,000 files"."""
    return plural(f"{{number}} {noun}", f"{{number}} {noun}s", number)


def listed(names: Sequence[str]) -> str:
    """Join names to "a, b and c"."""
    *first, last = names
    return _("{names} and {last}", names=", ".join(first), last=last) if first else last


def quoted(word: str) -> str:
    """Put a word into quotation marks."""
    return _("“{word}”", word=word)


def percent(share: float) -> str:
    """Format a share: "47%"."""
    return _("{number}%", number=figure(100 * share))


def ago(seconds: float) -> str:
    """Format an age in its largest whole unit: "2 hours ago"; "just now" below a minute."""
    if seconds >= 86_400:
        return plural("{number} day ago", "{number} days ago", int(seconds // 86_400))
    if seconds >= 3600:
        return plural("{number} hour ago", "{number} hours ago", int(seconds // 3600))
    if seconds >= 60:
        return plural("{number} minute ago", "{number} minutes ago", int(seconds // 60))
    return _("just now")


def time_left(seconds: float) -> str:
    """Format the remaining time of a task, roughly: "about 45 s left", "about 12 min left", "about 3 h left"."""
    if seconds < 100:
        return _("about {seconds} s left", seconds=f"{seconds:.0f}")
    if seconds < 6000:
        return _("about {minutes} min left", minutes=f"{seconds / 60:.0f}")
    return _("about {hours} h left", hours=f"{seconds / 3600:.0f}")


def size(number: float) -> str:
    """Format a number of bytes: "0.4 kB", "5 MB", "2.8 GB"; a decimal only below 100, and 0 only for 0."""
    number = max(number, 50 if number > 0 else 0)
    unit, length = next((it for it in (("GB", 1e9), ("MB", 1e6)) if number >= 0.9995 * it[1]), ("kB", 1e3))
    value = number / length
    return f"{figure(value) if value >= 99.95 else _short(value)} {unit}"


def gigabytes(megabytes: float) -> str:
    """Format the size of a model, given in megabytes, in gigabytes: "0.8 GB", "4 GB"."""
    return f"{_short(megabytes / 1000)} GB"


def _short(value: float) -> str:
    return figure(value, 0 if f"{value:.1f}".endswith(".0") else 1)
