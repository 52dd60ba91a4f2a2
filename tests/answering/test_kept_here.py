"""What rests on a private document stays on this machine, the chat says why, and what left it can be looked at."""

import ast
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.answering.events import Event, Failed, Finished
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Turn
from app.answering.usage import sent
from app.retrieval.search import Exchange
from app.settings import ROOT
from app.ui.buttons import SENT, choose
from app.ui.turn_view import _record
from app.ui.turns import grounds, measured, recalled
from tests.models.test_discovery import Elsewhere, Here
from tests.support.runtime import settings_for
from tests.support.servers import chunk, events

FOLDER = "Kept on this computer: private/pay.md is in the folder private."
HERE = "Kept on this computer: private/pay.md is in the folder private, so little answered here."
PAY, FERRY = "What does the captain earn?", "When does the ferry leave?"
SPANISH = "¿A qué hora sale el transbordador por la mañana y dónde está?"

pytestmark = pytest.mark.slow


class House:
    """A small model here, a large one elsewhere, and a folder of documents."""

    def __init__(self, folder: Path, small: Elsewhere, large: Elsewhere, **over: Any) -> None:
        self.folder, self.small, self.large = folder, small, large
        ends = {"small": "little", "large": "big", "small_endpoint": small.url, "large_endpoint": large.url}
        self.assistant = Assistant(settings_for(corpus=folder, **(ends | over)), patience=None)

    async def ask(self, turn: Turn) -> Answer:
        """Return the answer of a turn."""
        return (await self.events(turn))[-1].answer  # type: ignore[attr-defined]

    async def events(self, turn: Turn) -> list[Event]:
        """Return the events of a turn."""
        async with aclosing(self.assistant.answer(turn)) as stream:
            return [event async for event in stream]

    def says(self, server: Elsewhere, text: str) -> None:
        """Have a model answer this."""
        server.answers["/v1/chat/completions"] = events(chunk(text, "stop"))

    @property
    def left(self) -> str:
        """Everything that the large model was sent."""
        return "".join(asked.body.decode() for asked in self.large.asked)


@pytest.fixture
def folder(corpus: Path) -> Path:
    """A folder with a public and a private document."""
    (corpus / "private").mkdir()
    (corpus / "private" / "pay.md").write_text("# Pay\n\nThe captain earns 5,200 crowns a month.\n", encoding="utf-8")
    return corpus


@pytest.fixture
async def house(folder: Path) -> AsyncIterator[House]:
    async with opened(folder) as house:
        yield house


@asynccontextmanager
async def opened(folder: Path, large: Callable[..., Elsewhere] = Elsewhere, **over: Any) -> AsyncIterator[House]:
    """A house that is closed in the end."""
    async with Here("little", says="I do not know.") as small, large("big", says="It leaves at 9:30 [1].") as big:
        house = House(folder, small, big, **over)
        try:
            yield house
        finally:
            await house.assistant.close()


def kept(answer: Answer) -> dict[str, Any]:
    """An answer as the history has it."""
    return dict(json.loads(json.dumps(_record(answer, None))))


def after(record: dict[str, Any]) -> tuple[Exchange, ...]:
    """The history that an answer from the history makes."""
    return (Exchange(record["question"], record["text"], grounds(record)),)


async def test_a_draft_from_a_private_document_is_kept_and_the_rule_is_told(house: House) -> None:
    *_, failed, __, finished = await house.events(Turn(PAY))
    assert isinstance(failed, Failed)
    assert isinstance(finished, Finished)
    assert (finished.answer.attempt.model, finished.answer.notices) == ("little", (FOLDER,))  # type: ignore[union-attr]
    assert house.large.completions == []


async def test_what_is_public_is_sent_and_can_be_looked_at_also_from_the_history(house: House) -> None:
    answer = await house.ask(Turn(FERRY))
    assert answer.attempt is not None
    assert answer.attempt.host == house.large.url[7:]
    [[model, host, messages]] = kept(answer)["sent"]
    asked = [[it["role"], it["content"]] for it in house.large.completions[0].data["messages"]]
    assert (model, host, messages) == ("big", house.large.url[7:], asked)
    assert "9:30" in house.left


async def test_the_request_for_search_words_is_among_what_was_sent(corpus: Path) -> None:
    async with Elsewhere("little", says="ferry old harbour leaves") as far, Here("big") as near:
        house = House(corpus, far, near)
        found = await house.ask(Turn(SPANISH, mode="large"))
        house.says(far, "I do not know.")
        nothing = await house.ask(Turn(SPANISH))
        await house.assistant.close()

    words, further = ([[it["role"], it["content"]] for it in asked.data["messages"]] for asked in far.completions)
    assert (found.text, kept(found)["sent"]) == ("It leaves at 9:30.", [["little", far.url[7:], words]])
    assert (nothing.attempt, kept(nothing)["sent"]) == (None, [["little", far.url[7:], further]])
    assert (sent([found, nothing]), sent([measured(kept(found))])) == ((2, 0), (1, 0))
    quotes = replace(found.attempt, role="extractive")  # type: ignore[type-var]
    assert SENT in choose(found, quotes, comparing=False, usage=False)


