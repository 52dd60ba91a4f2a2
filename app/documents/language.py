"""Which language a text is written in, by its most likely ISO 639-1 code."""

from functools import cache
from typing import TYPE_CHECKING

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
"""Languages with a Snowball stemmer, and the stemmer's name."""

UNSTEMMED = _named("he:hebrew ja:japanese ko:korean th:thai uk:ukrainian vi:vietnamese zh:chinese")
"""Languages that would otherwise be taken for one of those above; their words are indexed as they are."""

DEFAULT = "en"

_TOO_LITTLE = 20
_SAMPLE = 1500


def name(code: str) -> str:
    """The English name of a language."""
    return (SNOWBALL | UNSTEMMED).get(code, code).capitalize()


def detect(text: str) -> str:
    """The language of the text, judged by samples from its start, middle and end; English if there is too little."""
    if len(text) > 3 * _SAMPLE:
        middle = len(text) // 2
        text = "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))
    letters = sum(map(str.isalpha, text))
    # A letter of most scripts outside the Latin one tells more by itself.
    if letters < _TOO_LITTLE and (letters == 0 or text.isascii() or max(text) < "\u0370"):
        return DEFAULT
    language, _ = _identifier().classify(text)
    return str(language)


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages([*SNOWBALL, *UNSTEMMED])
    return identifier
