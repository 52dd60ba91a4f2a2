"""The report of a question that both models answered in the chat."""

import asyncio
from dataclasses import replace

from app.answering.turn import Answer, Attempt, Metrics, Turn
from app.answering.usage import Prices
from app.errors import ServerError
from app.retrieval.search import SearchResult
from app.translation import choose
from app.ui.comparison import as_run, report

QUESTION = "When does the ferry leave?"
SMALL = Attempt(
    1, "small", "phi-4-mini", "127.0.0.1:1", "It <b>leaves</b>.", "stop", passages=2,
    metrics=Metrics(sent_ms=20, first_token_ms=800, total_ms=1_500, prompt_tokens=1_000, completion_tokens=100),
)  # fmt: skip
LARGE = replace(
    SMALL, id=2, role="large", model="gpt-oss-20b", text="At 9:30.",
    metrics=Metrics(sent_ms=30, first_token_ms=4_000, total_ms=21_000, prompt_tokens=1_000, completion_tokens=400),
)  # fmt: skip
FOUND = SearchResult(QUESTION, (), (), (), 0.0)
ANSWER = Answer(
    Turn(QUESTION, mode="compare"), FOUND, (), (SMALL, LARGE), LARGE, None, "", "", (), (),
    Metrics(retrieve_ms=12, prompt_ms=8),
)  # fmt: skip
PRICES = Prices.parse("2025-08-05 0.075/0.30 0.10/0.50")


def test_each_model_is_a_contender_with_its_time_and_its_price() -> None:
    run = as_run(ANSWER, PRICES)
    small, large = run.contenders

    assert (small.kind, small.models, small.retrieval) == ("small", ("phi-4-mini",), True)
    assert small.figures["total_ms"].value == 12 + 8 + 20 + 1_500
    assert large.figures["total_ms"].value == 12 + 8 + 30 + 21_000
    assert [round(answer.cost or 0, 6) for answer in run.answers] == [0.000105, 0.0003]
    assert run.prices_of == "2025-08-05"


def test_the_report_is_a_page_with_both_answers_named_by_the_question() -> None:
    made = report(ANSWER, PRICES)

    assert made["name"] == "When does the ferry leave.html"
    assert "Comparison of phi-4-mini and gpt-oss-20b" in made["text"]
    assert "It &lt;b&gt;leaves&lt;/b&gt;." in made["text"]
    assert "At 9:30." in made["text"]
    assert "1 round" not in made["text"]
    assert "interval" not in made["text"].partition("</style>")[2]


async def test_the_report_is_in_the_language_of_the_page() -> None:
    choose("de")
    text = (await asyncio.to_thread(report, ANSWER, PRICES))["text"]

    assert '<html lang="de">' in text
    assert "Vergleich von phi-4-mini und gpt-oss-20b" in text
    assert "Time of an answer" not in text


def test_a_model_that_failed_is_named_with_its_error() -> None:
    failed = replace(LARGE, text="", failure=ServerError("The connection was lost."), metrics=Metrics())
    run = as_run(replace(ANSWER, attempts=(SMALL, failed)), PRICES)

    assert [answer.error for answer in run.answers] == ["", "The connection was lost."]
    assert "The connection was lost." in report(replace(ANSWER, attempts=(SMALL, failed)), PRICES)["text"]
