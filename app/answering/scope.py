"""The scope of a turn: the folders and files of the corpus that its question, or one before it, names after "in:"."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from app.answering.turn import IN, Turn
from app.documents.readers import from_text
from app.errors import InputError
from app.translation import figure

EVERYTHING = {"all", "*", "alle", "alles", "alt", "toate"}
"""What is written after "in:" for all documents."""

NAME_WORDS = 8
"""Words of a folder's name at most, if it is not in quotation marks."""

REFERENCE = "reference.txt"
"""The name of a text that is in no file, as a source."""

LONGEST_REFERENCE = 200_000
"""Characters of such a text, which is read while the question waits."""

_QUOTED = re.compile(r"\s*[\"“„«»‘](.+?)[\"”“»«’]")
_WORD = re.compile(r"[^\s,]+")


def folders(documents: Iterable[str]) -> Mapping[str, int]:
    """Return the folders of the first level, with the number of documents in each."""
    return Counter(f"{file.partition('/')[0]}/" for file in sorted(documents) if "/" in file)


def scoped(turn: Turn, documents: Collection[str]) -> Turn:
    """Return a turn with its scope known, and its questions without what says so ("in: hr/").

    Its own question counts first, then its scope, then the latest question before it that names one. Raises InputError
    for a name that no folder and no file has.
    """
    places = _places(documents)
    own, question = _split(turn.question, places)
    history = [(*_split(it.question, places), it) for it in turn.history]
    earlier = [names for names, *__ in history if names and all(_key(each) in places for each in names)]
    names = own or (earlier[-1] if turn.scope is None and earlier else turn.scope or ())
    scope: dict[str, None] = {}
    for each in () if any(_key(each) in EVERYTHING for each in names) else names:
        if _key(each) not in places and documents:
            raise _unknown(each, folders(documents))
        scope |= dict.fromkeys(places.get(_key(each), ()))
    exchanges = tuple(it._replace(question=asked) for __, asked, it in history)
    return replace(turn, question=question, history=exchanges, scope=tuple(scope))


def about_text(turn: Turn, text: str) -> Turn:
    """Return a turn that is answered from a text in place of the documents, by a model alone if it is empty; blocks."""
    if not text.strip():
        return replace(turn, unaided=True)
    document = from_text(REFERENCE, text)
    return replace(turn, brought=(document,), dropped=(document,), scope=(REFERENCE,))


def _unknown(name: str, there: Mapping[str, int]) -> InputError:
    """Return the error for a name that no folder and no file has."""
    if not there:
        return InputError("There is no folder “{name}” in your documents, and no other one.", name=name)
    counted = ", ".join(f"{folder} ({figure(number)})" for folder, number in there.items())
    return InputError(
        "There is no folder “{name}” in your documents. There are: {folders}.", name=name, folders=counted
    )


def _places(documents: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return folders and files by what they may be called: the path, or its last part if no path is the same."""
    paths: dict[str, None] = {}
    for file in documents:
        above = (f"{folder}/" for folder in PurePosixPath(file).parents if folder.name)
        paths |= dict.fromkeys([*above, file])
    last = defaultdict(list)
    for path in paths:
        last[_key(PurePosixPath(path).name)].append(path)
    return {**dict.fromkeys(EVERYTHING, ()), **last, **{_key(path): [path] for path in paths}}


def _key(name: str) -> str:
    """Return a name as it is compared: without case, kind of slash, and marks at its end."""
    plain = unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
    return " ".join(plain.rstrip("?!").strip("/ ").split())


def _split(question: str, places: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """Return the names after each "in:" with which a question begins or ends, and the rest of it."""
    names: list[str] = []
    rest = question.strip()
    while begin := IN.match(rest):
        found, rest = _names(rest[begin.end() :], places)
        names += found
    for part in reversed([*IN.finditer(rest)]):
        found, more = _names(rest[part.end() :], places)
        if more or not found:
            break
        names, rest = found + names, rest[: part.start()].strip()
    return names, rest


def _names(text: str, places: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """Return the names with which a text begins, separated by commas, and what follows.

    A name without quotation marks is the longest known one, else the first word.
    """
    names: list[str] = []
    while True:
        if quoted := _QUOTED.match(text):
            name, end = quoted[1], quoted.end()
        else:
            ends = [word.end() for word in _WORD.finditer(text.partition(",")[0])][:NAME_WORDS]
            known = (at for at in reversed(ends) if _key(text[:at]) in places)
            end = next(known, ends[0] if ends and not names else 0)
            name = text[:end].strip()
        if not name:
            return names, text.strip(" ,")
        names.append(name)
        text = text[end:].lstrip()
        if not text.startswith(","):
            return names, text.strip(" ?!.") and text
        text = text[1:]
