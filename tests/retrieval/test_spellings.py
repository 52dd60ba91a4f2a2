"""Spellings: names, numbers, identifiers and compounds that a question writes otherwise than the documents."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.documents.folder import Folder
from app.documents.passages import Passage, Place
from app.retrieval.corpus import Corpus
from app.retrieval.expansion import parts, plain_forms
from app.retrieval.segment import above

OTHERS = {
    "parking.md": "The parking deck opens at six. Motorbikes park on level two and pay nothing.",
    "washers.md": "Order and cost of washers are in the list of the warehouse.",
    "desk.md": "Visitors sign in at the desk before they enter the building.",
}
NAMES = "Minutes: Büşra Yıldız, Zoë Brontë, Jürgen Kröger, Søren Åkesson and José Peña were there."
PLAIN = "Minutes: Busra Yildiz, Juergen Kroeger and Jose Pena were there."
NUMBERS = "Article;Name\nMER-0044;pump\nAB-1002;ring\nKX5500;seal\nKL0012;cap\nQ 7712;lid\n"
CODE = "Set `NH_RETRY_LIMIT=7` and maxUploadSize to 5; call get_user_by_id(3)."
EXPENSES = "Reisekostenabrechnungen sind bis zum fünften Werktag einzureichen. Die Geräteprüfung ist jährlich im Mai."
LIFT = "Die Wartung des Aufzugs findet im Mai statt. Die Kündigung des Vertrags ist in drei Monaten möglich."
DUTCH = "De reiskostenvergoeding wordt maandelijks betaald, en het is altijd op de laatste dag van de maand."
DANISH = "Rejseafregningen skal sendes til kontoret inden den femte i måneden, og hver bilag skal være med."


First = Callable[..., tuple[str, tuple[str, ...]]]
"""Asks a question about some documents; returns the file of the first hit and the words that occur nowhere."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    corpora: dict[tuple[tuple[str, str], ...], Corpus] = {}

    def ask(question: str, **documents: str) -> tuple[str, tuple[str, ...]]:
        if (corpus := corpora.get(key := (*documents.items(),))) is None:
            folder = tmp_path_factory.mktemp("corpus")
            for name, text in {**OTHERS, **{name.replace("__", "."): each for name, each in key}}.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
            corpus = corpora[key] = Corpus(Folder(folder, 1_000_000))
        found = corpus.search(question)
        for hit in found.hits:
            assert sum(hit.explanation.terms.values()) == pytest.approx(1)
        return (found.hits[0].passage.file if found.hits else ""), found.unknown_words

    return ask


@pytest.mark.parametrize("question", ["Busra Yildiz?", "Who is Zoe Bronte?", "Juergen Kroeger", "Jurgen Kroger"])
def test_a_name_is_found_without_its_accents(first: First, question: str) -> None:
    assert first(question, names__md=NAMES) == ("names.md", ())


@pytest.mark.parametrize("question", ["Soren Akesson", "Soeren", "What did Jose Pena do?", "Aakesson"])
def test_a_scandinavian_or_spanish_name_too(first: First, question: str) -> None:
    assert first(question, names__md=NAMES) == ("names.md", ())


@pytest.mark.parametrize("question", ["Büşra Yıldız?", "Jürgen Kröger", "José Peña"])
def test_a_name_is_found_with_accents_that_the_documents_lack(first: First, question: str) -> None:
    assert first(question, names__md=PLAIN) == ("names.md", ())


@pytest.mark.parametrize(
    "question",
    "AB1002|ab 1002|AB-01002|MER44|MER-44|mer 0044|44|KX-5500|kx 5500|KL12|KL-12|KL 0012|Q7712|Q-7712".split("|"),
)
def test_a_part_number_is_found_however_it_is_written(first: First, question: str) -> None:
    assert first(f"What is {question}?", list__csv=NUMBERS) == ("list.csv", ())


@pytest.mark.parametrize(
    "question",
    [
        "What is the retry limit?",
        "the user id",
        "retry-limit",
        "nhRetryLimit",
        "max upload size",
        "max_upload_size",
        "NH_RETRY_LIMIT",
    ],
)
def test_an_identifier_is_found_by_its_words_and_as_a_whole(first: First, question: str) -> None:
    assert first(question, code__md=CODE) == ("code.md", ())


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Bis wann muss ich die Abrechnung der Reisekosten einreichen?", EXPENSES),
        ("Prüfung von Geräten", EXPENSES),
        ("Aufzugswartung", LIFT),
        ("Wann ist die Vertragskündigung möglich?", LIFT),
        ("vergoeding van reiskosten", DUTCH),
        ("afregning af rejser", DANISH),
        ("Wartung des alten Aufzugs", "Die Aufzugswartung findet im Mai statt, und sie dauert in der Regel zwei Tage."),
    ],
)
def test_a_compound_is_found_by_its_parts_and_the_parts_by_a_compound(first: First, question: str, text: str) -> None:
    assert first(question, text__txt=text)[0] == "text.txt"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Which GPU is fitted?", "The racks hold two GPUs each, and both of them are in use all day."),
        ("Which GPUs are fitted?", "Each rack holds one GPU, and it is in use all day."),
        (
            "Wer regierte die DDR?",
            "Das Ende der DDRs dieser Welt kam für die meisten Menschen nicht sehr überraschend.",
        ),
    ],
)
def test_an_acronym_is_found_with_and_without_an_s(first: First, question: str, text: str) -> None:
    assert first(question, text__txt=text)[0] == "text.txt"


def test_a_word_is_found_in_another_form_whose_stem_is_shorter(first: First) -> None:
    text = "Jeg har en søster som heter Anna, og hun bor ved fjorden med en hund og to katter."
    assert first("Hvem er søsteren?", text__txt=text) == ("text.txt", ())


def test_a_word_is_never_taken_for_function_words_that_it_consists_of(first: First) -> None:
    text = "Some of what is here is what some of them want, and what some want is here."
    assert first("somewhat", text__txt=text) == ("", ("somewhat",))


def test_folders_and_sheets_are_labels() -> None:
    place = Place("sheet", "October!A1:C9", 1)
    label = above(Passage("Travel_Costs/HumanResources.xlsx", 0, 1, "x", place, "", "en"))
    assert {"Travel_Costs", "Travel", "Costs", "Human", "Resources", "October"} <= set(label.replace("/", " ").split())


def test_a_word_and_its_plain_forms() -> None:
    assert plain_forms("müller") == {"muller", "mueller"}
    assert plain_forms("mer0044") == {"mer44"}
    assert plain_forms("мой") == {"мой"}
    assert parts("getUserById_2") == ["get", "User", "By", "Id", "2"]


CANTEEN = {
    "kantine.md": "# Kantine\n\nDie Kantine öffnet um 11:30 Uhr. Vegetarische Gerichte gibt es täglich.",
    "parking.md": "# Parking\n\nThe parking deck opens at 6 am. Motorbikes park on level two.",
}


def test_a_word_is_found_in_another_language_of_the_folder_if_it_has_the_same_consonants(tmp_path: Path) -> None:
    for name, text in CANTEEN.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = Corpus(Folder(tmp_path, 1_000_000)).search("When does the canteen open?")
    assert found.hits[0].passage.file == "kantine.md"
    assert found.hits[0].explanation.alike["canteen"] == ("kantine",)
