"""A turn on the real runtime: its events in their grammar, and the right answer standing at the end."""

import asyncio
import gc
import json
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest

from app.answering import pipeline
from app.answering.context import Retriever
from app.answering.events import (
    Abstained,
    AttemptEnded,
    AttemptStarted,
    Cited,
    Escalated,
    Event,
    Failed,
    Finished,
    Judged,
    Previewed,
    Progress,
    Reasoning,
    Retracted,
    Retrieved,
    Started,
    Token,
)
from app.answering.pipeline import Assistant
from app.answering.run import BEST
from app.answering.turn import Answer, Turn
from app.models import discovery
from app.retrieval.search import Exchange
from app.retrieval.snapshot import Snapshot
from app.settings import ROOT
from tests.support import scripted
from tests.support.corpora import prose
from tests.support.runtime import settings_for
from tests.support.scripted import Script
from tests.support.servers import Asked, Fault, FaultProxy

FERRY = "# The ferry\n\nThe ferry leaves at 9:30 from the old harbour. Tickets are sold on board.\n"
LONG = prose(6)

PARTS = ["its beginning", "the timetable", "the old engine", "a hard winter", "the fare", "the crew", "fog", "the end"]
ESSAY = (
    " ".join(f"Chapter {number} of the chronicle of the ferry tells of {part}." for number, part in enumerate(PARTS))
    * 2
)

LETTERS = {
    Started: "s", Progress: "p", Retrieved: "r", Abstained: "a", AttemptStarted: "(", Reasoning: "g", Token: "t",
    AttemptEnded: ")", Judged: "j", Escalated: "e", Failed: "f", Cited: "c", Finished: ".", Previewed: "v",
    Retracted: "b",
}  # fmt: skip
TRIED = r"r? e? f? ( \( [pgtbr()]* \) j? r? e? )+"
GRAMMAR = re.compile(rf"s p* ( f | a | r p* ( a f? | f c? | {TRIED} ( f? c | a? f ) ) ) \.".replace(" ", ""))


async def events_of(
    assistant: Assistant, turn: Turn, listener: Callable[[list[Event]], object] = lambda events: None
) -> list[Event]:
    """The events of a turn, in their grammar; `listener` is given those so far after each event."""
    events: list[Event] = []
    async with aclosing(assistant.answer(turn)) as stream:
        async for event in stream:
            events.append(event)
            listener(events)
    letters = "".join(LETTERS[type(event)] for event in events)
    assert GRAMMAR.fullmatch(letters.replace("v", "")), letters
    assert re.fullmatch(r"([^vrt]* r [^vt]* v)? [^v]* (e [^vt]* v [^v]*)?".replace(" ", ""), letters), letters
    return events


async def asked(assistant: Assistant, question: str, **turn: object) -> Answer:
    [*_, finished] = await events_of(assistant, Turn(question, **turn))  # type: ignore[arg-type]
    assert isinstance(finished, Finished)
    return finished.answer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


def small(**given: object) -> Script:
    return Script(alias="phi-4-mini", id="Phi-4-mini-instruct-generic-cpu:5", **given)  # type: ignore[arg-type]


def large(**given: object) -> Script:
    return Script(alias="gpt-oss-20b", id="gpt-oss-20b-generic-cpu:1", **given)  # type: ignore[arg-type]


@pytest.mark.slow
async def test_a_good_draft_is_the_answer_with_its_source(models: Path, runtime: str, corpus: Path) -> None:
    assistant = Assistant(settings_for(models, corpus))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.text == "The ferry leaves at 9:30 [1]."
    assert answer.attempt is not None
    assert answer.attempt.role == "small"
    assert not answer.escalated
    [citation] = answer.citations
    assert (citation.file, citation.supported) == ("ferry.md", True)
    assert FERRY[citation.start : citation.end] == "The ferry leaves at 9:30 from the old harbour."
    assert answer.metrics.first_token_ms is not None
    assert answer.metrics.completion_tokens is not None


@pytest.mark.parametrize(("busy", "many", "found"), [(False, 0, True), (True, 10**9, True), (True, 0, False)])
async def test_garbage_is_looked_for_unless_that_would_hold_up_an_answer_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: bool, many: int, found: bool
) -> None:
    class Connection:
        def __init__(self) -> None:
            self.handler = lambda: self

    assistant = Assistant(settings_for(tmp_path, tmp_path))
    monkeypatch.setattr(pipeline, "COLLECT_SECONDS", 0.01)
    monkeypatch.setattr(pipeline, "MANY", many)
    turn = asyncio.create_task(asyncio.sleep(60))
    assistant._running = {turn} if busy else set()
    gc.disable()
    try:
        over = weakref.ref(Connection())
        collecting = asyncio.create_task(assistant._collect())
        await asyncio.sleep(0.2)
        assert (over() is None) is found
    finally:
        gc.enable()
        turn.cancel()
        collecting.cancel()
        await assistant.close()


