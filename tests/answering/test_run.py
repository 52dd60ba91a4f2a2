"""Turns that are no questions about what the documents say, and questions that the documents do not answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from app.answering.events import Abstained, AttemptStarted, Event, Finished, Retrieved
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Turn
from app.retrieval.search import Exchange
from app.translation import choose
from tests.answering.test_pipeline import events_of, large, small
from tests.support.runtime import settings_for

pytestmark = pytest.mark.slow

FERRY = "# Timetable\n\nThe ferry leaves at 9:30 from the old harbour.\n\n# Fares\n\nTickets are sold on board.\n"
SAID = "The ferry leaves at 9:30 [1]."
LAST = (Exchange("When does the ferry leave?", SAID),)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry plan.md").write_text(FERRY, encoding="utf-8")
    (folder / "rules.md").write_text("# House rules\n\nNo dogs.\n\nQuiet hours begin at ten.\n", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


@pytest.fixture
def bare(tmp_path: Path, corpus: Path) -> Assistant:
    """Without any model."""
    return Assistant(settings_for(tmp_path / "none", corpus), patience=None)


def answer(events: list[Event]) -> Answer:
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished.answer


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("hi", "Hello! Ask me about your documents (there are 2)"),
        ("guten Morgen", "Hallo! Fragen Sie mich nach Ihren Dokumenten (es sind 2)"),
        ("qui es-tu ?", "Je suis Escalator"),
        ("Which model is this?", "phi-4-mini"),
        ("What is in here?", "2 documents"),
    ],
)
async def test_greetings_and_questions_about_the_app_and_the_corpus_are_answered_without_search_or_model(
    bare: Assistant, message: str, says: str
) -> None:
    events = await events_of(bare, Turn(message))

    assert [type(event).__name__ for event in events] == ["Started", "Abstained", "Finished"]
    assert says in answer(events).text
    assert not answer(events).citations


SMALL_TALK = {
    "hi": "Hello!",
    "Good morning": "Hello!",
    "thanks": "You are welcome!",
    "ok, thanks": "You are welcome!",
    "ok": "Good.",
    "thanks, bye!": "Goodbye!",
    "Guten Tag": "Hallo!",
    "Danke!": "Gern!",
    "Tschüss": "Auf Wiedersehen!",
    "Tak for hjælpen": "Selv tak!",
    "farvel": "Farvel!",
    "Goedemorgen": "Hallo! Vraag me",
    "doei": "Tot ziens!",
    "hei på deg": "Hei!",
    "tusen takk": "Bare hyggelig!",
    "Bună ziua": "Bună!",
    "la revedere": "La revedere!",
    "merci": "Avec plaisir",
    "au revoir": "Au revoir",
    "hasta luego": "¡Adiós!",
    "buongiorno": "Ciao!",
    "hej då": "Hej då!",
}


@pytest.mark.parametrize("history", [(), LAST])
async def test_small_talk_is_answered_by_its_words_at_any_place_of_a_conversation(
    bare: Assistant, history: tuple[Exchange, ...]
) -> None:
    said = {message: answer(await events_of(bare, Turn(message, history))).text for message in SMALL_TALK}

    assert {each: text for each, text in said.items() if not text.startswith(SMALL_TALK[each])} == {}


@pytest.mark.parametrize(
    ("page", "message", "says"),
    [
        ("en", "Hallo", "Hallo! Fragen Sie mich"),
        ("nl", "Hallo", "Hallo! Vraag me"),
        ("no", "Hallo", "Hei!"),
        ("da", "hej", "Hej! Spørg mig"),
        ("de", "ok", "Gut."),
        ("ro", "ok", "Bine."),
        ("de", "Ciao", "Auf Wiedersehen!"),
        ("en", "Ciao", "Goodbye!"),
        ("en", "hi", "Hello!"),
    ],
)
async def test_a_word_of_several_languages_is_answered_in_that_of_the_page(
    bare: Assistant, page: str, message: str, says: str
) -> None:
    choose(page)
    try:
        assert answer(await events_of(bare, Turn(message))).text.startswith(says)
    finally:
        choose("en")


async def test_a_word_of_several_languages_is_answered_in_that_of_the_documents_if_the_page_has_another(
    bare: Assistant, corpus: Path
) -> None:
    (corpus / "regels.md").write_text("# Huisregels\n\nHonden zijn in het hele gebouw niet toegestaan.\n" * 5)

    assert answer(await events_of(bare, Turn("Hallo"))).text.startswith("Hallo! Vraag me")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("Translate your last answer to German", "There is no answer yet"),
        ("Fasse unser Gespräch zusammen", "Es gibt noch keine Antwort"),
        ("Oversæt dit sidste svar til tysk", "Der er endnu intet svar"),
    ],
)
async def test_an_instruction_before_any_answer_is_told_that_there_is_none(
    bare: Assistant, message: str, says: str
) -> None:
    assert answer(await events_of(bare, Turn(message))).text.startswith(says)


@pytest.mark.parametrize("message", ["Summarise", "tl;dr", "Give me an overview of the documents", "Worum geht es?"])
async def test_a_summary_of_no_document_in_particular_quotes_the_beginnings_of_all(
    bare: Assistant, message: str
) -> None:
    found = answer(await events_of(bare, Turn(message)))

    assert {item.file for item in found.evidence} == {"ferry plan.md", "rules.md"}
    assert "ferry plan.md:\n\n> The ferry leaves at 9:30 from the old harbour. [1]" in found.text
    assert "2 documents: ferry plan.md, rules.md." in found.notices


async def test_a_summary_is_of_the_only_document_there_is(bare: Assistant, corpus: Path) -> None:
    (corpus / "rules.md").unlink()

    found = answer(await events_of(bare, Turn("key points, please")))

    assert [item.place.label for item in found.evidence] == ["Timetable", "Fares"]
    assert found.text.startswith("> The ferry leaves at 9:30")


@pytest.mark.parametrize("message", ["summarise it", "tl;dr", "key points", "What is this document about?"])
async def test_a_summary_after_an_answer_is_of_its_document(bare: Assistant, message: str) -> None:
    found = answer(await events_of(bare, Turn(message, LAST)))

    assert {item.file for item in found.evidence} == {"ferry plan.md"}
    assert "> Tickets are sold on board." in found.text


async def test_after_a_greeting_a_summary_is_of_all_documents(bare: Assistant) -> None:
    found = answer(await events_of(bare, Turn("summarise", (Exchange("hello", "Hello!"),))))

    assert {item.file for item in found.evidence} == {"ferry plan.md", "rules.md"}


async def test_of_many_documents_a_summary_names_those_that_it_is_from(bare: Assistant, corpus: Path) -> None:
    for number in range(20):
        (corpus / f"part {number:02}.md").write_text(f"Part {number} is about pier {number}.", encoding="utf-8")

    found = answer(await events_of(bare, Turn("summarise everything")))

    assert len({item.file for item in found.evidence}) == 8
    assert found.notices[0].startswith("22 documents: ferry plan.md, part 00.md, part 01.md, ")
    assert found.notices[0].endswith("The summary is from the beginnings of the first 8.")


@pytest.mark.parametrize(
    "message",
    [
        "What is in the folder Verträge?",
        "Which documents are in Vertrage",
        "list the files in the folder archive/verträge",
        "Was liegt im Ordner Verträge?",
        "Qu'y a-t-il dans le dossier Verträge ?",
        "Hvad ligger der i mappen Verträge?",
        "Cosa c'è nella cartella Verträge?",
        "¿Qué hay en la carpeta Verträge?",
        "Show me the folder Verträge",
        "What does the Verträge folder contain?",
        "Summarise the folder Verträge",
        "Fasse den Ordner Verträge zusammen",
        "Riassumi la cartella Verträge",
        "Vad finns i mappen Verträge?",
    ],
)
async def test_what_is_in_a_folder_are_its_documents(bare: Assistant, corpus: Path, message: str) -> None:
    (corpus / "archive" / "Verträge").mkdir(parents=True)
    (corpus / "archive" / "Verträge" / "lease.txt").write_text("The rent is 1,200 euros a month.", encoding="utf-8")

    found = answer(await events_of(bare, Turn(message)))

    assert found.text == "archive/Verträge/lease.txt:\n\n> The rent is 1,200 euros a month. [1]"
    assert "1 document in archive/Verträge: archive/Verträge/lease.txt." in found.notices


async def test_what_is_in_something_that_is_no_folder_is_searched_for(bare: Assistant) -> None:
    found = answer(await events_of(bare, Turn("What is in the folder on board the ferry?")))

    assert found.found.hits


async def test_the_overview_names_the_documents_and_what_could_not_be_read(bare: Assistant) -> None:
    text = answer(await events_of(bare, Turn("which documents do you have?"))).text

    assert "- Timetable (ferry plan.md)" in text
    assert "House rules (rules.md)" in text
    assert "- broken.pdf: " in text
    assert "languages: English 2" in text


async def test_of_many_documents_some_are_named_and_the_rest_counted(bare: Assistant, corpus: Path) -> None:
    for number in range(40):
        (corpus / f"f{number % 2}").mkdir(exist_ok=True)
        (corpus / f"f{number % 2}" / f"{number}.txt").write_text(f"Ferry number {number} leaves.", encoding="utf-8")

    text = answer(await events_of(bare, Turn("list all files"))).text

    assert "42 documents" in text
    assert "By folder: f0 20, f1 20, no folder 2." in text
    assert "- and 22 more" in text


@pytest.mark.parametrize(
    "message", ["summarise ferry plan.md", "fasse den Ferri Plan zusammen", "what is Timetable about?"]
)
async def test_a_summary_without_a_model_is_how_each_part_of_the_document_begins(bare: Assistant, message: str) -> None:
    summary = answer(await events_of(bare, Turn(message)))

    assert summary.text == "> The ferry leaves at 9:30 from the old harbour. [1]\n\n> Tickets are sold on board. [2]"
    assert {citation.file for citation in summary.citations} == {"ferry plan.md"}


async def test_a_document_that_came_with_the_message_is_meant_by_this(bare: Assistant, tmp_path: Path) -> None:
    (tmp_path / "dropped.txt").write_text("The bridge is closed in March. It opens in April.", encoding="utf-8")
    [dropped] = await asyncio.to_thread(bare.retriever.read, [("dropped.txt", tmp_path / "dropped.txt")])

    turn = Turn("summarise this", LAST, brought=(dropped,), dropped=(dropped,))  # type: ignore[arg-type]
    summary = answer(await events_of(bare, turn))

    assert summary.text == "> The bridge is closed in March. [1]"


async def test_a_summary_is_written_by_the_small_model_from_the_document(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="Tickets are sold on board [2].")), corpus))

    summary = answer(await events_of(assistant, Turn("Summarise the ferry plan.", mode="small")))
    await assistant.close()

    assert summary.text == "Tickets are sold on board [2]."
    assert [item.place.label for item in summary.evidence] == ["Timetable", "Fares"]


async def test_an_instruction_is_followed_with_the_evidence_of_the_question_before_it(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    assistant = Assistant(settings_for(model_cache(small(say="At 9:30 [1].")), corpus))

    history = (*LAST, Exchange("shorter", SAID))
    shorter = answer(await events_of(assistant, Turn("even shorter", history, mode="small")))
    await assistant.close()

    assert shorter.text == "At 9:30 [1]."
    assert shorter.evidence[0].file == "ferry plan.md"


@pytest.mark.parametrize("message", ["kürzer bitte", "Fasse unser Gespräch zusammen"])
async def test_without_a_model_an_instruction_says_that_it_takes_one(bare: Assistant, message: str) -> None:
    german = answer(await events_of(bare, Turn(message, LAST)))

    assert "braucht es ein Modell" in german.text
    assert not german.attempts


async def test_a_conversation_is_summed_up_from_what_was_said_in_it_alone(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    said = {"quiet hours begin at ten": "You asked about the ferry and the rules."}
    assistant = Assistant(settings_for(model_cache(small(say="I do not know.", when=said)), corpus))

    history = (*LAST, Exchange("And the rules?", "The quiet hours begin at ten [1]."))
    summary = answer(await events_of(assistant, Turn("Summarise our conversation", history, mode="small")))
    await assistant.close()

    assert summary.text == "You asked about the ferry and the rules."
    assert not summary.evidence
    assert not summary.notices


@pytest.mark.parametrize("wanted", ["Translate your last answer to German", "auf Deutsch bitte", "in German"])
async def test_an_answer_in_the_language_that_was_asked_for_is_kept(
    model_cache: Callable[..., Path], corpus: Path, wanted: str
) -> None:
    german = "Die Fähre legt um 9:30 Uhr vom alten Hafen ab, und die Fahrkarten werden an Bord verkauft [1]."
    assistant = Assistant(settings_for(model_cache(small(say=german), large(say="The ferry.")), corpus))

    kept = answer(await events_of(assistant, Turn(wanted, LAST)))
    shorter = answer(await events_of(assistant, Turn("shorter", (*LAST, Exchange(wanted, german)))))
    await assistant.close()

    assert (kept.text, kept.escalated) == (german, False)
    assert (shorter.text, shorter.escalated) == (german, False)


async def test_a_question_that_hardly_anything_answers_reaches_no_model_until_that_is_wanted(
    model_cache: Callable[..., Path], corpus: Path
) -> None:
    entries = (f"## Entry {number}\n\nNobody is named in entry {number}.\n\n" for number in range(200))
    (corpus / "register.md").write_text("".join(entries), encoding="utf-8")
    assistant = Assistant(settings_for(model_cache(small(say="It ended in 1648 [1].")), corpus))

    asked = Turn("Which Habsburg emperor signed the treaty at ten?", mode="small")
    events = await events_of(assistant, asked)
    refused = answer(events)
    later = await events_of(assistant, Turn(asked.question, mode="small", earlier=refused, unaided=True))
    again = await events_of(assistant, Turn(asked.question, mode="large", earlier=answer(later)))
    await assistant.close()

    [abstained] = [event for event in events if isinstance(event, Abstained)]
    assert abstained.unaided
    assert "“Habsburg”" in abstained.text
    assert "The nearest documents: rules.md" in abstained.text
    assert not any(isinstance(event, AttemptStarted) for event in events)
    assert answer(later).text == "It ended in 1648 [1]."
    assert answer(later).rendered == "It ended in 1648."
    assert answer(later).notices == ("Not from your documents.",)
    assert not answer(later).citations
    [retrieved] = [event for event in again if isinstance(event, Retrieved)]
    assert not retrieved.evidence
    assert not any(isinstance(event, Abstained) for event in again)
    assert answer(again).turn.unaided


async def test_what_a_follow_up_lacks_its_conversation_may_hold(bare: Assistant) -> None:
    assert answer(await events_of(bare, Turn("And from where exactly?", LAST))).evidence


async def test_both_models_answer_unaided_side_by_side(model_cache: Callable[..., Path], corpus: Path) -> None:
    cache = model_cache(small(say="One."), large(say="Two."))
    assistant = Assistant(settings_for(cache, corpus))

    compared = answer(await events_of(assistant, Turn("Habsburg treaty?", mode="compare", unaided=True)))
    await assistant.close()

    assert [attempt.text for attempt in compared.attempts] == ["One.", "Two."]
    assert compared.notices == ("Not from your documents.",)
