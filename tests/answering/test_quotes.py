"""What is quoted, without any model, from whole documents: tables, lists, questions with answers, and short facts."""

import json
import shutil
from contextlib import aclosing
from pathlib import Path

import pytest

from app.answering.events import Finished
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Turn
from app.retrieval.sentence_ranking import table_head
from app.ui import corpus_panel
from tests.support.runtime import settings_for

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests/documents/readers/files"

ROOMS = """# Rooms

All rooms are booked by the reception desk. Seats are counted without the stage.

| Room | Seats | Price per day |
|---|---|---|
| Askeladden | 24 | 1,900 |
| Tyrihans | 60 | 4,350 |
| Veslefrikk | 12 | 900 |
"""
STAFF = "Name;Department;Extension\nAnna Berg;Sales;4411\nJonas Dahl;Accounting;4420\nMina Holm;IT support;4499\n"
PARTS = "# Parts\n\nAll parts of the store.\n\n| Part | Description | Weight |\n|---|---|---|\n" + "".join(
    f"| Part {number:03} | steel plate number {number} | {7 * number} kg |\n" for number in range(1, 80)
)
FAQ = """# FAQ

**How do I reset my password?**

Open the settings and choose Security. A link is sent to your mail address.

**Can I bring my dog?**

Yes. Dogs are welcome on a lead.

**¿Cuánto cuesta el aparcamiento?**

Tres euros al día.

### Wie lange dauert die Lieferung?

In der Regel drei bis fünf Werktage.

### Hvor kan jeg parkere?

Bak bygget, mot avgift.

### Which payment methods are accepted?

- Visa
- Invoice
"""
NUMBERS = """Important numbers

Emergency: 5273
Reception: 5500
Workshop floor: 5517

Opening hours 9–17

The office is closed on all public holidays, and on the day after the summer party.

Parking
Behind the house
"""
CARD = """# Contact card

Reception: 5500. Workshop: 5517. First aid: 5599. Fire brigade: 112.

The card is printed on yellow paper and hangs next to each telephone in the building.
"""
TERMS = """# Terms

Grace period
: 14 days

## Contact

- **Janitor**: 555-0199
- **Heating**: call 555-0188

The steps are:

1. Read the meter.
2. Send the figure to the office.

The deposit is computed by

    deposit = 2 * rent + fee

and is paid back.
"""
SETUP = """# Setup

To install the tool, run:

```sh
pip install widget
widget init
```

Prices (EUR):

| Ticket | Adult | Child |
|:-------|------:|------:|
| Single | 3.20 | 1.60 |
| Day pass | 9.00 | 4.50 |
"""
QUESTIONS = """Q: How much is a ticket?
A: 4 euros.

Q: Où puis-je garer ma voiture ?
R : Derrière la mairie.

Как сбросить пароль?
Нажмите «Забыли пароль» на странице входа.
"""
FIRM = """**Telefon:** 22 33 44 55

Besøksadresse: Storgata 1
Postadresse: Postboks 9

* Grunnlagt: 1987
* Ansatte: 42
"""


async def answered(corpus: Path, state: Path, question: str) -> Answer:
    assistant = Assistant(settings_for(state, corpus))
    async with aclosing(assistant.answer(Turn(question))) as stream:
        [*_, finished] = [event async for event in stream]
    await assistant.close()
    assert isinstance(finished, Finished)
    return finished.answer


def assert_exact(answer: Answer) -> None:
    """Every citation is word for word what the evidence has there."""
    evidence = {item.number: item for item in answer.evidence}
    for each in answer.citations:
        assert each.number is not None
        assert each.start is not None
        assert each.end is not None
        item = evidence[each.number]
        if item.start <= each.start:  # the head of a long table may be above the evidence
            assert item.text[each.start - item.start : each.end - item.start] == each.sentence