@pytest.mark.slow
async def test_a_turn_leaves_nothing_that_only_the_garbage_collector_finds(
    models: Path, runtime: str, corpus: Path
) -> None:
    assistant = Assistant(settings_for(models, corpus))
    await asked(assistant, "When does the ferry leave?")
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await asked(assistant, "Explain in detail how the ferry is run, when it leaves and where.")
        await asyncio.sleep(0.1)
        streams = [each for each in gc.get_objects() if type(each).__name__ == "AsyncStream"]
        gc.collect()
        left = {f"{type(each).__module__}.{type(each).__name__}" for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    await assistant.close()

    assert sorted(name for name in left if name.startswith("app.")) == []
    assert streams == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "question", "draft"),
    [
        ("abstained", "When does the ferry leave?", "I do not know."),
        ("short", "Explain when the ferry leaves.", "At 9:30 [1]."),
        ("unsure", "When does the ferry leave?", "I am not sure, but perhaps at 9:30 [1]."),
        ("empty", "When does the ferry leave?", "<|end|>"),
    ],
)
async def test_a_draft_that_is_not_good_enough_reaches_the_large_model_with_the_reason(
    model_cache: Callable[..., Path], corpus: Path, code: str, question: str, draft: str
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say=draft), large(say=LONG)), corpus))

    events = await events_of(assistant, Turn(question))
    await assistant.close()

    [escalated] = [event for event in events if isinstance(event, Escalated)]
    assert escalated.code == code
    answer = events[-1].answer  # type: ignore[union-attr]
    assert answer.text == LONG.strip() or answer.text == LONG
    assert answer.escalated
    assert [attempt.role for attempt in answer.attempts] == ["small", "large"]


@pytest.mark.slow
async def test_a_draft_cut_off_at_its_longest_length_is_escalated(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    cache = model_cache(small(say=prose(80)), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus, max_tokens=16))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.decision is not None
    assert answer.decision.code == "cut_off"
    assert answer.escalated


@pytest.mark.slow
async def test_a_low_confidence_that_was_asked_for_is_believed_and_never_shown(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    cache = model_cache(small(say="At 9:30 [1].\nCONFIDENCE: low"), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus, ask_confidence=True))

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    await assistant.close()

    shown = "".join(event.text for event in events if isinstance(event, Token) and event.id == 1)
    assert shown == "At 9:30 [1]."
    assert [event.code for event in events if isinstance(event, Escalated)] == ["unsure"]


@pytest.mark.slow
async def test_reasoning_is_an_event_of_its_own_and_no_part_of_the_answer(
    models: Path, runtime: str, corpus: Path
) -> None:
    assistant = Assistant(settings_for(models, corpus))

    events = await events_of(assistant, Turn("Where is the harbour?", mode="large"))
    await assistant.close()

    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == "The passages may help."
    assert events[-1].answer.text == "The large model answers at length, from the passages [1]."  # type: ignore[union-attr]


async def test_what_models_send_around_an_answer_is_no_part_of_it(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    say = "Passage one has it.\n</think>\n\n```markdown\nThe ferry leaves at 9:30 [1].\n\nSources:\n[1] ferry.md\n```"
    assistant = Assistant(settings_for(model_cache(small(say=say)), corpus))

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    await assistant.close()

    taken_back = next(at for at, event in enumerate(events) if isinstance(event, Retracted))
    after = events[taken_back:]
    assert "".join(event.text for event in after if isinstance(event, Reasoning)).strip() == "Passage one has it."
    assert "".join(event.text for event in after if isinstance(event, Token)) == "The ferry leaves at 9:30 [1]."
    answer = events[-1].answer  # type: ignore[union-attr]
    assert (answer.text, answer.escalated) == ("The ferry leaves at 9:30 [1].", False)
    assert answer.citations[0].supported


async def test_the_first_answer_of_a_conversation_says_which_models_stand_in_for_those_that_are_not_there(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    pair = (
        Script(alias="pebble", say="At 9:30 [1].", size_mb=800),
        Script(alias="rock", say=LONG, size_mb=1700),
    )
    assistant = Assistant(settings_for(model_cache(*pair), corpus))

    first = await asked(assistant, "When does the ferry leave?")
    second = await asked(assistant, "And the ferry?", history=(Exchange("When does the ferry leave?", first.text),))
    await assistant.close()

    assert first.attempt is not None
    assert first.attempt.model == "pebble"
    [notice] = first.notices
    assert notice.startswith("Not downloaded: phi-4-mini, gpt-oss-20b. So ")
    assert second.notices == ()


async def test_without_a_large_model_the_draft_stands_with_a_sentence(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1].")), corpus))

    answer = await asked(assistant, "Explain when the ferry leaves.")
    await assistant.close()

    assert answer.text == "At 9:30 [1]."
    assert answer.decision is not None
    assert answer.decision.code == "short"
    assert not answer.escalated
    [notice] = answer.notices
    assert "gpt-oss-20b" in notice


@pytest.mark.slow
async def test_without_a_small_model_the_large_one_is_asked(model_cache: Callable[..., Path], corpus: Path) -> None:
    assistant = Assistant(settings_for(model_cache(large(say=LONG)), corpus))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.escalated
    assert answer.decision is not None
    assert answer.decision.code == "error"
    assert "phi-4-mini" in answer.decision.why


async def test_in_the_small_mode_nothing_is_escalated(model_cache: Callable[..., Path], corpus: Path) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="I do not know."), large(say=LONG)), corpus))

    answer = await asked(assistant, "Where is the old harbour?", mode="small")
    await assistant.close()

    assert answer.text == "I do not know."
    assert [attempt.role for attempt in answer.attempts] == ["small"]


