"""Attempts on the genuine runtime: each is watched, and what a model puts around its answer is left out."""

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import pytest

from app.answering.events import Token
from app.answering.pipeline import Assistant
from app.answering.prompt import Prompt
from app.answering.turn import Answer, Turn
from tests.answering.test_pipeline import asked, events_of, large, small
from tests.support.corpora import FERRY, prose
from tests.support.runtime import ANALYSIS, FINAL, settings_for
from tests.support.scripted import Script
from tests.support.servers import Asked, Canned, chunk, events, reply

pytestmark = pytest.mark.slow

CIRCLES = "The tide turns. " * 60
"""An answer in circles, of so many tokens that it would be noticed if it were written to its end."""

CODE = "Do this:\n\n```js\nconst ferries = [\n" + "  leaves: 930,\n" * 60
QUESTION = "When does the ferry leave?"
GOOD = "The ferry leaves at 9:30 [1]."


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


@pytest.fixture
def ask(model_cache: Callable[..., Path], corpus: Path) -> Callable[..., Any]:
    async def answer(*scripts: Script, over: dict[str, Any] | None = None, **turn: Any) -> Answer:
        assistant = Assistant(settings_for(model_cache(*scripts), corpus, **(over or {})))
        try:
            return await asked(assistant, turn.pop("question", QUESTION), **turn)
        finally:
            await assistant.close()

    return answer


@pytest.mark.parametrize("draft", [CODE, CIRCLES, "It leaves. " + "So it is, and so it was before. " * 40])
async def test_what_stops_a_draft_is_the_decision_on_it(ask: Callable[..., Any], draft: str) -> None:
    answer = await ask(small(say=draft), large(say=GOOD))

    [stopped, whole] = answer.attempts
    assert (stopped.finish, stopped.stopped.code, answer.decision.code) == ("stopped", "repeated", "repeated")
    assert answer.decision.why == "The draft repeats itself."
    assert (answer.escalated, whole.text, answer.notices) == (True, GOOD, ())


@pytest.mark.parametrize(
    ("scripts", "turn"),
    [
        ((small(say=CIRCLES), large(say=GOOD)), {"mode": "small"}),
        ((small(say=CIRCLES), large(say=GOOD)), {"dial": "never"}),
        ((small(say="I do not know."), large(say=CIRCLES)), {}),
        ((small(say=GOOD), large(say=CIRCLES)), {"mode": "large"}),
        ((small(say=GOOD), large(say=CIRCLES)), {"mode": "refine", "dial": "always"}),
        ((small(say=GOOD), large(say=CIRCLES)), {"mode": "compare"}),
    ],
    ids=["small", "never", "escalated", "large", "refine", "compare"],
)
async def test_an_answer_in_circles_ends_and_its_beginning_stands_with_a_notice(
    ask: Callable[..., Any], scripts: tuple[Script, ...], turn: dict[str, Any]
) -> None:
    answer = await ask(*scripts, **turn)

    assert answer.attempt.text == "The tide turns."
    assert answer.attempt.finish == "stopped"
    assert answer.attempt.metrics.completion_tokens < 100
    assert answer.notices == (f"{answer.attempt.model} began to repeat itself, so its answer was ended there.",)


async def test_a_model_that_is_alone_is_watched_as_well(ask: Callable[..., Any]) -> None:
    alone = {"small": "phi-4-mini", "large": "phi-4-mini"}
    answer = await ask(small(say=f"{GOOD} {CIRCLES}"), over=alone)

    assert answer.text == GOOD
    assert any("began to repeat itself" in notice for notice in answer.notices)


async def test_code_in_circles_is_closed_behind_its_first_line(ask: Callable[..., Any]) -> None:
    answer = await ask(small(say=CODE), large(say=GOOD), mode="small")

    assert answer.text == "Do this:\n\n```js\nconst ferries = [\n  leaves: 930,\n```"


