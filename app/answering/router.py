"""What a turn is answered from: a search, documents as a whole, the previous answer, or a fixed reply.

A message is small talk, a question about the app or the corpus, a request for a summary or an instruction about the
last answer or the conversation only if it consists of such phrases from beginning to end. A question
that merely begins or ends like one ("Thanks to whom …", "What is in the first-aid kit?") stays a question. Only wording
is looked at.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isclose
from pathlib import PurePosixPath
from typing import Literal

from app.answering.lexicon import phrases
from app.answering.prompt import About
from app.answering.turn import Turn
from app.documents.readers import SUFFIXES
from app.retrieval.analysis import query_words
from app.retrieval.segment import Entry
from app.retrieval.snapshot import Snapshot
from app.translation import chosen

Kind = Literal["greets", "thanks", "leaves", "agrees", "app", "overview", "early", "instructs", "recaps", "summary"]

SMALL_TALK: tuple[Kind, ...] = "leaves", "thanks", "greets", "agrees"
"""What counts first in a message of several: "ok, thanks, bye" is a farewell."""

REPLIED: tuple[Kind, ...] = *SMALL_TALK, "app", "overview", "early"
"""What has a reply of its own, from no passage and no model; "early" is an instruction before any answer."""

INSTRUCTED: tuple[Kind, ...] = "instructs", "recaps"
"""What is done with the last answer or the conversation."""

SPOKEN = "en", "es", "fr", "de", "it", "nl", "ro", "da", "no", "sv"
"""Languages of phrases; the first one counts where a message is in several, and neither page nor corpus in any."""

FEW = 8
"""Documents of which a request that points to one ("the report") may mean all; among more it is searched for."""

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
    """What a message asks for, and the languages of its phrases; small talk of all kinds is "greets".

    `names` are possible names of the document to summarise: "" where the message points to it ("this file"), "*" where
    it names none ("key points") or all. `folders` are possible names of a folder whose contents are asked for.
    """

    kind: Kind
    languages: tuple[str, ...]
    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """The turn to search for, what its message asks for (None for a question), and the documents to summarise.

    `files` is None if passages are wanted instead, and empty for the document that a search finds first; all are in the
    `folder` if one was asked for. `language` is that of the message, if it is no question.
    """

    turn: Turn
    kind: Kind | None = None
    language: str = "en"
    files: tuple[str, ...] | None = None
    folder: str = ""

    @property
    def reworks(self) -> bool:
        """Whether the last answer or the conversation is wanted in another form, which takes a model."""
        return self.kind in INSTRUCTED and self.files != ()

    @property
    def about(self) -> About:
        """What the question is about."""
        return "documents" if not self.reworks else "conversation" if self.kind == "recaps" else "answer"

    @property
    def several(self) -> bool:
        """Whether all documents are summarised, or those of a folder."""
        return bool(self.folder) or len(self.files or ()) > 1


def route(turn: Turn, corpus: Callable[[], Snapshot]) -> Route:
    """Decide what a turn is answered from; `corpus` is called only if the message may be no question.

    Where a message means the same in several languages, that of the page counts, then the most frequent one of the
    corpus, then English.
    """
    wanted = intent(turn.question, goes_on=bool(turn.history))
    if (
        wanted is None
        or (turn.unaided and turn.earlier is None)
        or (turn.earlier is not None and wanted.kind not in INSTRUCTED)
    ):
        return Route(turn)
    if turn.dropped and (first := intent(turn.question)) and "" in first.names:
        wanted = first  # "summarise this" means the dropped file, not the last answer
    snapshot = corpus()
    language = next(code for code in (chosen(), *snapshot.index.languages, *SPOKEN) if code in wanted.languages)
    if wanted.kind in REPLIED:
        return Route(turn, _small_talk(turn.question, language) or wanted.kind, language)
    if wanted.kind in INSTRUCTED and not turn.history:
        return Route(turn) if turn.dropped else Route(turn, "early", language)
    if wanted.kind == "recaps" or turn.earlier is not None:
        return Route(turn, wanted.kind, language)
    documents = snapshot.documents
    if wanted.kind == "summary":
        for name in wanted.names:
            if file := find_document(name, documents, language) if name.strip("*") else _only(turn, documents):
                return Route(turn, wanted.kind, language, (file,))
        if folder := next(filter(None, (_find_folder(name, documents) for name in wanted.folders)), None):
            inside = tuple(file for file in documents if file.startswith(f"{folder}/"))
            return Route(turn, wanted.kind, language, inside, folder)
    points = "" in wanted.names
    if turn.history and (points or wanted.kind == "instructs"):
        *before, last = turn.history  # it is answered from what the question before it is answered from
        asked = route(replace(turn, question=last.question, history=tuple(before)), corpus)
        if asked.kind == "recaps":
            return Route(turn, "recaps", language)
        files = () if points and asked.files is None and asked.kind not in REPLIED else asked.files
        if files is not None or not points:
            return replace(asked, kind=wanted.kind, language=language, files=files)
    if "*" in wanted.names or (points and len(documents) <= FEW):
        return Route(turn, "summary", language, tuple(documents))
    return Route(turn)


def _only(turn: Turn, documents: Mapping[str, Entry]) -> str | None:
    """Return the document that came with the question, else the only one dropped so far, else the only one at all."""
    for files in ([each.file for each in turn.brought], [each.file for each in turn.dropped], list(documents)):
        if files:
            return files[0] if len(files) == 1 else None
    return None


def intent(message: str, *, goes_on: bool = False) -> Intent | None:
    """Recognise what a message asks for; None for a question.

    A message that does not go on from an answer is an instruction only if it names the answer, the conversation or a
    translation.
    """
    if len(message) > LONGEST:
        return None
    text, spellings, languages = folded(message), spelt(message), phrases("filler")
    kinds: list[Kind | Literal["alone"]] = ["greets", "overview", "app", "instructs"]
    if not goes_on:
        kinds.insert(3, "alone")
    summaries = {code: names for code in languages if (names := _summary_names(text, spellings, code))}
    asked = tuple(dict.fromkeys(name for each in summaries.values() for name in each))
    if "*" in asked:  # "an overview of the documents" is more than their list
        kinds.remove("overview")
    for kind in kinds:
        phrased: tuple[str, ...] = SMALL_TALK if kind == "greets" else (kind,)
        around: tuple[str, ...] = ("filler",) if kind == "greets" else ("filler", *SMALL_TALK)
        if kind == "instructs":
            around += ("object", "audience")
            if not message.rstrip().endswith("?"):  # "For children?" asks
                phrased += ("audience",)
        codes = tuple(code for code in languages if _is(phrased, code, spellings, around))
        if kind == "greets":  # "hej då" is Swedish, not "hej" and a word to go with it
            codes = tuple(code for code in codes if _is(phrased, code, spellings, ())) or codes
        if kind == "instructs":
            talk = any(pattern(code, "talk").search(text) for code in codes)
            if not (goes_on or talk or any(pattern(code, "answer", "translates").search(text) for code in codes)):
                continue
            kind = "recaps" if talk else kind
        if codes:
            own = tuple(name for name in asked if kind == "instructs" and not name.strip("*"))
            return Intent("app" if kind == "alone" else kind, codes, own)
    named = [text, *filter(None, asked)]  # "summarise the folder contracts"
    folders = {
        code: each for code in languages if (each := [it for name in named for it in _captured("folder", code, name)])
    }
    every = tuple(dict.fromkeys(name for each in folders.values() for name in each))
    return Intent("summary", tuple({**summaries, **folders}), asked, every) if summaries or folders else None


def names_language(message: str) -> bool:
    """Whether a message names a language or asks for a translation, so that the answer may be in another language."""
    words = folded(message)
    return any(pattern(code, "tongue", "translates").search(words) for code in phrases("tongue"))


def folded(text: str) -> str:
    """Return the words of a text without case, accents and punctuation, separated by single spaces."""
    text = text.casefold()
    if not text.isascii():
        letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
        text = "".join(each for each in letters if not unicodedata.combining(each))
    return _NOT_WORD.sub(" ", text).strip()


def _points(words: str) -> bool:
    """Whether folded words only point to a document ("this file"), in any language."""
    return any(pattern(code, "this").fullmatch(words) for code in phrases("this"))


def _small_talk(message: str, code: str) -> Kind | None:
    """Return what a message of small talk says, None for others."""
    spellings, around = spelt(message), ("filler", *SMALL_TALK)
    return next((kind for kind in SMALL_TALK if _is((kind,), code, spellings, around)), None)


def spelt(message: str) -> set[str]:
    """Return a message as it is folded, and with the vowels that are spelt out in it ("ueber") as they are folded."""
    text = folded(message)
    return {text, _SPELT_OUT.sub("", text)}


def _is(kinds: tuple[str, ...], code: str, spellings: set[str], around: tuple[str, ...]) -> bool:
    """Whether a message, in one of its spellings, consists of phrases of the kinds and of words `around` them."""
    return any(consists(kinds, code, text, around) for text in spellings)


def consists(kinds: tuple[str, ...], code: str, text: str, around: tuple[str, ...]) -> bool:
    """Whether a folded message consists of phrases of the kinds and of words `around` them, which ask for nothing."""
    if {"overview", "digest"} & {*kinds}:
        text = pattern(code, "docs").sub("docs", text)
    elif "instructs" in kinds:
        text = pattern(code, "tongue").sub("tongue", text)
    # Piece by piece: one expression for all would try all ways to divide the message.
    phrase, either = pattern(code, *kinds), pattern(code, *kinds, *around)
    ends = [*(at for at, letter in enumerate(text) if letter == " "), len(text)]
    reached = {-1: False}  # where a piece ends → whether a phrase of the kind is before it
    for start in (-1, *ends):
        for end in ends if start in reached else ():
            if end > start and either.fullmatch(text, start + 1, end):
                asks = reached[start] or bool(phrase.fullmatch(text, start + 1, end))
                reached[end] = reached.get(end, False) or asks
    return reached.get(len(text), False)


def _summary_names(text: str, spellings: set[str], code: str) -> list[str]:
    """Return the possible names of the document to summarise, as in `Intent`."""
    names = ["" if _points(name) else name for name in _captured("summary", code, text)]
    names += [name for each in names if (name := _stripped(each, "around", code)) != each and not _points(name)]
    if _is(("digest",), code, spellings, ("filler", "around")):
        return [*names, *([] if pattern(code, "docs").search(text) else [""]), "*"]
    return [*names, ""] if _is(("digest",), code, spellings, ("filler", "around", "this")) else names


def _captured(kind: str, code: str, text: str) -> list[str]:
    """Return what a phrase that makes up a folded message captures, without the words around it that ask nothing."""
    match = pattern(code, kind).fullmatch(re.sub(rf"^(?:{pattern(code, 'filler').pattern} )+", "", text))
    return [_stripped(name, "filler", code) for name in match.groups() if name] if match else []


def _stripped(name: str, kind: str, code: str) -> str:
    return re.sub(rf"(?: {pattern(code, kind).pattern})+$", "", name)


@functools.cache
def pattern(code: str, *kinds: str) -> re.Pattern[str]:
    """Compile all phrases of some kinds in a language; {this} and the like stand for phrases of other kinds."""

    def joined(*kinds: str) -> str:
        return "|".join(phrase for kind in kinds for phrase in phrases(kind).get(code, ())) or "(?!)"

    def other(match: re.Match[str]) -> str:
        if match[1] == "suffix":
            return "|".join(filter(None, map(folded, SUFFIXES)))
        kept = match[1] == "docs" or (match[1] == "tongue" and "instructs" in kinds)
        return match[1] if kept else f"(?:{joined(match[1])})"

    every = re.sub(r"\{([a-z]+)\}", other, joined(*kinds))
    return re.compile(every if {"summary", "folder"} & {*kinds} else rf"\b(?:{every})\b")


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


def _find_folder(name: str, documents: Mapping[str, Entry]) -> str | None:
    """Return the folder that a folded name means, which may leave out the folders above it."""
    holding = {PurePosixPath(file.rpartition("/")[0]) for file in documents}
    for path in sorted({path for folder in holding for path in (folder, *folder.parents)}):
        if name.replace(" ", "") in (folded(str(path)).replace(" ", ""), folded(path.name).replace(" ", "")):
            return str(path)
    return None


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