async def test_without_any_model_the_best_sentences_are_quoted_and_cited(tmp_path: Path, corpus: Path) -> None:
    assistant = Assistant(settings_for(tmp_path / "none", corpus))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.attempt is not None
    assert answer.attempt.role == "extractive"
    assert answer.text == "> The ferry leaves at 9:30 from the old harbour. [1]"
    assert answer.citations[0].sentence == "The ferry leaves at 9:30 from the old harbour."
    assert "escalator models get" in answer.notices[0]


async def test_a_question_none_of_whose_words_occurs_reaches_no_model(models: Path, runtime: str, corpus: Path) -> None:
    assistant = Assistant(settings_for(models, corpus))

    events = await events_of(assistant, Turn("Pumpkin soup?"))
    await assistant.close()

    [abstained] = [event for event in events if isinstance(event, Abstained)]
    assert "“Pumpkin”" in abstained.text
    assert not any(isinstance(event, AttemptStarted) for event in events)


@pytest.mark.parametrize(("question", "says"), [(" \n", "empty"), ("a" * 20_000, "20,000 characters")])
async def test_a_question_that_cannot_be_asked_is_answered_with_a_sentence(
    tmp_path: Path, corpus: Path, question: str, says: str
) -> None:
    assistant = Assistant(settings_for(tmp_path / "none", corpus))

    events = await events_of(assistant, Turn(question))

    [failed] = [event for event in events if isinstance(event, Failed)]
    assert says in str(failed.error)