async def test_the_large_model_that_is_asked_for_is_replaced_by_the_small_one(house: House) -> None:
    house.says(house.small, "The captain earns 5,200 crowns [1].")
    answer = await house.ask(Turn(PAY, mode="large"))
    assert answer.notices == (HERE,)
    compared = await house.ask(Turn(PAY, mode="compare"))
    assert (compared.text, compared.notices) == ("The captain earns 5,200 crowns [1].", (FOLDER,))
    assert house.large.completions == []


async def test_what_follows_a_private_answer_stays_here_too(house: House) -> None:
    house.says(house.small, "The captain earns 5,200 crowns [1].")
    first = await house.ask(Turn(PAY))
    house.says(house.small, "I do not know.")
    for record in (kept(first), kept(await house.ask(Turn(FERRY, after(kept(first)))))):
        answer = await house.ask(Turn(FERRY, after(record), mode="large"))
        assert answer.notices[0] == HERE
    begun = recalled(Turn(FERRY), kept(first))
    await house.ask(replace(begun.turn, earlier=begun, continues=True))
    await house.ask(replace(first.turn, earlier=first, mode="large"))
    assert house.large.completions == []


async def test_a_document_that_becomes_private_keeps_earlier_answers_here(house: House) -> None:
    record = kept(await house.ask(Turn(FERRY)))
    sent = len(house.large.completions)
    ferry = house.folder / "ferry.md"
    text = ferry.read_text(encoding="utf-8")
    ferry.write_text(f"---\nprivate: true\n---\n{text}", encoding="utf-8")
    declared = await house.ask(Turn("And the tickets?", after(record), mode="large"))
    ferry.write_text(text, encoding="utf-8")
    ferry.rename(house.folder / "private" / "ferry.md")
    moved = await house.ask(Turn("And the tickets?", after(record), mode="large"))
    assert declared.notices[0].startswith("Kept on this computer: ferry.md begins with private: true, so")
    assert moved.notices[0].startswith("Kept on this computer: private/ferry.md is in the folder private, so")
    assert len(house.large.completions) == sent


async def test_the_large_model_elsewhere_gets_no_private_passage_as_further_evidence(house: House) -> None:
    shared = "The ferry to the island leaves at {} on the day of the {} festival.\n\n"
    for place in ("", "private/"):
        text = "".join(shared.format(f"{hour}:15", f"{place[:4]}tide") for hour in range(6, 18))
        (house.folder / f"{place}festival.md").write_text(text, encoding="utf-8")
    (house.folder / "private" / "festival.md").rename(house.folder / "private" / "crew.md")
    await house.ask(Turn("When does the ferry leave?"))
    assert "privtide" not in house.left


async def test_a_question_with_a_word_that_only_private_documents_have_stays_here(house: House) -> None:
    answer = await house.ask(Turn("How much is 52 crowns?", unaided=True, mode="large"))
    assert answer.notices[0].startswith("Kept on this computer: Only private documents have “crowns”, so")
    assert house.large.completions == []


async def test_a_model_at_an_address_here_as_well_is_asked_there_and_the_rule_is_told(folder: Path) -> None:
    async with Here("big", says="The captain earns 5,200 crowns [1].") as near, opened(folder) as house:
        both = House(folder, house.small, house.large, large_endpoint=f"{house.large.url}, {near.url}")
        answer = await both.ask(Turn(PAY))
        await both.assistant.close()
        assert (answer.notices, len(near.completions), house.large.completions) == ((FOLDER,), 1, [])
        assert answer.attempt is not None
        assert (answer.attempt.host, answer.attempt.sent) == (near.url[7:], ())


async def test_where_only_the_small_model_is_elsewhere_the_large_one_answers(folder: Path) -> None:
    async with Elsewhere("little") as far, Here("big", says="The captain earns 5,200 crowns [1].") as near:
        house = House(folder, far, near)
        answer = await house.ask(Turn(PAY))
        await house.assistant.close()
    assert (answer.text, answer.notices, far.completions) == ("The captain earns 5,200 crowns [1].", (FOLDER,), [])


async def test_where_every_model_is_elsewhere_quotes_answer(folder: Path) -> None:
    async with Elsewhere("little") as far, Elsewhere("big") as other:
        house = House(folder, far, other)
        answer = await house.ask(Turn(PAY))
        await house.assistant.close()
    assert answer.attempt is not None
    assert (answer.attempt.role, answer.notices, far.completions, other.completions) == (
        "extractive",
        (FOLDER,),
        [],
        [],
    )


def test_nothing_but_one_function_asks_a_model() -> None:
    asking = {}
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("completions", "responses", "embeddings", "post"):
                asking.setdefault(path.relative_to(ROOT).as_posix(), []).append(node.attr)
    assert {name: len(found) for name, found in asking.items()} == {"app/models/chat.py": 1}
