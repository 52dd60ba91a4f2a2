"""The languages of documents: detection by ISO 639-1 code, stemmers, and scripts that need rules of their own."""

from functools import cache
from typing import TYPE_CHECKING

from app.translation import _

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


def _named(pairs: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in pairs.split())


SNOWBALL = _named("""
    ar:arabic ca:catalan cs:czech da:danish de:german el:greek en:english es:spanish et:estonian eu:basque
    fa:persian fi:finnish fr:french ga:irish hi:hindi hu:hungarian hy:armenian id:indonesian it:italian
    lt:lithuanian ne:nepali nl:dutch no:norwegian pl:polish pt:portuguese ro:romanian ru:russian sr:serbian
    sv:swedish ta:tamil tr:turkish
""")
"""Languages with a Snowball stemmer, and its name."""

UNSTEMMED = _named("he:hebrew ja:japanese ko:korean th:thai uk:ukrainian vi:vietnamese zh:chinese")
"""Languages without a stemmer; they would otherwise be mistaken for one of those above."""

DEFAULT = "en"

# Ranges for use inside the brackets of a regular expression.

SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"  # Han, half-width kana
    "\uac00-\ud7a3"  # Korean syllables: there are spaces, but particles are attached to words
    "\U00020000-\U0003ffff"  # rarer Han
)
"""Letters of scripts that are written without spaces between words."""

MARKS = (
    "\u0300-\u036f\u0483-\u0487"  # accents after their letter
    "\u0591-\u05bd\u05bf-\u05c7"  # Hebrew points
    "\u0610-\u061a\u064b-\u065f\u0670"  # Arabic vowels
    "\u0900-\u0963\u0966-\u0dff"  # the scripts of India, without the full stop
    "\u200c\u200d"  # joiners
)
"""Marks that are part of a word, although `\\w` does not match them."""

_MIN_LETTERS = 20
_SAMPLE = 1500
"""Characters."""


def name(code: str) -> str:
    """Return the English name of a language, such as "German" for "de"."""
    return (SNOWBALL | UNSTEMMED).get(code, code).capitalize()


def shown_name(code: str) -> str:
    """Return the name of a language as a person reads it."""
    return _(name(code))


def detect(text: str) -> str:
    """Detect the language of a text from samples of its start, middle and end; English if there is too little."""
    if len(text) > 3 * _SAMPLE:
        middle = len(text) // 2
        text = "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))
    letters = sum(map(str.isalpha, text))
    # A few letters suffice in most scripts other than Latin.
    if letters < _MIN_LETTERS and (letters == 0 or text.isascii() or max(text) < "\u0370"):
        return DEFAULT
    return str(_identifier().classify(text)[0])


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages([*SNOWBALL, *UNSTEMMED])
    return identifier