@pytest.mark.parametrize("make", [True, False])
async def test_an_empty_or_missing_corpus_is_named(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "elsewhere"
    if make:
        folder.mkdir()
    assistant = Assistant(settings_for(tmp_path / "none", folder))

    events = await events_of(assistant, Turn("When does the ferry leave?"))

    [failed] = [event for event in events if isinstance(event, Failed)]
    assert str(folder) in str(failed.error)


async def test_a_file_dropped_into_the_corpus_is_in_the_next_answer(tmp_path: Path, corpus: Path) -> None:
    assistant = Assistant(settings_for(tmp_path / "none", corpus))
    assert not (await asked(assistant, "Pumpkin soup?")).evidence

    (corpus / "soup.txt").write_text("Pumpkin soup is served at noon.\n", encoding="utf-8")

    assert [item.file for item in (await asked(assistant, "Pumpkin soup?")).evidence] == ["soup.txt"]


async def test_a_follow_up_searches_with_the_earlier_question_too(tmp_path: Path, corpus: Path) -> None:
    (corpus / "museum.md").write_text("# The museum\n\nTickets of the museum cost 5.\n", encoding="utf-8")
    assistant = Assistant(settings_for(tmp_path / "none", corpus))

    alone = await asked(assistant, "And tickets?")
    after = await asked(assistant, "And tickets?", history=(Exchange("When does the ferry leave?", "At 9:30."),))

    assert alone.evidence[0].file == "museum.md"
    assert after.evidence[0].file == "ferry.md"


async def test_a_prompt_too_long_for_the_model_is_packed_anew_with_fewer_passages(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    for number in range(12):
        (corpus / f"{number}.md").write_text(f"# Ferry {number}\n\n" + f"The ferry {number} leaves. " * 40, "utf-8")
    cache = model_cache(small(say="The ferry leaves at 9:30 [1].", context=3000))
    assistant = Assistant(settings_for(cache, corpus, max_tokens=64, evidence_tokens=1200))

    events = await events_of(assistant, Turn("When does the ferry leave?", mode="small"))
    again = await asked(assistant, "When does the ferry leave?", mode="small")
    await assistant.close()

    assert any(isinstance(event, Progress) and "3,000 tokens" in event.text for event in events)
    assert events[-1].answer.text == again.text == "The ferry leaves at 9:30 [1]."  # type: ignore[union-attr]


async def test_leaving_an_answer_ends_the_models_work_at_once(model_cache: Callable[..., Path], corpus: Path) -> None:
    cache = model_cache(small(say=prose(30), work=300))
    assistant = Assistant(settings_for(cache, corpus))
    async with asyncio.timeout(20), aclosing(assistant.answer(Turn("When does the ferry leave?"))) as stream:
        async for event in stream:
            if isinstance(event, Token):
                break
    model = await assistant.models.ready("phi-4-mini")

    async with asyncio.timeout(0.5):
        while assistant.models.queues[model.id].holding:  # noqa: ASYNC110 - the model tells nobody when it has ended
            await asyncio.sleep(0.01)
    await assistant.close()


@pytest.mark.slow
async def test_a_question_that_waits_for_the_busy_model_says_so(model_cache: Callable[..., Path], corpus: Path) -> None:
    cache = model_cache(small(say="The ferry leaves at 9:30 [1].", work=100))
    assistant = Assistant(settings_for(cache, corpus), patience=None)
    await assistant.models.ready("phi-4-mini")

    both = await asyncio.gather(*(events_of(assistant, Turn("When does the ferry leave?")) for _ in range(2)))
    await assistant.close()

    said = [event.text for events in both for event in events if isinstance(event, Progress)]
    assert [text for text in said if " reads " not in text] == [
        "phi-4-mini is answering another question; you are next."
    ]
    assert {events[-1].answer.text for events in both} == {"The ferry leaves at 9:30 [1]."}  # type: ignore[union-attr]


@pytest.mark.slow
async def test_the_trainers_questions_get_their_documented_decisions(model_cache: Callable[..., Path]) -> None:
    samples = json.loads((ROOT / "tests/support/trainer.json").read_text(encoding="utf-8"))
    drafts = {sample["keyword"]: sample["small"] for sample in samples}
    answers = {sample["keyword"]: sample["large"] for sample in samples if sample["large"]}
    cache = model_cache(small(say="Script missing.", when=drafts), large(say="Script missing.", when=answers))
    assistant = Assistant(settings_for(cache, ROOT / "corpus"), patience=None)

    for sample in samples:
        answer = await asked(assistant, sample["question"])

        assert answer.decision is not None
        assert (answer.decision.code or "kept") == sample["decision"]
        assert answer.text == (sample["large"] or sample["small"])
        assert answer.evidence[0].file == sample["file"]
    await assistant.close()


@pytest.mark.slow
async def test_comparing_has_both_models_write_on_the_same_passages(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    cache = model_cache(small(say="At 9:30 [1]."), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus))

    answer = await asked(assistant, "When does the ferry leave?", mode="compare")
    await assistant.close()

    assert [attempt.role for attempt in answer.attempts] == ["small", "large"]
    assert [attempt.text for attempt in answer.attempts] == ["At 9:30 [1].", LONG]
    assert not answer.escalated


@pytest.mark.slow
async def test_refining_has_long_drafts_polished_and_leaves_short_ones(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    (corpus / "chronicle.md").write_text(f"# Chronicle\n\n{ESSAY}\n", encoding="utf-8")
    cache = model_cache(small(say=ESSAY, when={"Where": "On board [1]."}), large(say="Polished [1]."))
    assistant = Assistant(settings_for(cache, corpus))

    polished = await asked(assistant, "What is in the chronicle of the ferry?", mode="refine")
    left = await asked(assistant, "Where are tickets sold?", mode="refine")
    await assistant.close()

    assert polished.decision is not None
    assert (polished.decision.code, polished.text) == ("routed", "Polished [1].")
    assert left.text == "On board [1]."


@pytest.mark.slow
async def test_an_answer_can_be_sent_to_the_large_model_without_drafting_again(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1]."), large(say=LONG)), corpus))
    first = await asked(assistant, "When does the ferry leave?")

    events = await events_of(assistant, Turn("When does the ferry leave?", mode="large", earlier=first))
    await assistant.close()

    assert [event.role for event in events if isinstance(event, AttemptStarted)] == ["large"]
    answer = events[-1].answer  # type: ignore[union-attr]
    assert answer.decision.code == "requested"
    assert [attempt.text for attempt in answer.attempts] == ["At 9:30 [1].", LONG]


@pytest.mark.slow
async def test_the_large_model_gets_more_passages_and_no_number_changes(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    for number in range(12):
        text = f"# Ferry {number}\n\nThe ferry {number} leaves. " + "It crosses the bay in the morning. " * 15
        (corpus / f"{number}.md").write_text(text, encoding="utf-8")
    cache = model_cache(small(say="I do not know."), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus, evidence_tokens=600))

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    await assistant.close()

    first, wider = [event.evidence for event in events if isinstance(event, Retrieved)]
    assert len(wider) > len(first)
    assert wider[: len(first)] == first


@pytest.mark.slow
async def test_an_abstaining_draft_is_stopped_at_its_first_sentence_if_escalation_is_certain(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    cache = model_cache(small(say="I do not know. " + prose(30)), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus))

    sent_on = await asked(assistant, "When does the ferry leave?")
    kept = await asked(assistant, "When does the ferry leave?", dial="never")
    await assistant.close()

    assert sent_on.attempts[0].finish == "stopped"
    assert len(sent_on.attempts[0].text) < 40
    assert sent_on.decision is not None
    assert sent_on.decision.code == "abstained"
    assert kept.attempts[0].finish == "stop"
    assert not kept.escalated


async def test_a_refusal_without_passages_is_not_stopped_because_it_is_kept(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    refusal = "I do not know. " + ESSAY
    assistant = Assistant(settings_for(model_cache(small(say=refusal), large(say=LONG)), corpus))

    answer = await asked(assistant, "When does the ferry leave?", unaided=True)
    await assistant.close()

    assert answer.attempts[0].finish == "stop"
    assert answer.text.strip() == refusal.strip()
    assert not answer.escalated


async def test_the_dial_at_always_sends_every_draft_on(model_cache: Callable[..., Path], corpus: Path) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1]."), large(say=LONG)), corpus))

    answer = await asked(assistant, "When does the ferry leave?", dial="always")
    await assistant.close()

    assert answer.decision is not None
    assert answer.decision.code == "routed"
    assert answer.escalated


class LargeFails(FaultProxy):
    """Spoils what the large model answers; the small one's drafts pass."""

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if b"gpt-oss-20b" in asked.body:
            await super().respond(asked, writer)
        else:
            await self._forward(asked, writer, Fault())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=500), "gpt-oss-20b"),
        (Fault(status=503), "gpt-oss-20b"),
        (Fault(how="cut"), "refused or lost"),
        (Fault(how="cut", after=1_500), "lost"),
        (Fault(how="stall", after=1_500), "stopped for"),
        (Fault(how="stall", after=1), "gpt-oss-20b"),
    ],
    ids=["refuses", "unavailable", "never starts", "dies in its answer", "stalls in its answer", "stays silent"],
)
async def test_a_large_model_that_fails_leaves_the_draft_and_a_sentence(
    model_cache: Callable[..., Path], corpus: Path, fault: Fault, says: str
) -> None:
    cache = model_cache(small(say="I do not know."), large(say=prose(20)))
    source = Assistant(settings_for(cache, corpus))
    root = (await source.models.find()).root
    async with LargeFails(root, fault) as proxy:
        quick = {"first_token_seconds": 0.5, "stall_seconds": 0.5, "retries": 0}
        assistant = Assistant(settings_for(None, corpus, endpoint=proxy.url, **quick))
        events = await events_of(assistant, Turn("When does the ferry leave?"))
        await assistant.close()
    await source.close()

    [failed] = [event for event in events if isinstance(event, Failed)]
    answer = events[-1].answer  # type: ignore[union-attr]
    assert failed.kept_attempt == 1
    assert says in str(failed.error)
    assert answer.text == "I do not know."
    assert answer.notices == (str(failed.error),)
    assert not answer.escalated


