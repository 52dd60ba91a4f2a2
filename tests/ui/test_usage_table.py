"""Times and tokens beside the chat: sums first, amounts that a person can imagine, cells on one line."""

from dataclasses import replace

import pytest

from app.answering.turn import Answer, Attempt, Decision, Metrics, Turn
from app.answering.usage import Prices
from app.retrieval.search import SearchResult
from app.ui import usage_table

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
    text = usage_table.format_figures(answers, answers[-1], PRICES, "Preferred in this conversation: phi-4-mini (1)")
    return text.replace(usage_table.BLANK, " ")


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
    text = usage_table.format_figures([ANSWER], ANSWER, PRICES, "")

    assert f"| As answered | 22{usage_table.BLANK}s |" in text
    assert f"charged under{usage_table.BLANK}$0.01 for" in text


def test_what_no_model_was_asked_has_no_row_of_a_model() -> None:
    quotes = replace(SMALL, id=3, role="extractive", model="quotes")

    text = shown(replace(ANSWER, attempts=(quotes,), attempt=quotes))

    assert "quotes" not in text
    assert "| As answered | – | $0.00 |" in text


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (SMALL, "phi-4-mini · first word after 0.80 s · 12 tokens/s · 1,672 tokens read, 7 written"),
        (replace(SMALL, host="10.0.0.5:5000", metrics=Metrics()), "phi-4-mini on 10.0.0.5:5000"),
    ],
)
def test_an_attempt_is_summed_up_in_a_line(attempt: Attempt, said: str) -> None:
    assert usage_table.summary(attempt, usage=True).replace(usage_table.BLANK, " ") == said
