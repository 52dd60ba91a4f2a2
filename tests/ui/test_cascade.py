"""Times and tokens beside the chat: sums first, amounts that a person can imagine, cells on one line."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.answering.turn import Answer, Attempt, Decision, Metrics, Sent, Turn
from app.answering.usage import Prices
from app.errors import NoModel
from app.retrieval.search import SearchResult
from app.ui import cascade
from app.ui.turn_view import _record
from app.ui.turns import measured

SMALL = Attempt(
    1, "small", "phi-4-mini", "127.0.0.1:1", "It leaves.", "stop",
    Metrics(
        sent_ms=20, first_token_ms=800, total_ms=1_500, prompt_tokens=1_672, completion_tokens=7, tokens_per_s=12.3
    ),
)  # fmt: skip
LARGE = Attempt(
    2, "large", "gpt-oss-20b", "127.0.0.1:1", "At 9:30.", "stop",
    Metrics(
        sent_ms=30, first_token_ms=4_000, total_ms=21_000, prompt_tokens=2_769, completion_tokens=56, tokens_per_s=3
    ),
)  # fmt: skip
ANSWER = Answer(
    Turn("When?"), SearchResult("When?", (), (), (), 0.0), (), (SMALL, LARGE), LARGE, Decision("short", "It is short."),
    "At 9:30.", "At 9:30.", (), (), Metrics(retrieve_ms=12),
)  # fmt: skip
PRICES = Prices.parse("2025-08-05 0.075/0.30 0.10/0.50")


def shown(*answers: Answer) -> str:
    text = cascade.format_figures(answers, answers[-1], PRICES, "Preferred in this conversation: phi-4-mini (1)")
    return text.replace(cascade.BLANK, " ")


def test_the_sums_of_the_conversation_come_before_the_details_of_the_latest_answer() -> None:
    text = shown(ANSWER, ANSWER)

    assert text.startswith("**This conversation**\n\nAnswers by models: 2. Drafts set aside: 2.")
    assert "| As answered | 45 s | $0.43 |" in text
    assert "| Always small | 3.00 s | $0.13 |" in text
    assert "| Always large | 42 s | $0.30 |" in text
    assert "at the prices of 2025-08-05" in text
    assert text.index("Preferred in this conversation: phi-4-mini (1)") < text.index("**This answer**")
    details = text.partition("**This answer**\n\n")[2]
    assert details.startswith("|  | phi-4-mini | gpt-oss-20b |")
    assert "| Finished after | 1.50 s | 21 s |" in details
    assert "| Tokens read | 1,672 | 2,769 |" in details


def test_numbers_and_their_units_stay_on_one_line() -> None:
    text = cascade.format_figures([ANSWER], ANSWER, PRICES, "")

    assert f"| As answered | 22{cascade.BLANK}s |" in text
    assert f"charged under{cascade.BLANK}$0.01 for" in text


def test_what_no_model_was_asked_has_no_row_of_a_model() -> None:
    quotes = replace(SMALL, id=3, role="extractive", model="quotes")

    text = shown(replace(ANSWER, attempts=(quotes,), attempt=quotes))

    assert "quotes" not in text
    assert "| As answered | – | $0.00 |" in text


GONE = NoModel("Gone.")
AWAY = replace(LARGE, host="api.example.com", sent=(Sent("gpt-oss-20b", "api.example.com", (("user", "When?"),)),))


def routed(route: Any, *attempts: Attempt) -> Answer:
    last = attempts[-1]
    return replace(ANSWER, turn=Turn("When?", route=route), attempts=attempts, attempt=last, decision=None)


def test_each_route_that_was_taken_has_a_row_with_what_other_machines_got() -> None:
    text = shown(
        routed("local-first", SMALL),
        routed("cloud-first", AWAY),
        routed("cloud-first", replace(AWAY, failure=GONE), SMALL),
    )

    head = "| Route | Time per answer | Cloud price of 1,000 answers | Sent to other machines |"
    table = text[text.index(head) :].partition("\n\n")[0].splitlines()
    assert table[2:] == [
        "| Local first | 1.50 s | $0.13 | 0 of 1, 0 tokens |",
        "| Cloud first | 22 s | $0.37 | 2 of 2, 5,538 tokens |",
    ]
    assert "At the prices of 2025-08-05 (`ESCALATOR_PRICES`) this conversation costs" in text
    assert "nothing was paid" not in text


def test_what_the_user_chose_has_a_row_where_it_left_the_machine() -> None:
    text = shown(routed(None, AWAY), routed("task", SMALL))

    assert "| By task | 1.50 s |" in text
    assert "| Chosen by you | 21 s | $0.30 | 1 of 1, 2,769 tokens |" in text


def test_without_any_setting_there_is_no_table_of_routes() -> None:
    text = shown(routed("local-first", SMALL), routed(None, SMALL))

    assert "Route" not in text
    assert "Here nothing was paid." in text


def test_a_conversation_that_is_opened_again_counts_routes_and_what_left() -> None:
    answers = [routed("cloud-first", AWAY), routed("task", SMALL), routed(None, LARGE)]
    kept = json.loads(json.dumps([_record(it, None) for it in answers]))

    assert shown(*map(measured, kept)) == shown(*answers)
    del kept[1]["route"]  # as an earlier version kept it
    assert measured(kept[1]).turn.route == "local-first"


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (SMALL, "phi-4-mini · first word after 0.80 s · 12 tokens/s · 1,672 tokens read, 7 written"),
        (replace(SMALL, host="10.0.0.5:5000", metrics=Metrics()), "phi-4-mini on 10.0.0.5:5000"),
    ],
)
def test_an_attempt_is_summed_up_in_a_line(attempt: Attempt, said: str) -> None:
    assert cascade.summary(attempt, usage=True).replace(cascade.BLANK, " ") == said
