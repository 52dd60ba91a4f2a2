"""What a turn is answered from: a search, one document, the previous answer, or a fixed reply.

A message is a greeting, a question about the app or the corpus, a request for a summary or an instruction about the
last answer only if it consists of such phrases from beginning to end. A question that merely begins or ends like one
("Thanks to whom …", "What is in the first-aid kit?") stays a question. Only wording is looked at.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isclose
from typing import Literal

from app.answering.lexicon import phrases
from app.answering.turn import Turn
from app.documents.readers import SUFFIXES
from app.retrieval.analysis import query_words
from app.retrieval.segment import Entry
from app.retrieval.store import Snapshot

Kind = Literal["greets", "app", "overview", "instructs", "summary"]

LONGEST = 160
"""Characters of a message beyond which it is always a question."""

SIMILAR = 0.8
"""Ratio from which two words count as one: a wrong letter among five, or another ending."""

LEAST_SHARE = 0.4
"""Share of the words of a title that a name must have: "house rules" for "House rules for tenants, 2024"."""

_NOT_WORD = re.compile(r"[\W_]+")
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})
_SPELT_OUT = re.compile(r"(?<=[aou])e")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message asks for, and the languages of its phrases.

    `names` are possible names of the document to summarise, "" where the message points to it ("this file").
    """

    kind: Kind
    languages: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """The turn to search for, what its message asks for (None for a question), and the document to summarise, if any.

    `language` is that of the message, if it is no question.
    """

    turn: Turn
    kind: Kind | None = None
    language: str = "en"
    file: str = ""

    @property
    def reworks(self) -> bool:
        """Whether the last answer is wanted in another form, which takes a model."""
        return self.kind == "instructs"


def route(turn: Turn, corpus: Callable[[], Snapshot]) -> Route:
    """Decide what a turn is answered from; `corpus` is called only if the message may be no question.

    Where a message means the same in several languages, the most frequent one of the corpus wins.
    """
    wanted = intent(turn.question, goes_on=bool(turn.history)) if turn.earlier is None else None
    if wanted is None:
        return Route(turn)
    if turn.dropped and (first := intent(turn.question)) and "" in first.names:
        wanted = first  # "summarise this" means the dropped file, not the last answer
    snapshot = corpus()
    language = next((code for code in snapshot.index.languages if code in wanted.languages), wanted.languages[0])
    if wanted.kind == "instructs":  # it is answered from what the question before it is answered from
        *before, last = turn.history
        asked = route(replace(turn, question=last.question, history=tuple(before)), corpus)
        return replace(asked, kind=wanted.kind, language=language)
    if wanted.kind != "summary":
        return Route(turn, wanted.kind, language)
    documents = snapshot.documents
    files = (find_document(name, documents, language) if name else _only(turn, documents) for name in wanted.names)
    file = next(filter(None, files), None)
    return Route(turn, wanted.kind, language, file) if file else Route(turn)


def _only(turn: Turn, documents: Mapping[str, Entry]) -> str | None:
    """Return the document that came with the question, else the only one dropped so far, else the only one at all."""
    for files in ([each.file for each in turn.brought], [each.file for each in turn.dropped], list(documents)):
        if files:
            return files[0] if len(files) == 1 else None
    return None


def intent(message: str, *, goes_on: bool = False) -> Intent | None:
    """Recognise what a message asks for; None for a question.

    Only a message that `goes_on` from an answer can be an instruction.
    """
    if len(message) > LONGEST:
        return None
    text, languages = folded(message), phrases("greets")
    spellings = {text, _SPELT_OUT.sub("", text)}
    kinds: list[Kind | Literal["alone"]] = ["greets", "overview", "app", "instructs" if goes_on else "alone"]
    for kind in kinds:
        if codes := tuple(code for code in languages if any(_is(kind, code, each) for each in spellings)):
            return Intent("app" if kind == "alone" else kind, codes)
    summaries = {code: names for code in languages if (names := _summary_names(text, code))}
    every = dict.fromkeys(name for names in summaries.values() for name in names)
    return Intent("summary", tuple(summaries), tuple(every)) if summaries else None


def folded(text: str) -> str:
    """Return the words of a text without case, accents and punctuation, separated by single spaces."""
    text = text.casefold()
    if not text.isascii():
        letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
        text = "".join(each for each in letters if not unicodedata.combining(each))
    return _NOT_WORD.sub(" ", text).strip()