@pytest.mark.parametrize(
    ("name", "text", "question", "quoted"),
    [
        (
            "rooms.md",
            ROOMS,
            "How many seats does Tyrihans have?",
            "> | Room | Seats | Price per day |\n> |---|---|---|\n> | Tyrihans | 60 | 4,350 |\n>\n> [1]",
        ),
        (
            "rooms.md",
            ROOMS,
            "Which room has 12 seats?",
            "> | Room | Seats | Price per day |\n> |---|---|---|\n> | Vesle",
        ),
        (
            "rooms.md",
            ROOMS,
            "What do the rooms cost per day?",
            "| 1,900 |\n> | Tyrihans | 60 | 4,350 |\n> | Veslefrikk",
        ),
        (
            "staff.csv",
            STAFF,
            "What is Jonas Dahl's extension?",
            "Extension |\n> |---|---|---|\n> | Jonas Dahl | Accounting",
        ),
        (
            "parts.md",
            PARTS,
            "What is the weight of part 055?",
            "| Weight |\n> |---|---|---|\n> | Part 055 | steel plate",
        ),
        ("faq.md", FAQ, "How do I reset my password?", "> Open the settings and choose Security. [1]"),
        ("faq.md", FAQ, "Can I bring my dog?", "> Yes. Dogs are welcome on a lead. [1]"),
        ("faq.md", FAQ, "¿Cuánto cuesta el aparcamiento?", "> Tres euros al día. [1]"),
        ("faq.md", FAQ, "Wie lange dauert die Lieferung?", "> In der Regel drei bis fünf Werktage. [1]"),
        ("faq.md", FAQ, "Hvor kan jeg parkere?", "> Bak bygget, mot avgift. [1]"),
        ("faq.md", FAQ, "Which payment methods are accepted?", "> - Visa\n> - Invoice [1]"),
        ("numbers.txt", NUMBERS, "What is the emergency number?", "> Emergency: 5273 [1]"),
        ("numbers.txt", NUMBERS, "opening hours", "> Opening hours 9–17 [1]"),
        ("numbers.txt", NUMBERS, "Where is the parking?", "Behind the house [1]"),
        ("card.md", CARD, "first aid number", "> First aid: 5599. [1]"),
        ("terms.md", TERMS, "How long is the grace period?", "> Grace period : 14 days [1]"),
        ("terms.md", TERMS, "janitor phone", "> - **Janitor**: 555-0199 [1]"),
        (
            "terms.md",
            TERMS,
            "What are the steps?",
            "> The steps are:\n>\n> 1. Read the meter.\n> 2. Send the figure to",
        ),
        ("terms.md", TERMS, "How is the deposit computed?", "computed by\n>\n>     deposit = 2 * rent + fee\n>\n> [1]"),
        (
            "setup.md",
            SETUP,
            "How do I install the tool?",
            "run:\n>\n>     pip install widget\n>     widget init\n>\n> [1]",
        ),
        ("setup.md", SETUP, "What are the prices?", "> Prices (EUR):\n>\n> | Ticket | Adult | Child |\n> |:---"),
        ("questions.txt", QUESTIONS, "How much is a ticket?", "> A: 4 euros. [1]"),
        ("questions.txt", QUESTIONS, "Où garer ma voiture ?", "> R : Derrière la mairie. [1]"),
        ("questions.txt", QUESTIONS, "Как сбросить пароль?", "> Нажмите «Забыли пароль» на странице входа. [1]"),
        ("fakta.md", FIRM, "telefonnummer", "> **Telefon:** 22 33 44 55 [1]"),
        ("fakta.md", FIRM, "Hva er postadressen?", "> Postadresse: Postboks 9 [1]"),
        ("fakta.md", FIRM, "Hvor mange ansatte?", "> * Ansatte: 42 [1]"),
        (
            "info.csv",
            "Opening hours,9-17\nPhone,5500 1234\nManager,Ola Nordmann\n",
            "Who is the manager?",
            "> Manager · Ola",
        ),
        (
            "porter.html",
            "<dl><dt>Porter</dt><dd>A person who carries the bags.</dd></dl>",
            "porter",
            "> Porter A person",
        ),
    ],
)
async def test_the_answer_is_quoted(tmp_path: Path, name: str, text: str, question: str, quoted: str) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / name).write_text(text, encoding="utf-8")

    answer = await answered(corpus, tmp_path / "none", question)

    assert quoted in answer.rendered
    assert "?" not in answer.rendered
    assert_exact(answer)


@pytest.mark.parametrize(
    ("name", "question", "rows"),
    [
        ("handbook.docx", "What is the fee per day for a film?", ["Medium | Weeks | Fee per day", "Film | 1 | 1.00 €"]),
        ("handbook.docx", "How many volumes has S-031?", ["Mark | Subject | Room", "S-031 | Birds | Room 4 | 130 vol"]),
        ("market.xlsx", "What is the price of Figs 3?", ["Fruit | Since | Price", "Figs 3 | 2025-09-17 | 16.50 €"]),
        ("harbour.pptx", "Which berth has the Cormorant?", ["Boat | Knots | Berth", "Cormorant | 9 | B12"]),
    ],
)
async def test_a_row_of_any_format_comes_with_its_head(
    tmp_path: Path, name: str, question: str, rows: list[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    shutil.copy(FILES / name, corpus)

    answer = await answered(corpus, tmp_path / "none", question)

    assert [row for row in rows if f"> | {row}" not in answer.rendered] == []
    assert_exact(answer)


FACTS = ["fixed port 5273", "k1 * (1 - b + b *", "needs about 12 GB of memory", "§ 87 Absatz 1 Nummer 6 BetrVG", ""]
"""What docs/sample-questions.md says is in the documents; the last question has no answer there."""


async def test_the_sample_questions_are_answered_by_their_documented_facts(tmp_path: Path) -> None:
    samples = json.loads(Path(corpus_panel.__file__).with_name("starters.json").read_text(encoding="utf-8"))

    for sample, fact in zip(samples, FACTS, strict=True):
        answer = await answered(ROOT / "corpus", tmp_path / "none", sample["question"])
        assert fact in answer.rendered
        assert answer.citations[0].file == sample["file"]
        assert "?" not in answer.rendered
        assert_exact(answer)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |", "| a | b |"),
        ("text\n\n| a | b |\n| 1 | 2 |", "| a | b |"),
        ("| A title |\n| a | b |\n| 1 | 2 |", "| a | b |"),
        ("| a | b |\n\f| c | d |\n| 1 | 2 |", "| c | d |"),
        ("  | a | b |\n  |:--|--:|\n  | 1 | 2 |", "| a | b |"),
        ("| name: Ann | age: 5 |\n| name: Bob | age: 6 |", None),
        ("| Emergency | 5273 |\n| Porter | 5500 |", None),
        ("text\n| 1 | 2 |", None),
    ],
)
def test_the_head_of_a_table_is_above_its_rule_or_is_its_first_row_of_several_cells(
    text: str, head: str | None
) -> None:
    span = table_head(text, text.rindex("\n") + 1 + text.startswith(" ") * 2)

    assert (text[slice(*span)] if span else None) == head
