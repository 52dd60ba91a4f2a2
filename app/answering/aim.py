"""What a turn is to be answered from: a search, a whole document, the answer before it, or nothing at all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.answering.naming import named
from app.answering.router import Intent, intent
from app.answering.turn import Turn
from app.retrieval.segment import Entry
from app.retrieval.store import Snapshot


@dataclass(frozen=True, slots=True)
class Aim:
    """The turn whose question is searched, what the message asks for if it is no question, the document to sum up."""

    turn: Turn
    intent: Intent | None = None
    file: str = ""

    @property
    def reworks(self) -> bool:
        """Whether the last answer is to be given in another form, which takes a model."""
        return self.intent is not None and self.intent.kind == "instructs"


def aim(turn: Turn, corpus: Snapshot) -> Aim:
    """What the question of a turn aims at."""
    languages = corpus.index.languages
    wish = intent(turn.question, languages, goes_on=bool(turn.history))
    if turn.dropped and (first := intent(turn.question, languages)) and "" in first.names:
        wish = first  # "summarise this" means what was dropped, and not the last answer
    if wish is None:
        return Aim(turn)
    if wish.kind == "instructs":
        return replace(_before(turn, corpus), intent=wish)
    if wish.kind != "summary":
        return Aim(turn, wish)
    documents = corpus.documents
    names = (_dropped(turn, documents) if not name else named(name, documents, wish.language) for name in wish.names)
    file = next(filter(None, names), None)
    return Aim(turn, wish, file) if file else Aim(turn)


def _before(turn: Turn, corpus: Snapshot) -> Aim:
    """What the last question aimed at that was no instruction itself."""
    asked = [exchange.question for exchange in turn.history]
    wishes = enumerate(intent(question, goes_on=at > 0) for at, question in enumerate(asked))
    at = max(at for at, wish in wishes if wish is None or wish.kind != "instructs")  # the first one goes on from none
    return aim(replace(turn, question=asked[at], history=turn.history[:at]), corpus)


def _dropped(turn: Turn, documents: Mapping[str, Entry]) -> str | None:
    """The document that came with the question, or the only one that came at all, or that there is."""
    for files in ([each.file for each in turn.brought], [each.file for each in turn.dropped], list(documents)):
        if files:
            return files[0] if len(files) == 1 else None
    return None