def _points(words: str) -> bool:
    """Whether folded words only point to a document ("this file"), in any language."""
    return any(_pattern(code, "this").fullmatch(words) for code in phrases("this"))


def _is(kind: Kind | Literal["alone"], code: str, text: str) -> bool:
    """Whether a folded message consists of phrases of the kind and of words that ask for nothing."""
    if kind == "overview":
        text = _pattern(code, "docs").sub("docs", text)
    elif kind == "instructs":
        text = _pattern(code, "tongue").sub("tongue", text)
    # Two expressions: one of both would try all ways to divide the message where a word is of either kind.
    phrase, filler = _pattern(code, kind), _pattern(code, "filler", *(() if kind == "greets" else ("greets",)))
    words = text.split()
    reached = {0: False}  # number of words accounted for → whether a phrase of the kind is among them
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1) if start in reached else ():
            unit = " ".join(words[start:end])
            if (asks := bool(phrase.fullmatch(unit))) or filler.fullmatch(unit):
                reached[end] = reached.get(end, False) or reached[start] or asks
    return reached.get(len(words), False)


def _summary_names(text: str, code: str) -> list[str]:
    """Return the possible names of the document to summarise, "" where the message only points to it."""
    filler = _pattern(code, "filler").pattern
    match = _pattern(code, "summary").fullmatch(re.sub(rf"^(?:{filler} )+", "", text))
    names = (re.sub(rf"(?: {filler})+$", "", name) for name in match.groups() if name) if match else ()
    return ["" if _points(name) else name for name in names]


@functools.cache
def _pattern(code: str, *kinds: str) -> re.Pattern[str]:
    """Compile all phrases of some kinds in a language; {docs} and {tongue} stand for phrases of other kinds."""
    joined = "|".join(phrase for kind in kinds for phrase in phrases(kind).get(code, ())) or "(?!)"
    joined = joined.replace("{docs}", "docs").replace("{suffix}", "|".join(filter(None, map(folded, SUFFIXES))))
    tongues = "tongue" if "instructs" in kinds else "|".join(phrases("tongue").get(code, ()))
    joined = joined.replace("{tongue}", tongues)
    return re.compile(joined if "summary" in kinds else rf"\b(?:{joined})\b")


def find_document(name: str, documents: Mapping[str, Entry], language: str) -> str | None:
    """Return the file of the one document that a folded name clearly means, typed from memory and perhaps misspelt.

    Every word of the name must be in the file's name or its title, and no other document may fit as well.
    """
    forms = [(file, form) for file, entry in documents.items() for form in _forms(entry)]
    if whole := [file for file, form in forms if form.replace(" ", "") == name.replace(" ", "")]:
        return min(whole, key=len)
    known = set(_content_words(" ".join({word for _, form in forms for word in form.split()}), language))
    asked = [_similar(word, known) for word in _content_words(name, language) if not _points(word)]
    scores: dict[str, float] = {}
    for file, form in forms:
        words = [word for word in form.split() if word in known] or form.split()
        shares = [max((similar.get(word, 0.0) for word in words), default=0.0) for similar in asked]
        if shares and all(shares):
            scores[file] = max(scores.get(file, 0.0), sum(shares) / max(len(words), len(shares)))
    top = max(scores.values(), default=0.0)
    fitting = [file for file, score in scores.items() if isclose(score, top)]
    return fitting[0] if top >= LEAST_SHARE and len(fitting) == 1 else None


def _similar(word: str, known: set[str]) -> dict[str, float]:
    """Return the known words that a word may be, with their ratios; a word with a digit is only itself."""
    if word in known or not word.isalpha():
        return {word: 1.0}
    near = [it for it in known if it[0] == word[0] and it.isalpha() and abs(len(it) - len(word)) <= 2]
    return dict.fromkeys(get_close_matches(word, near, 5, SIMILAR), SIMILAR)


def _forms(entry: Entry) -> list[str]:
    """Return what a document may be called: its path, its file name with and without suffix, its title."""
    name = entry.file.rpartition("/")[2]
    return [folded(each) for each in {entry.file, name, name.rpartition(".")[0], entry.title} if each]


def _content_words(text: str, language: str) -> list[str]:
    """Return the words of a folded text without function words; all words if there are no others."""
    return [word.surface for word in query_words(text, [language]) if word.content] or text.split()
