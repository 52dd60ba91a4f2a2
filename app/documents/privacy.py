"""Which documents are private, so that nothing which rests on them leaves this machine, and which rule says so."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Protocol

from app.translation import _

FOLDER = "private"
"""The name of folders whose documents are private."""

ANY = "*"
"""Stands for every document: another program's text may say what any of them says."""

RULE = "\n"
"""Begins a rule among the grounds of an answer, which no file's name does: it holds on where its document is gone."""

_FRONT = re.compile(r"\A\s*(-{3}|\+{3})[ \t]*$(.*?)(?:^(?:\1|\.\.\.)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_DECLARED = re.compile(r"^[\"']?private[\"']?\s*[:=]\s*[\"']?(?:true|yes|on|1)\b", re.IGNORECASE | re.MULTILINE)


class Declared(Protocol):
    """What is known of a document."""

    @property
    def private(self) -> bool: ...


def declared_private(text: str) -> bool:
    """Whether a document says so itself, by `private: true` in the block of settings at its top."""
    front = _FRONT.match(text)
    return front is not None and _DECLARED.search(front[2]) is not None


def private_rule(file: str, declared: bool, patterns: str) -> str | None:
    """Return a sentence about the rule that makes a document private, None if none does."""
    path = PurePosixPath(_plain(file))
    if FOLDER in path.parts[:-1]:
        return _("{file} is in the folder {folder}.", file=file, folder=FOLDER)
    if declared:
        return _("{file} begins with {mark}.", file=file, mark="private: true")
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        wanted = _plain(pattern).removeprefix("./").strip("/").replace("**/", "*")
        places = [path, *path.parents][:-1]  # a folder holds what is in it
        names = [it.name for it in places] if "/" not in wanted else []
        if any(fnmatchcase(it, wanted) for it in (*map(str, places), *names)):
            return _("{file} matches {pattern} of ESCALATOR_PRIVATE.", file=file, pattern=pattern)
    return None


def kept_here(grounds: Iterable[str], documents: Mapping[str, Declared], patterns: str) -> str:
    """Return the rule that keeps on this machine what rests on some grounds, as documents are now; empty if none does.

    Grounds are names of documents, ANY, and rules that applied before. Where a document is gone, one of its name that
    is elsewhere now counts as the same.
    """
    held = ""
    for ground in dict.fromkeys(grounds):
        if ground.startswith(RULE):
            held = held or ground.removeprefix(RULE)
            continue
        last = f"/{ground}".rpartition("/")[2]
        known = ground in documents
        files = [ground] if known else [it for it in documents if ground == ANY or it.rpartition("/")[2] == last]
        for file in [*files, *([] if known or ground == ANY else [ground])]:
            declared = file in documents and documents[file].private
            if rule := private_rule(file, declared, patterns):
                return rule
    return held


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
