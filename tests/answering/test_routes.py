"""Which kind a question is of, and which rule tells; and who then answers it in the mode "auto"."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from app.answering.events import Progress
from app.answering.pipeline import Assistant
from app.answering.routes import Task, task_of
from app.answering.turn import Answer, Turn
from app.answering.usage import sent
from app.models.queue import ModelQueue
from app.retrieval.search import Exchange
from app.translation import choose
from tests.answering.test_pipeline import FERRY, asked, events_of
from tests.models.test_discovery import Elsewhere
from tests.models.test_foundry import models_list
from tests.support.runtime import settings_for
from tests.support.servers import EVENTS, Asked, Canned, chunk, events, reply
from tests.support.servers import Answer as Reply

KINDS = {
    "translation": """
        Translate this into Danish: The ferry leaves at nine. | Please translate the house rules into German
        Can you translate the menu for me? | Could you please translate it to Dutch? | I need a translation of the menu
        How do you say ferry in Danish? | What is a lighthouse called in Norwegian? | Put the timetable into Romanian
        Give me a Danish translation of the fares | What is the German word for pier? | help me translate this letter
        Übersetze die Hausordnung ins Englische | Bitte übersetze das | Übersetzen Sie den Fahrplan ins Dänische
        Kannst du mir bitte den Brief ins Englische übersetzen? | Ich brauche eine Übersetzung der Regeln
        Wie heißt die Fähre auf Dänisch? | Wie sagt man Anleger auf Niederländisch? | Uebersetze den Fahrplan
        Oversæt det til dansk | Kan du oversætte brevet til engelsk? | Hvordan siger man færge på tysk?
        Lav en oversættelse af reglerne | Vertaal dit naar het Engels | Kun je de brief in het Engels vertalen?
        Hoe zeg je veerboot in het Deens? | Ik wil een vertaling van de regels | Oversett teksten til norsk
        Kan du oversette brevet til engelsk? | Hva heter ferge på tysk? | Tradu textul în engleză
        Poți să îmi traduci scrisoarea în germană? | Cum se spune feribot în daneză? | Vreau o traducere a regulilor
    """,
    "summary": """
        Summarise the house rules | Summarize the following text: The ferry leaves at nine, and then | tl;dr
        What is this about? | Give me an overview of the documents | the main points, please | a short summary
        Fasse die Hausordnung zusammen | Worum geht es in diesem Dokument? | Zusammenfassung | Die wichtigsten Punkte
        Opsummer dokumentet | Giv mig et resumé | Vat samen | Geef een samenvatting van het document
        Oppsummer dokumentene | Gi meg et sammendrag | Rezumă documentul | Fă un rezumat
    """,
    "code": """
        Write a short Python function that adds two numbers | Write me a script to rename files | Fix this code
        Can you write a regular expression for dates? | Refactor the following method that reads files
        Explain this code | Write unit tests | Generate an SQL query for the fares | How do I sort a list in Python?
        Translate this function to Rust | What does read_all() do? | Why does parseDate fail? | Is load_index slow?
        What does ValueError mean here? | Why does this fail? ```print(1/0)``` | Debug my script
        Schreibe eine Funktion, die Zahlen addiert | Kannst du ein Skript schreiben, das Dateien umbenennt?
        Schreib mir bitte eine SQL-Abfrage | Erkläre diesen Code | Wie sortiere ich eine Liste in Python?
        Skriv en funktion, der lægger tal sammen | Kan du skrive et script, som omdøber filer? | Forklar denne kode
        Schrijf een functie die getallen optelt | Kun je een script schrijven dat bestanden hernoemt?
        Skriv en funksjon som legger sammen tall | Kan du skrive et skript som gir filer nye navn?
        Scrie o funcție care adună două numere | Poți să scrii un script care redenumește fișiere?
    """,
    "general": """
        When does the ferry leave? | Who translated the book? | How long does a translation take? | in Danish
        Which documents must I translate into English for the visa? | Is there a Danish translation of the rules?
        What does the translator earn? | What is the price in Norwegian kroner? | Which languages does the guide speak?
        What does the summary of the annual report say about costs? | How long may the summary be?
        What is the dress code? | Explain the dress code | What is the function of the valve? | What is the door code?
        Write the code of conduct | Write a program for the summer party | Who wrote the script of the play?
        What does house_rules.md say? | Does the iPhone work on board? | Which class has maths on Monday?
        Where do pythons live? | What does ESCALATOR_ROUTE do? | Which method of payment is accepted? | What is a bug?
        Write a letter to the tenants | What bites: a mosquito or a bug? | Is there a script for the announcement?
        Wer kann Texte übersetzen? | Wer hat das Buch übersetzt? | Was kostet eine Übersetzung? | Was ist der Dresscode?
        Was ist die Funktion des Ventils? | Schreibe ein Programm für das Sommerfest | Wie lang ist die Zusammenfassung?
        Hvem oversatte bogen? | Hvad koster en oversættelse? | Hvad er ventilens funktion? | Lav et program til festen
        Wie heeft het boek vertaald? | Wat kost een vertaling? | Wat is de functie van de klep? | Wat is de deurcode?
        Hvem oversatte boka? | Hva koster en oversettelse? | Hva er funksjonen til ventilen? | Lag et program for festen
        Cine a tradus cartea? | Cât costă o traducere? | Care este funcția supapei? | Scrie un program pentru petrecere
    """,
}
LAST = (Exchange("When does the ferry leave?", "The ferry leaves at 9:30 [1]."),)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_question_is_told_by_its_wording(kind: str) -> None:
    questions = [each.strip() for line in KINDS[kind].strip().splitlines() for each in line.split(" | ")]

    told = {question: task_of(Turn(question)).kind for question in questions}

    assert {question: told[question] for question in told if told[question] != kind} == {}


@pytest.mark.parametrize(
    ("question", "kind", "rule"),
    [
        ("Can you translate it into Danish?", "translation", "“translate”"),
        ("Translate it into Danish", "translation", "“translate”"),
        ("Übersetze das ins Dänische", "translation", "“Übersetze”"),
        ("Summarise the house rules", "summary", "“summarise”"),
        ("Write a short Python function that adds", "code", "“write a short Python function”"),
        ("Why does parseDate() fail?", "code", "“parseDate()”"),
        ("What is wrong?\n```\nprint(1/0)\n```", "code", "a block of code"),
        ("When does the ferry leave?", "general", ""),
    ],
)
def test_the_rule_that_tells_is_named_in_the_words_of_the_question(question: str, kind: Any, rule: str) -> None:
    assert task_of(Turn(question)) == Task(kind, rule)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("in Danish", "translation"),
        ("auf Englisch bitte", "translation"),
        ("summarise that in one sentence", "summary"),
        ("shorter", "general"),
    ],
)
def test_what_is_wanted_of_the_last_answer_is_of_a_kind_too(question: str, kind: str) -> None:
    assert task_of(Turn(question, LAST)).kind == kind


def test_a_question_that_is_answered_from_a_whole_document_asks_for_a_summary() -> None:
    question = "What does ferry.md say?"

    assert task_of(Turn(question), "summary") == Task("summary", "“What does ferry.md say?”")
    assert task_of(Turn(question)).kind == "general"


def test_the_sentence_says_kind_rule_and_model_in_the_language_of_the_page() -> None:
    task = task_of(Turn("Please translate it"))

    assert task.said("small") == "Translation, because of “translate”: the small model answers alone."
    assert task.said("large") == "Translation, because of “translate”: the large model answers."
    assert task.said("auto") == "Translation, because of “translate”: the small model answers first."
    assert Task("general").said("auto") is None
    assert Task("general").said("large") == "No code, summary or translation is asked for."


def test_the_sentence_is_in_the_language_of_the_page() -> None:
    context = copy_context()
    context.run(choose, "de")

    assert context.run(lambda: task_of(Turn("Please translate it")).said("small")) == (
        "Übersetzung, wegen „translate“: Das kleine Modell antwortet allein."
    )


SMALL, LARGE = "phi-4-mini", "gpt-oss-20b"
SAID = {SMALL: "The ferry leaves at 9:30 [1].", LARGE: "At 9:30, from the old harbour [1]."}


def says(text: str) -> bytes:
    return events(chunk(text), chunk(finish="stop"))


@asynccontextmanager
async def chatting(corpus: Path, says_of: Mapping[str, Reply] | None = None, **given: Any) -> AsyncIterator[Assistant]:
    """An assistant on one server with two models; each says what is given, else what SAID has."""
    replies: dict[str, Reply] = {name: says(text) for name, text in SAID.items()} | dict(says_of or {})

    async def completed(request: Asked) -> bytes:
        answer = replies[request.data["model"]]
        given = answer(request) if callable(answer) else answer
        return given if isinstance(given, bytes) else await given

    answers: dict[str, Reply] = {"/v1/models": models_list(SMALL, LARGE), "/v1/chat/completions": completed}
    importlib.import_module("openai")  # which takes its time
    async with Canned(answers) as server:
        assistant = Assistant(settings_for(None, corpus, endpoint=server.url, retries=0, **given), patience=None)
        try:
            yield assistant
        finally:
            await assistant.close()


def models_of(answer: Answer) -> list[str]:
    return [attempt.model for attempt in answer.attempts]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("question", "model", "notice"),
    [
        ("Summarise ferry.md", SMALL, "Summary, because of “summarise”: the small model answers alone."),
        ("Write a function that says when the ferry leaves", LARGE, "because of “write a function”: the large model"),
        ("When does the ferry leave?", SMALL, ""),
    ],
)
async def test_the_model_for_the_kind_answers_alone_and_the_chat_says_so(
    corpus: Path, question: str, model: str, notice: str
) -> None:
    async with chatting(corpus, route="task") as assistant:
        events = await events_of(assistant, Turn(question))

    answer = events[-1].answer  # type: ignore[attr-defined]
    assert (models_of(answer), answer.turn.route) == ([model], "task")
    assert notice in " ".join(answer.notices)
    assert bool(notice) == any("because of" in event.text for event in events if isinstance(event, Progress))


@pytest.mark.parametrize(("who", "models"), [("small", [SMALL]), ("auto", [SMALL, LARGE])])
async def test_a_kind_for_the_small_model_never_escalates_and_one_for_auto_may(
    corpus: Path, who: str, models: list[str]
) -> None:
    declines = {SMALL: says("I could not find this in the documents.")}
    async with chatting(corpus, declines, route="task", tasks=f"summary={who}") as assistant:
        answer = await asked(assistant, "Summarise ferry.md")

    assert models_of(answer) == models


async def test_the_table_may_be_another_one(corpus: Path) -> None:
    async with chatting(corpus, route="task", tasks="general=large, summary=auto") as assistant:
        general = await asked(assistant, "When does the ferry leave?")
        summary = await asked(assistant, "Summarise ferry.md")

    assert (models_of(general), models_of(summary)[0]) == ([LARGE], SMALL)
    assert general.notices == ("No code, summary or translation is asked for.",)


async def test_only_the_mode_auto_is_routed(corpus: Path) -> None:
    async with chatting(corpus, route="task", tasks="general=large") as assistant:
        small = await asked(assistant, "When does the ferry leave?", mode="small")
        both = await asked(assistant, "When does the ferry leave?", mode="compare")
        first = await asked(assistant, "When does the ferry leave?", route="local-first")

    assert (models_of(small), small.turn.route) == ([SMALL], None)
    assert models_of(both) == [SMALL, LARGE]
    assert (models_of(first), first.turn.route) == ([SMALL], "local-first")


async def test_the_small_model_answers_where_the_large_one_of_a_task_does_not(corpus: Path) -> None:
    question = "Write a function that says when the ferry leaves"
    async with chatting(corpus, {LARGE: says("")}, route="task") as assistant:
        answer = await asked(assistant, question)

    assert answer.text == SAID[SMALL]
    assert answer.notices[-1] == "gpt-oss-20b gave an empty answer, so phi-4-mini answered here."


class Halting(Elsewhere):
    """Writes the beginning of an answer, and after a pause the rest, or nothing more."""

    def __init__(self, rest: str, pause: float = 0.1) -> None:
        super().__init__(LARGE)
        self._rest, self._pause = rest, pause

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path != "/v1/chat/completions":
            await super().respond(asked, writer)
            return
        writer.write(events(chunk("The ferry leaves at 9:30 "), done=False))
        await writer.drain()
        await asyncio.sleep(self._pause)
        if self._rest:
            writer.write(events(chunk(self._rest), chunk(finish="stop")).removeprefix(EVENTS))


async def cloud_first(corpus: Path, cloud: Elsewhere | str, **given: Any) -> Answer:
    """The answer where the large model is at an address of another machine, and the small one here."""
    address = cloud if isinstance(cloud, str) else cloud.url
    async with chatting(corpus, route="cloud-first", large_endpoint=address, **given) as assistant:
        return await asked(assistant, "When does the ferry leave?")


async def test_the_large_model_elsewhere_answers_at_once_and_alone(corpus: Path) -> None:
    async with Elsewhere(LARGE, says=SAID[LARGE]) as cloud:
        answer = await cloud_first(corpus, cloud)

    assert (models_of(answer), answer.turn.route, answer.notices) == ([LARGE], "cloud-first", ())
    assert answer.attempts[0].elsewhere
    assert not answer.escalated


async def test_where_it_does_not_begin_in_time_the_small_model_answers_here(corpus: Path) -> None:
    async with Elsewhere(LARGE) as cloud:
        cloud.answers["/v1/chat/completions"] = lambda _: asyncio.sleep(5, b"")
        answer = await cloud_first(corpus, cloud, cloud_seconds=1.5)

    assert (answer.text, models_of(answer)) == (SAID[SMALL], [SMALL, LARGE])
    assert sent([answer]) == (1, answer.attempts[1].metrics.prompt_tokens)
    assert answer.notices == (
        f"gpt-oss-20b at {cloud.url[7:]} did not begin within 1.5 s, so phi-4-mini answered here.",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("in_line", "models", "notices"),
    [
        (60, [LARGE], ()),
        (1, [SMALL, LARGE], ("gpt-oss-20b at {host} did not begin within 1 s, so phi-4-mini answered here.",)),
    ],
)
async def test_the_wait_in_line_has_a_limit_of_its_own_and_counts_for_no_late_beginning(
    corpus: Path, in_line: float, models: list[str], notices: tuple[str, ...]
) -> None:
    async with Elsewhere(LARGE, says=SAID[LARGE]) as cloud:
        given = {"large_endpoint": cloud.url, "cloud_seconds": 2, "first_token_seconds": in_line}
        async with chatting(corpus, route="cloud-first", **given) as assistant:
            queue = assistant.models.queues.setdefault(f"large {LARGE}", ModelQueue(1))
            async with queue.hold("another question"):
                asking = asyncio.create_task(asked(assistant, "When does the ferry leave?"))
                while not (queue.outlook() or asking.done()):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
                await asyncio.wait([asking], timeout=2.2)
            answer = await asking

    assert (models_of(answer), len(cloud.completions)) == (models, answer.author == LARGE)
    assert answer.notices == tuple(it.format(host=cloud.url[7:]) for it in notices)
    assert sent([answer])[0] == len(cloud.completions)
    assert all(it.metrics.prompt_tokens is None for it in answer.attempts if it.failure)


@pytest.mark.parametrize("failure", [reply(500, {"error": {"message": "broken"}}), says("")])
async def test_where_it_fails_or_says_nothing_the_small_model_answers_here(corpus: Path, failure: bytes) -> None:
    async with Elsewhere(LARGE) as cloud:
        cloud.answers["/v1/chat/completions"] = failure
        answer = await cloud_first(corpus, cloud)

    assert answer.text == SAID[SMALL]
    assert answer.notices[-1].endswith("o phi-4-mini answered here.")


async def test_what_is_private_is_answered_here(corpus: Path) -> None:
    (corpus / "private").mkdir()
    (corpus / "ferry.md").rename(corpus / "private" / "ferry.md")
    async with Elsewhere(LARGE, says=SAID[LARGE]) as cloud:
        answer = await cloud_first(corpus, cloud)

    assert (answer.text, cloud.completions, sent([answer])) == (SAID[SMALL], [], (0, 0))
    assert answer.notices == (
        "Kept on this computer: private/ferry.md is in the folder private, so phi-4-mini answered here.",
    )


async def test_offline_the_small_model_answers_here(corpus: Path, unused_port: int) -> None:
    answer = await cloud_first(corpus, f"http://127.0.0.2:{unused_port}")

    assert answer.text == SAID[SMALL]
    assert "nothing answers" in answer.notices[-1]
    assert sent([answer]) == (0, 0)
    assert answer.notices[-1].endswith("So phi-4-mini answered here.")


@pytest.mark.slow
async def test_what_has_begun_in_time_may_take_longer(corpus: Path) -> None:
    async with Halting("from the old harbour [1].", pause=2.2) as cloud:
        answer = await cloud_first(corpus, cloud, cloud_seconds=2)

    assert answer.text == "The ferry leaves at 9:30 from the old harbour [1]."


async def test_a_part_that_breaks_off_is_kept_and_said(corpus: Path) -> None:
    async with Halting("") as cloud:
        answer = await cloud_first(corpus, cloud)

    assert (models_of(answer), answer.text.strip()) == ([LARGE], "The ferry leaves at 9:30")
    assert answer.notices
    assert not any("answered here" in notice for notice in answer.notices)


async def test_without_an_endpoint_the_route_says_so_once_and_is_local_first(corpus: Path) -> None:
    async with chatting(corpus, route="cloud-first") as assistant:
        first = await asked(assistant, "When does the ferry leave?")
        then = await asked(assistant, "Where does it leave?", history=LAST)

    assert (models_of(first), first.turn.route) == ([SMALL], "local-first")
    assert "LLM_ENDPOINT" in first.notices[0]
    assert then.notices == ()


async def test_where_nobody_answers_both_failures_are_said_and_the_documents_are_quoted(
    corpus: Path, unused_port: int
) -> None:
    address = f"http://127.0.0.2:{unused_port}"
    async with chatting(corpus, {SMALL: says("")}, route="cloud-first", large_endpoint=address) as assistant:
        answer = await asked(assistant, "When does the ferry leave?")

    assert answer.attempt is not None
    assert answer.attempt.role == "extractive"
    assert "LLM_ENDPOINT" in answer.notices[0]
    assert "phi-4-mini gave an empty answer" in answer.notices[0]