async def test_reasoning_in_circles_is_stopped_too_and_the_draft_is_kept(ask: Callable[..., Any]) -> None:
    thinker = large(say=f"{ANALYSIS}{CIRCLES}{FINAL}{GOOD}<|return|>", reasoning=(ANALYSIS, FINAL))
    answer = await ask(small(say="At 9:30 [1]."), thinker, dial="always")

    assert answer.text == "At 9:30 [1]."
    assert answer.attempts[1].finish == "stopped"
    assert answer.notices == ("gpt-oss-20b only repeated itself. The draft is kept.",)


@pytest.mark.parametrize("nothing", ["The answer is: " * 60, "!" * 400, "\n" * 400])
async def test_where_both_models_only_repeat_themselves_the_documents_are_quoted(
    ask: Callable[..., Any], nothing: str
) -> None:
    answer = await ask(small(say=nothing), large(say=nothing))

    assert [attempt.text for attempt in answer.attempts[:2]] == ["", ""]
    assert answer.attempt.role == "extractive"
    assert "9:30" in answer.text
    assert answer.notices == ("gpt-oss-20b only repeated itself.",)


async def test_an_echo_of_the_prompt_is_never_shown_and_costs_no_right_answer(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    said = f"{GOOD}\n\n[1] ferry.md, The ferry\nThe ferry leaves at 9:30 from the old harbour.\n\nQuestion: And then?"
    assistant = Assistant(settings_for(model_cache(small(say=said), large(say=prose(9))), corpus))

    events = await events_of(assistant, Turn(QUESTION))
    await assistant.close()

    answer = events[-1].answer  # type: ignore[union-attr]
    assert "".join(event.text for event in events if isinstance(event, Token)) == GOOD
    assert (answer.rendered, answer.escalated, answer.attempt.finish) == (GOOD, False, "stop")
    assert answer.attempt.metrics.completion_tokens
    assert [citation.supported for citation in answer.citations] == [True]


@pytest.mark.parametrize(
    "said", ["Question: And then?\n\nQuestion: And then?", "The answer is:\n\nQuestion: And then?"]
)
async def test_a_draft_of_nothing_but_its_prompt_is_empty(ask: Callable[..., Any], said: str) -> None:
    answer = await ask(small(say=said), large(say=GOOD))

    assert (answer.decision.code, answer.text, answer.attempts[0].text) == ("empty", GOOD, "")


async def test_the_server_is_told_where_an_answer_is_over(corpus: Path) -> None:
    fences: list[str] = []

    def given(request: Asked) -> bytes:
        prompt = request.data["messages"][-1]["content"]
        fences.append(prompt.partition("<passages ")[2].partition(">")[0])
        return events(
            *(chunk(piece) for piece in (GOOD, " <pass", f"ages {fences[0]}", ">\n[1]")), chunk(finish="stop")
        )

    listed = reply(200, {"data": [{"id": "phi-4-mini"}, {"id": "gpt-oss-20b"}]})
    async with Canned({"/v1/models": listed, "/v1/chat/completions": given}) as server:
        assistant = Assistant(settings_for(None, corpus, endpoint=server.url))
        answer = await asked(assistant, QUESTION)
        await assistant.close()
        [sent] = [each.data for each in server.asked if each.path.endswith("/chat/completions")]

    assert (answer.text, answer.escalated) == (GOOD, False)
    assert sent["stop"] == [f"</passages {fences[0]}", f"\n<passages {fences[0]}", "\nQuestion:"]
    assert len(Prompt(QUESTION, answer.evidence, draft="It leaves.").stop) <= 4


@pytest.mark.parametrize(
    ("turn", "setting"),
    [
        ({"mode": "large"}, "ESCALATOR_LARGE_MAX_TOKENS"),
        ({"mode": "small"}, "ESCALATOR_MAX_TOKENS"),
        ({"dial": "always"}, "ESCALATOR_LARGE_MAX_TOKENS"),
        ({"mode": "compare"}, "ESCALATOR_LARGE_MAX_TOKENS"),
    ],
)
async def test_an_answer_that_reached_its_longest_length_says_so(
    ask: Callable[..., Any], turn: dict[str, Any], setting: str
) -> None:
    answer = await ask(
        small(say=prose(9)), large(say=prose(9)), over={"max_tokens": 16, "large_max_tokens": 16}, **turn
    )

    assert answer.attempt.finish == "length"
    assert answer.notices[-1] == (
        f"The answer of {answer.attempt.model} breaks off, because it reached its longest allowed length. Ask for the "
        f"rest, or allow more with {setting}."
    )
    assert len(answer.notices) == (2 if turn == {"mode": "compare"} else 1)


LISTS = [
    f"{GOOD}\n\nSources:\n[1] ferry.md, The ferry",
    f"{GOOD}\n\nReferences\n- ferry.md",
    f"{GOOD}\n\n**Verwendete Quellen:**\n• ferry.md, The ferry\n• [1]",
    f"~~~md\n{GOOD}\n~~~\n\nSources: [1]",
]
AROUND = [
    f"<think>Hm.</think>{GOOD}",
    f"Hm, a ferry.\n</think>\n\n{GOOD}",
    f'<Thinking level="2">Hm.</Thinking>{GOOD}',
    f"{GOOD}<|end|>",
    f"{GOOD}<|im_end|>",
    f"{GOOD}<|eot_id|>",
    f"{GOOD}</s>",
    f"```markdown\n{GOOD}\n```",
    f"```text\n{GOOD}\n```",
]


@pytest.mark.parametrize(
    ("said", "finish"), [*((each, "stop") for each in [*AROUND, *LISTS]), *((each, None) for each in AROUND)]
)
async def test_what_models_send_around_an_answer_neither_shows_nor_escalates(
    corpus: Path, said: str, finish: str | None
) -> None:
    pieces = [chunk(said[at : at + 3]) for at in range(0, len(said), 3)]
    listed = reply(200, {"data": [{"id": "phi-4-mini"}, {"id": "gpt-oss-20b"}]})
    given = {"/v1/models": listed, "/v1/chat/completions": events(*pieces, *[chunk(finish=finish)] * bool(finish))}
    async with Canned(given) as server:
        assistant = Assistant(settings_for(None, corpus, endpoint=server.url))
        answer = await asked(assistant, QUESTION)
        await assistant.close()

    assert (answer.rendered.strip(), answer.escalated, answer.decision.code) == (GOOD, False, None)
    assert [citation.supported for citation in answer.citations] == [True]


@pytest.mark.parametrize(("probability", "doubtful"), [(0.95, False), (0.05, True)])
async def test_the_doubt_of_a_model_whose_server_reports_it_counts_in_the_decision(
    corpus: Path, probability: float, doubtful: bool
) -> None:
    def token(text: str) -> dict[str, Any]:
        event = chunk(text)
        logprob = log(probability if "9:30" in text else 0.95)
        event["choices"][0]["logprobs"] = {"content": [{"token": text, "logprob": logprob}]}
        return event

    listed = reply(200, {"data": [{"id": "phi-4-mini"}, {"id": "gpt-oss-20b"}]})
    tokens = [token(text) for text in ("<think>", "Hm.", "</think>", "The ferry", " leaves", " at", " 9:30", " [1].")]
    answers = {"/v1/models": listed, "/v1/chat/completions": events(*tokens, chunk(finish="stop"))}
    async with Canned(answers) as server:
        assistant = Assistant(settings_for(None, corpus, endpoint=server.url))
        answer = await asked(assistant, QUESTION)
        await assistant.close()

    assert answer.attempt.certainty == pytest.approx(probability)
    assert (answer.decision.score > 0.3) is doubtful
    assert (answer.text, answer.escalated) == (GOOD, False)
