"""The route of a question: its kind by rules that a trainer can read out, and what is said of the model that answers.

Requests for translations and code are known by the phrases "translation" and "code" of `phrases.json`, summaries as
`router.py` knows them. What no rule fits is "general".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from app.answering.lexicon import phrases
from app.answering.router import LONGEST, Kind, consists, intent, names_language, pattern, spelt
from app.answering.turn import Turn
from app.settings import Answerer, TaskKind
from app.translation import _, mark, quoted

FENCE = re.compile(r"```|~~~|^(?: {4}|\t)\S.*[;{}():=]$", re.MULTILINE)
"""A block of code in a message."""

IDENTIFIER = re.compile(
    r"(?<![\w./-])(?:[a-z]\w*\(\)|[a-z]{2,}[A-Z][a-z]+\w*|[a-z]\w*_\w*[a-z](?!\w|\.\w|/)|(?:[A-Z][a-z]+)+(?:Error|Exception)\b)"
)
"""A name that only code has: read_all(), parseDate, parse_date, ValueError; not iPhone, nor the file house_rules.md."""

KINDS = {"code": mark("Code"), "summary": mark("Summary"), "translation": mark("Translation")}

SAID = {
    "small": mark("{kind}, because of {rule}: the small model answers alone."),
    "large": mark("{kind}, because of {rule}: the large model answers."),
    "auto": mark("{kind}, because of {rule}: the small model answers first."),
}

NAMES: Mapping[str, str] = {
    "local-first": mark("Local first"),
    "cloud-first": mark("Cloud first"),
    "task": mark("By task"),
}
"""What the routes are called."""


@dataclass(frozen=True, slots=True)
class Task:
    """The kind of a question, and what tells: words of the question, or a sentence part."""

    kind: TaskKind
    rule: str = ""

    def said(self, by: Answerer) -> str | None:
        """Say which kind a question is of, which rule tells, and who answers; None for a general one as always."""
        if self.kind == "general":
            return None if by == "auto" else _("No code, summary or translation is asked for.")
        return _(SAID[by], kind=_(KINDS[self.kind]), rule=self.rule)


def task_of(turn: Turn, meant: Kind | None = None) -> Task:
    """Tell the kind of a question, which is `meant` as something else if it is no question to search for.

    The first rule that fits counts: a block of code, a request to translate, one to sum up, one for code, a name that
    only code has, a wish for another language. A request stands in the first line, before a text or a colon.
    """
    if FENCE.search(turn.question):
        return Task("code", _("a block of code"))
    head = re.split(r":\s|:$|\n", turn.question.strip(), maxsplit=1)[0][:LONGEST]
    if words := _found(head, "translation"):
        return Task("translation", quoted(words))
    wanted = intent(head, goes_on=bool(turn.history))
    if wanted is not None and wanted.kind in ("summary", "instructs") and (words := _found(head, "digest")):
        return Task("summary", quoted(words))
    if meant == "summary":
        return Task("summary", quoted(head))
    if words := _found(head, "code"):
        return Task("code", quoted(words))
    if name := IDENTIFIER.search(turn.question):
        return Task("code", quoted(name[0]))
    if wanted is not None and wanted.kind == "instructs" and names_language(head):
        return Task("translation", quoted(head))
    return Task("general")


def _found(text: str, kind: str) -> str:
    """Return the words of a text, as they are written, that a phrase of a kind has in any language; "" if none has.

    Only what asks for nothing may stand before words that ask for a summary: not "How long is the summary?".
    """
    written = re.findall(r"[^\W_]+", text)
    for code, line in product(phrases(kind), spelt(text)):
        match = pattern(code, kind).search(line)
        if match and (kind != "digest" or consists((kind,), code, line[: match.end()], ("filler", "around"))):
            start, end = match.span(match.lastindex or 0)
            first, more = line[:start].count(" "), line[start:end].count(" ")
            words = " ".join(written[first : first + more + 1])
            return words if first or code == "de" else words[0].lower() + words[1:]  # German nouns keep their capital
    return ""