@pytest.mark.slow
@pytest.mark.parametrize(("free_mb", "swapped"), [(9_000, False), (3_000, True)])
async def test_models_are_swapped_where_the_memory_does_not_hold_both_and_that_is_said_before(
    model_cache: Callable[..., Path], corpus: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, swapped: bool
) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: free_mb)
    cache = model_cache(small(say="I do not know.", size_mb=2_000), large(say=LONG, size_mb=3_000))
    assistant = Assistant(settings_for(cache, corpus))

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    loaded = (await assistant.models.offered())[1]
    await assistant.close()

    said = [event.text for event in events if isinstance(event, Progress)]
    assert any("phi-4-mini is unloaded first" in text for text in said) == swapped
    assert len(loaded) == (1 if swapped else 2)
    assert events[-1].answer.escalated  # type: ignore[union-attr]


async def test_a_large_model_that_is_too_big_leaves_the_draft_and_a_sentence(
    model_cache: Callable[..., Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 3_000)
    cache = model_cache(small(say="I do not know.", size_mb=1_000), large(say=LONG, size_mb=12_000))
    assistant = Assistant(settings_for(cache, corpus))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.text == "I do not know."
    assert "Close other programs" in answer.notices[0]


def previews(events: list[Event]) -> list[str]:
    return [event.quote.text for event in events if isinstance(event, Previewed)]


def progress(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Progress)]


