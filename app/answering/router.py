"""What a turn is answered from: a search, one document, the previous answer, or a fixed reply.

A message is a greeting, a question about the app or the corpus, a request for a summary or an instruction about the
last answer only if it consists of such phrases from beginning to end. A question that merely begins or ends like one
("Thanks to whom …", "What is in the first-aid kit?") stays a question. Only wording is looked at.
"""

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

from app.answering.lexicon import phrases
from app.answering.turn import Turn
from app.documents.readers import SUFFIXES
from app.retrieval.analysis import query_words
from app.retrieval.segment import Entry
from app.retrieval.store import Snapshot

Kind = Literal["greets", "app", "overview", "instructs", "summary"]

LONGEST = 160
"""Characters of a message beyond which it is always a question."""

OTHERS = ("alone", "filler", "docs", "tongue")
"""Further kinds of phrases: those about the app only in a first message, and parts of other phrases."""

SIMILAR = 0.8
"""Ratio from which two words count as one: a wrong letter among five, or another ending."""

LEAST_SHARE = 0.4
"""Share of the words of a title that a name must have: "house rules" for "House rules for tenants, 2024"."""

_SHORT = 4
"""Letters below which a word is not looked up in a vocabulary."""

_NOT_WORD = re.compile(r"[\W_]+")
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})
_SPELT_OUT = re.compile(r"(?<=[aou])e")


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message asks for, and the language of its phrase.

    `names` are possible names of the document to summarise, "" where the message points to it ("this file").
    """

    kind: Kind
    language: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """The turn to search for, the intent of its message (None for a question) and the document to summarise, if any."""

    turn: Turn
    intent: Intent | None = None
    file: str = ""

    @property
    def reworks(self) -> bool:
        """Whether the last answer is wanted in another form, which takes a model."""
        return self.intent is not None and self.intent.kind == "instructs"


def route(turn: Turn, corpus: Callable[[], Snapshot]) -> Route:
    """Decide what a turn is answered from; `corpus` is called only if the message may be no question."""
    if turn.earlier is not None or intent(turn.question, goes_on=bool(turn.history)) is None:
        return Route(turn)
    return _route(turn, corpus())


def _route(turn: Turn, corpus: Snapshot) -> Route:
    languages = corpus.index.languages
    wanted = intent(turn.question, languages, goes_on=bool(turn.history))
    if turn.dropped and (first := intent(turn.question, languages)) and "" in first.names:
        wanted = first  # "summarise this" means the dropped file, not the last answer
    if wanted is None:
        return Route(turn)
    if wanted.kind == "instructs":
        return replace(_route_before(turn, corpus), intent=wanted)
    if wanted.kind != "summary":
        return Route(turn, wanted)
    documents = corpus.documents
    files = (
        find_document(name, documents, wanted.language) if name else _only_document(turn, documents)
        for name in wanted.names
    )
    file = next(filter(None, files), None)
    return Route(turn, wanted, file) if file else Route(turn)


def _route_before(turn: Turn, corpus: Snapshot) -> Route:
    """Route the last question of the conversation that was no instruction."""
    asked = [exchange.question for exchange in turn.history]
    intents = enumerate(intent(question, goes_on=at > 0) for at, question in enumerate(asked))
    at = max(at for at, each in intents if each is None or each.kind != "instructs")  # the first one is never one
    return _route(replace(turn, question=asked[at], history=turn.history[:at]), corpus)


def _only_document(turn: Turn, documents: Mapping[str, Entry]) -> str | None:
    """Return the document that came with the question, else the only one dropped so far, else the only one at all."""
    for files in ([each.file for each in turn.brought], [each.file for each in turn.dropped], list(documents)):
        if files:
            return files[0] if len(files) == 1 else None
    return None


def intent(message: str, languages: Sequence[str] = (), *, goes_on: bool = False) -> Intent | None:
    """Recognise what a message asks for; None for a question.

    Where a message means the same in several languages, the first in `languages` wins. Only a message that `goes_on`
    from an answer can be an instruction.
    """
    if len(message) > LONGEST:
        return None
    text = folded(message)
    known = sorted(phrases("greets"), key=lambda code: languages.index(code) if code in languages else len(languages))
    spellings = tuple(dict.fromkeys((text, _SPELT_OUT.sub("", text))))
    kinds: list[Kind | Literal["alone"]] = ["greets", "overview", "app", "instructs" if goes_on else "alone"]
    for kind in kinds:
        if code := next((code for code in known if any(_is(kind, code, each) for each in spellings)), None):
            return Intent("app" if kind == "alone" else kind, code)
    names = {name: code for code in reversed(known) for name in _summary_names(text, code)}
    return Intent("summary", min(names.values(), key=known.index), tuple(names)) if names else None


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
    words = text.split()
    if not all(len(word) < _SHORT or _begins(word, _vocabulary(code)) for word in words):
        return False  # cheaper than compiling the phrases of a language that the message is not in
    if kind == "overview":
        text = _pattern(code, "docs").sub("docs", text)
    elif kind == "instructs":
        text = _pattern(code, "tongue").sub("tongue", text)
    # Two expressions: one of both would try all ways to divide the message where a word is of either kind.
    phrase, filler = _pattern(code, kind), _pattern(code, "filler" if kind == "greets" else "around")
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
    filler = _pattern(code, "filler")
    while (first := filler.match(text)) and first.end() < len(text):
        text = text[first.end() :].lstrip()
    match = _pattern(code, "summary").fullmatch(text)
    names = (_without_filler(name, code) for name in match.groups() if name) if match else ()
    return ["" if _points(name) else name for name in names]


def _without_filler(name: str, code: str) -> str:
    """Remove words that ask for nothing ("please") from the end of a name."""
    ends = [filler.start() for filler in _pattern(code, "filler").finditer(name) if filler.end() == len(name)]
    return _without_filler(name[: ends[0]].rstrip(), code) if ends and ends[0] else name


@functools.cache
def _vocabulary(code: str) -> frozenset[str]:
    """Return the words of all phrases in a language, or their beginnings."""
    every = (phrase for kind in get_args(Kind) + OTHERS for phrase in phrases(kind).get(code, ()))
    words = {word for phrase in every for word in re.findall(r"[a-z]+\??", phrase)}
    return frozenset({word.rstrip("?") for word in words} | {word[:-2] for word in words if word.endswith("?")})


def _begins(word: str, vocabulary: frozenset[str]) -> bool:
    return any(word[:end] in vocabulary for end in range(_SHORT - 1, len(word) + 1))


def _any(code: str, kind: str) -> str:
    """Join all phrases of a kind in a language; {docs} and {tongue} stand for phrases of other kinds."""
    if kind == "around":
        return f"{_any(code, 'filler')}|{_any(code, 'greets')}"
    joined = "|".join(phrases(kind).get(code, ())) or "(?!)"
    joined = joined.replace("{docs}", "docs").replace("{suffix}", "|".join(filter(None, map(folded, SUFFIXES))))
    return joined.replace("{tongue}", "tongue" if kind == "instructs" else "|".join(phrases("tongue").get(code, ())))


@functools.cache
def _pattern(code: str, kind: str) -> re.Pattern[str]:
    phrase = _any(code, kind)
    return re.compile(phrase if kind == "summary" else rf"\b(?:{phrase})\b")


def find_document(name: str, documents: Mapping[str, Entry], language: str) -> str | None:
    """Return the file of the one document that a folded name clearly means, typed from memory and perhaps misspelt.

    Every word of the name must be in the file's name or its title, and no other document may fit as well.
    """
    forms = {file: _forms(entry) for file, entry in documents.items()}
    if whole := [file for file, own in forms.items() if _joined(name) in map(_joined, own)]:
        return min(whole, key=len)
    content = [word for word in _content_words(name, language) if not _points(word)]
    ranked = _ranked(content, forms, language)
    if not ranked or ranked[0][0] < LEAST_SHARE or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
        return None
    return ranked[0][1]


def _ranked(asked: Sequence[str], documents: Mapping[str, Sequence[str]], language: str) -> list[tuple[float, str]]:
    """Rank the documents whose name or title has all words, by the share of it that these words make up."""
    split = [(file, form.split()) for file, forms in documents.items() for form in forms]
    content = set(_content_words(" ".join({part for _, parts in split for part in parts}), language))
    forms = [(file, [part for part in parts if part in content] or parts) for file, parts in split]
    by_letter: defaultdict[str, set[str]] = defaultdict(set)
    for part in content:
        by_letter[part[0]].add(part)
    similar = [_similar(word, by_letter[word[0]]) for word in asked]
    scores: dict[str, float] = {}
    for file, parts in forms:
        shares = [max((known.get(part, 0.0) for part in parts), default=0.0) for known in similar]
        if shares and all(shares):
            scores[file] = max(scores.get(file, 0.0), sum(shares) / max(len(parts), len(shares)))
    return sorted(((round(score, 6), file) for file, score in scores.items()), key=lambda each: (-each[0], each[1]))


def _similar(word: str, known: set[str]) -> dict[str, float]:
    """Return the known words that a word may be, with their ratios; a word with a digit is only itself."""
    if word in known or not word.isalpha():
        return {word: 1.0}
    near = [each for each in known if each.isalpha() and abs(len(each) - len(word)) <= 2]
    return dict.fromkeys(get_close_matches(word, near, 5, SIMILAR), SIMILAR)


def _forms(entry: Entry) -> list[str]:
    """Return what a document may be called: its path, its file name with and without suffix, its title."""
    name = entry.file.rpartition("/")[2]
    return [folded(each) for each in {entry.file, name, name.rpartition(".")[0], entry.title} if each]


def _content_words(text: str, language: str) -> list[str]:
    """Return the words of a folded text without function words; all words if there are no others."""
    return [word.surface for word in query_words(text, [language]) if word.content] or text.split()


def _joined(text: str) -> str:
    return text.replace(" ", "")
