"""Questions to some folders of the corpus alone."""

from pathlib import Path

import pytest

from app.answering.events import Abstained, Failed, Retrieved
from app.answering.pipeline import Assistant
from app.answering.scope import scoped
from app.answering.turn import Turn
from app.documents.folder import Folder
from app.errors import InputError
from app.retrieval.corpus import Corpus
from app.retrieval.search import Exchange
from app.retrieval.snapshot import Snapshot
from tests.answering.test_pipeline import events_of
from tests.answering.test_run import answer
from tests.support.runtime import settings_for

FILES = {
    "readme.md": "# Handbook\n\nThe office opens at nine o'clock.\n",
    "hr/leave.md": "# Leave\n\nEmployees have thirty days of leave each year.\n",
    "hr/old/leave 2019.md": "# Leave in 2019\n\nEmployees had twenty days of leave each year.\n",
    "legal/contract.md": "# Contract\n\nThe contractor has five days of leave each year.\n",
    "Human Resources/pay day.md": "# Pay\n\nThe salary is paid on the last day of the month.\n",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def snapshot(corpus: Path) -> Snapshot:
    return Corpus(Folder(corpus, 1_000_000)).refresh()


@pytest.mark.parametrize(
    ("question", "scope"),
    [
        ("in: hr/ How many days?", ("hr/",)),
        ("in:hr How many days?", ("hr/",)),
        ("IN: HR/ How many days?", ("hr/",)),
        ("How many days? in: hr", ("hr/",)),
        ("How many days in: hr/?", ("hr/",)),
        ("in: “Human Resources” How many days?", ("Human Resources/",)),
        ('How many days? in:"human resources/"', ("Human Resources/",)),
        ("in: human resources How many days?", ("Human Resources/",)),
        ("in: hr/, legal/ How many days?", ("hr/", "legal/")),
        ("in: hr, How many days?", ("hr/",)),
        ("in: hr in: legal How many days?", ("hr/", "legal/")),
        ("How many days? in: hr in: legal", ("hr/", "legal/")),
        ("in: hr/old/ How many days?", ("hr/old/",)),
        (r"in: hr\old How many days?", ("hr/old/",)),
        ("in: old How many days?", ("hr/old/",)),
        ("in: legal/contract.md How many days?", ("legal/contract.md",)),
        ("in: pay day.md How many days?", ("Human Resources/pay day.md",)),
        ("in: all How many days?", ()),
        ("How many days?", ()),
    ],
)
def test_a_question_names_its_folders_at_its_beginning_or_end(
    snapshot: Snapshot, question: str, scope: tuple[str, ...]
) -> None:
    turn = scoped(Turn(question), snapshot.documents)

    assert turn.scope == scope
    assert turn.question.rstrip("?") == "How many days"


@pytest.mark.parametrize(
    "question", ["What is in the box?", "Plug-in: how is it installed?", "Who is in: all of them or few?"]
)
def test_other_questions_are_left_as_they_are(snapshot: Snapshot, question: str) -> None:
    assert scoped(Turn(question), snapshot.documents).question == question


def said(*questions: str) -> tuple[Exchange, ...]:
    return tuple(Exchange(question, "Thirty [1].") for question in questions)


def test_a_follow_up_keeps_the_folders_until_others_are_named(snapshot: Snapshot) -> None:
    asked = "in: hr/ How many days?"

    def scope(question: str, *before: str, given: tuple[str, ...] | None = None) -> tuple[str, ...] | None:
        return scoped(Turn(question, said(*before), scope=given), snapshot.documents).scope

    assert scope("And in 2019?", asked) == ("hr/",)
    assert scope("And in 2019?", asked, "Why?") == ("hr/",)
    assert scope("in: legal And there?", asked) == ("legal/",)
    assert scope("And there?", asked, "in: legal And there?") == ("legal/",)
    assert scope("And there?", asked, "in: all And there?") == ()
    assert scope("in: all And there?", asked) == ()
    assert scope("And there?", asked, given=("legal/",)) == ("legal/",)
    assert scope("And there?", asked, given=()) == ()


def test_earlier_questions_are_searched_without_their_folders(snapshot: Snapshot) -> None:
    turn = scoped(Turn("Why?", said("in: hr/ How many days?")), snapshot.documents)

    assert [exchange.question for exchange in turn.history] == ["How many days?"]


def test_without_folders_the_corpus_is_not_looked_at_for_them() -> None:
    assert not Turn("How many days are in it?", said("And then?")).may_be_limited


def test_an_unknown_folder_is_answered_with_those_there_are(snapshot: Snapshot) -> None:
    with pytest.raises(InputError, match=r"no folder “sales/” in .* Human Resources/ \(1\), hr/ \(2\), legal/ \(1\)"):
        scoped(Turn("in: sales/ How many days?"), snapshot.documents)
    with pytest.raises(InputError, match="no folder “sales”"):
        scoped(Turn("How many days?", scope=("sales",)), snapshot.documents)


@pytest.fixture
def bare(tmp_path: Path, corpus: Path) -> Assistant:
    """Without any model."""
    return Assistant(settings_for(tmp_path / "none", corpus), patience=None)


@pytest.mark.slow
async def test_an_answer_is_from_the_folders_alone_and_says_so(bare: Assistant) -> None:
    events = await events_of(bare, Turn("in: legal/ How many days of leave?"))

    [retrieved] = [event for event in events if isinstance(event, Retrieved)]
    assert retrieved.scope == ("legal/",)
    assert {item.file for item in retrieved.evidence} == {"legal/contract.md"}
    assert answer(events).turn.scope == ("legal/",)
    assert answer(events).turn.question == "How many days of leave?"

    later = answer(await events_of(bare, Turn("How many in: hr/old/", said("in: legal/ How many days of leave?"))))
    assert {item.file for item in later.evidence} == {"hr/old/leave 2019.md"}


@pytest.mark.slow
async def test_summaries_the_overview_and_unknown_words_are_of_the_folders(bare: Assistant) -> None:
    summary = answer(await events_of(bare, Turn("in: hr/ Summarise")))
    assert {item.file for item in summary.evidence} == {"hr/leave.md", "hr/old/leave 2019.md"}

    overview = answer(await events_of(bare, Turn("in: legal/ What is in here?"))).text
    assert overview.startswith("legal/: 1 document")
    assert "Leave" not in overview

    unknown = answer(await events_of(bare, Turn("in: legal/ salary"))).text
    assert "“salary”" in unknown


@pytest.mark.slow
async def test_a_message_of_folders_alone_says_what_questions_are_answered_from(bare: Assistant) -> None:
    events = await events_of(bare, Turn("in: hr/"))
    assert "from hr/ alone: 2 documents" in answer(events).text
    assert answer(events).turn.scope == ("hr/",)
    assert any(isinstance(event, Abstained) for event in events)

    assert "from all documents" in answer(await events_of(bare, Turn("in: all", said("in: hr/ Days?")))).text
    [failed] = [event for event in await events_of(bare, Turn("in: sales")) if isinstance(event, Failed)]
    assert "There are: Human Resources/ (1), hr/ (2), legal/ (1)." in str(failed.error)