@pytest.mark.slow
async def test_while_a_model_reads_the_best_sentence_is_there_and_after_a_second_it_is_said_what_it_does(
    models: Path, runtime: str, corpus: Path
) -> None:
    async with FaultProxy(runtime, Fault(delay=1.5)) as proxy:
        assistant = Assistant(settings_for(models, corpus, endpoint=proxy.url))

        events = await events_of(assistant, Turn("When does the ferry leave?"))
        again = await events_of(assistant, Turn("When does the ferry leave?"))
        await assistant.close()

    assert previews(events) == previews(again) == ["The ferry leaves at 9:30 from the old harbour."]
    [*_, reads], [rereads] = progress(events), progress(again)  # the first question may load the model as well
    assert re.fullmatch(r"phi-4-mini reads \d+ tokens; the first time takes longest", reads)
    assert re.fullmatch(r"phi-4-mini reads \d+ tokens", rereads)
    assert events[-1].answer.text == "The ferry leaves at 9:30 [1]."  # type: ignore[union-attr]


@pytest.mark.slow
async def test_the_best_sentence_is_there_again_while_the_large_model_reads(
    model_cache: Callable[..., Path], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.answering.extractive.PREVIEW_SECONDS", 0.0)
    assistant = Assistant(settings_for(model_cache(small(say="I do not know."), large(say="At 9:30 [1].")), corpus))

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    await assistant.close()

    assert previews(events) == ["The ferry leaves at 9:30 from the old harbour."] * 2
    assert events[-1].answer.rendered == "At 9:30 [1]."  # type: ignore[union-attr]


async def test_a_rejected_draft_that_no_large_model_replaces_is_followed_by_the_best_sentence(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="The ferry leaves at 10:45.")), corpus))

    kept = await asked(assistant, "When does the ferry leave?", dial="never")
    rejected = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    marked = "The ferry leaves at 10:45 [1]. *(not in [1]\\: 10:45)*"
    assert kept.rendered == marked
    assert rejected.rendered == f"{marked}\n\n{BEST}\n\n> The ferry leaves at 9:30 from the old harbour. [1]"
    assert rejected.text == "The ferry leaves at 10:45."
    assert [citation.supported for citation in rejected.citations] == [False, True]


async def test_nothing_is_quoted_before_a_model_that_answers_at_once(
    models: Path, runtime: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.answering.extractive.PREVIEW_SECONDS", 30.0)
    assistant = Assistant(settings_for(models, corpus))

    assert previews(await events_of(assistant, Turn("When does the ferry leave?"))) == []
    assert not [task for task in asyncio.all_tasks() if "preview." in str(task.get_coro())]
    await assistant.close()


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0.3, None])
async def test_nothing_is_quoted_before_an_answer_of_quotes(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, patience: float | None
) -> None:
    monkeypatch.setattr("app.answering.extractive.PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr("shutil.which", lambda name: time.sleep(0.7))  # it takes long to find nothing
    assistant = Assistant(settings_for(tmp_path / "none", corpus), patience=patience)

    events = await events_of(assistant, Turn("When does the ferry leave?"))
    await assistant.close()

    assert previews(events) == []
    assert progress(events) == ([] if patience else ["Looking for Foundry Local"])


@pytest.mark.slow
async def test_a_button_quotes_nothing_where_an_answer_stands(models: Path, runtime: str, corpus: Path) -> None:
    async with FaultProxy(runtime) as proxy:
        assistant = Assistant(settings_for(models, corpus, endpoint=proxy.url))
        earlier = await asked(assistant, "When does the ferry leave?")
        proxy.fault = Fault(delay=1.0)

        events = await events_of(assistant, Turn("When does the ferry leave?", mode="large", earlier=earlier))
        await assistant.close()

    assert previews(events) == []
    assert events[-1].answer.escalated  # type: ignore[union-attr]


@pytest.mark.slow
async def test_a_start_that_takes_long_is_explained_and_the_answer_comes_nevertheless(
    model_cache: Callable[..., Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = tmp_path / "checked" / "foundry_local_sdk"  # as slow as if every new file was looked into
    go_on = tmp_path / "go on"
    checked.mkdir(parents=True)
    (checked / "__init__.py").write_text(
        f"import pathlib, sys, time\nwhile not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.02)\n"
        f"sys.path.remove({str(checked.parent)!r})\ndel sys.modules[__name__]\nimport foundry_local_sdk\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(checked.parent))
    monkeypatch.setattr(discovery, "SLOW_SECONDS", 600.0)

    slow = discovery.SLOW.format(folder=Path(sys.prefix))

    def listen(events: list[Event]) -> None:
        if discovery.STARTING in progress(events):
            monkeypatch.setattr(discovery, "SLOW_SECONDS", 0.0)
        if slow in progress(events) and previews(events):
            go_on.touch()

    assistant = Assistant(settings_for(model_cache(small(say="The ferry leaves at 9:30 [1].")), corpus))
    events = await events_of(assistant, Turn("When does the ferry leave?"), listen)
    await assistant.close()

    assert [text for text in progress(events) if "start" in text.lower()] == [discovery.STARTING, slow]
    assert "antivirus" in slow
    assert sys.prefix in slow
    assert previews(events) == ["The ferry leaves at 9:30 from the old harbour."]
    kinds = [type(event) for event in events]
    assert kinds.index(Previewed) < kinds.index(AttemptStarted)
    assert events[-1].answer.text == "The ferry leaves at 9:30 [1]."  # type: ignore[union-attr]


@pytest.mark.slow
async def test_each_reason_escalates_once(model_cache: Callable[..., Path], corpus: Path) -> None:
    drafts = {
        "northbound": "I do not know.",
        "eastbound": "I am not sure.",
        "westbound": "The tide turns. " * 30,
        "southbound": "<|end|>",
        "inbound": "The ferry leaves at 9:30 [1].",
    }
    cache = model_cache(small(say="Script missing.", when=drafts), large(say="I do not know."))
    assistant = Assistant(settings_for(cache, corpus))
    codes = []

    for word in drafts:
        events = await events_of(assistant, Turn(f"When does the {word} ferry leave?"))
        codes.append([event.code for event in events if isinstance(event, Escalated)])
    await assistant.close()

    assert codes == [["abstained"], ["unsure"], ["repeated"], ["empty"], []]


@pytest.mark.slow
async def test_of_a_draft_in_circles_the_beginning_that_answers_is_kept_and_the_rest_left_out(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    said = "The ferry leaves at 9:30 [1]." + " The reason is that the ferry is a ferry of the harbour." * 9
    assistant = Assistant(settings_for(model_cache(small(say=said), large(say="Not asked.")), corpus))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert answer.text == "The ferry leaves at 9:30 [1]."
    assert answer.decision is not None
    assert answer.decision.why == "The draft answers before it repeats itself."
    assert answer.notices == ("phi-4-mini began to repeat itself, so its answer was ended there.",)


async def test_comparing_after_a_large_answer_asks_only_the_small_model_and_mixes_nothing(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1]."), large(say=LONG)), corpus))
    first = await asked(assistant, "When does the ferry leave?", mode="large")

    events = await events_of(assistant, Turn("When does the ferry leave?", mode="compare", earlier=first))
    await assistant.close()

    texts = {attempt.role: attempt.text for attempt in events[-1].answer.attempts}  # type: ignore[union-attr]
    assert texts == {"small": "At 9:30 [1].", "large": LONG}
    ids = {event.role: event.id for event in events if isinstance(event, AttemptStarted)}
    assert ids["small"] != ids["large"]


@pytest.mark.slow
async def test_a_button_that_reaches_no_model_leaves_the_answer_as_it_was(
    model_cache: Callable[..., Path], corpus: Path, tmp_path: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1].")), corpus))
    first = await asked(assistant, "When does the ferry leave?")
    await assistant.close()
    alone = Assistant(settings_for(tmp_path / "none", corpus))

    for mode in ("large", "compare"):
        again = await asked(alone, "When does the ferry leave?", mode=mode, earlier=first)

        assert again.text == "At 9:30 [1]."
        assert (again.attempt, again.attempts) == (first.attempt, first.attempts)
        assert again.notices


@pytest.mark.slow
async def test_comparing_below_an_answer_is_no_escalation_and_keeps_the_turn_that_it_began_with(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1]."), large(say=LONG)), corpus))
    first = await asked(assistant, "When does the ferry leave?")

    both = await asked(assistant, "When does the ferry leave?", mode="compare", earlier=first)
    await assistant.close()

    assert both.text == LONG
    assert not both.escalated
    assert both.turn.mode == "auto"  # the models wrote one after the other, and the ledger adds their times


async def test_half_an_answer_is_never_taken_for_a_whole_one(model_cache: Callable[..., Path], corpus: Path) -> None:
    cache = model_cache(small(say="At 9:30 [1]."), large(say=prose(20)))
    source = Assistant(settings_for(cache, corpus))
    async with LargeFails((await source.models.find()).root, Fault(how="cut", after=1_500)) as proxy:
        assistant = Assistant(settings_for(None, corpus, endpoint=proxy.url, retries=0))
        answer = await asked(assistant, "When does the ferry leave?", mode="compare")
        await assistant.close()
    await source.close()

    assert answer.attempts[1].text
    assert answer.text == "At 9:30 [1]."
    assert answer.notices


async def test_a_failing_draft_and_a_missing_large_model_are_both_told(tmp_path: Path, corpus: Path) -> None:
    cache = scripted.make(tmp_path / "cache", Script(alias="other", id="other-generic-cpu:1", say="Other."))
    assistant = Assistant(settings_for(cache, corpus, small="a-small-one", large="a-large-one"))

    answer = await asked(assistant, "When does the ferry leave?")
    await assistant.close()

    assert "a-small-one" in answer.notices[0]
    assert "a-large-one" in answer.notices[0]


SPANISH = "¿A qué hora sale el transbordador por la mañana y dónde está?"


async def test_a_question_in_a_language_without_documents_is_searched_with_words_of_theirs(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    words = "ferry leaves harbour"
    cache = model_cache(small(say="The ferry leaves at 9:30 [1].", when={"Translate": words}), large(say=LONG))
    assistant = Assistant(settings_for(cache, corpus))

    events = await events_of(assistant, Turn(SPANISH))
    await assistant.close()

    [retrieved] = [event for event in events if isinstance(event, Retrieved)]
    assert (retrieved.found.foreign, retrieved.found.translation) == ("es", words)
    assert retrieved.evidence[0].file == "ferry.md"
    assert Progress("Asking phi-4-mini for search words in English") in events
    assert events[-1].answer.text.startswith("The ferry leaves at 9:30")  # type: ignore[union-attr]


async def test_without_a_model_a_question_in_another_language_is_told_so(tmp_path: Path, corpus: Path) -> None:
    assistant = Assistant(settings_for(tmp_path / "none", corpus))

    answer = await asked(assistant, SPANISH)
    await assistant.close()

    assert answer.attempt is None
    assert "No document is in Spanish, the language of the question." in answer.rendered
    assert "“transbordador”" in answer.rendered


async def test_comparing_one_model_with_itself_asks_it_once_and_says_so(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    cache = model_cache(small(say="The ferry leaves at 9:30 [1]."))
    assistant = Assistant(settings_for(cache, corpus, large="phi-4-mini"))

    events = await events_of(assistant, Turn("When does the ferry leave?", mode="compare"))
    await assistant.close()

    answer = events[-1].answer  # type: ignore[union-attr]
    assert [event.model for event in events if isinstance(event, AttemptStarted)] == ["phi-4-mini"]
    assert answer.text == "The ferry leaves at 9:30 [1]."
    [notice] = [notice for notice in answer.notices if "nothing to compare" in notice]
    assert "phi-4-mini is the small and the large model" in notice


@pytest.mark.slow
async def test_questions_that_wait_for_documents_leave_the_event_loops_threads_to_others(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    read, refresh = threading.Event(), Retriever.refresh

    def slow(retriever: Retriever) -> Snapshot:
        assert read.wait(30)
        return refresh(retriever)

    monkeypatch.setattr(Retriever, "refresh", slow)
    assistant = Assistant(settings_for(tmp_path / "none", corpus))
    questions = [asyncio.create_task(asked(assistant, "When does the ferry leave?")) for _ in range(8)]
    await asyncio.sleep(0.3)

    async with asyncio.timeout(5):
        await asyncio.to_thread(lambda: None)
    assert not any(question.done() for question in questions)
    read.set()
    answers = await asyncio.gather(*questions)
    await assistant.close()

    assert {answer.evidence[0].file for answer in answers} == {"ferry.md"}


async def test_closing_ends_the_threads_that_read_the_corpus(tmp_path: Path, corpus: Path) -> None:
    before = set(threading.enumerate())
    assistant = Assistant(settings_for(tmp_path / "none", corpus))
    await asked(assistant, "When does the ferry leave?")

    def own() -> list[str]:
        threads = set(threading.enumerate()) - before
        return [thread.name for thread in threads if thread.name.startswith(("corpus", "retrieval"))]

    assert own()
    await assistant.close()
    async with asyncio.timeout(10):
        while own():  # noqa: ASYNC110 - threads notify nobody of their end
            await asyncio.sleep(0.05)
