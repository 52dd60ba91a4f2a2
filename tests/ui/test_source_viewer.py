"""What the viewer of a source shows: the text around what is cited, and whether a page can be drawn."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from app.answering.turn import Citation
from app.documents.document import signature
from app.documents.passages import Place, PlaceKind
from app.retrieval.packing import Evidence
from app.ui import source_viewer
from app.ui.source_viewer import AROUND, CitedPlace, Excerpt, excerpt
from tests.ui.test_chat import pdf

PAGES = "# Boats\n\nThe Seagull sails.\n\f# Berths\n\nThe ferry has berth B12. It is full.\nNobody waits.\n\f# Fees\n"
STRETCH = "The ferry has berth B12. It is full.\nNobody waits."


def evidence(text: str = STRETCH, kind: PlaceKind = "heading", file: str = "boats.docx") -> Evidence:
    start = PAGES.index(STRETCH)
    return Evidence(1, file, "Boats", Place(kind, "Berths", 7), start, start + len(text), text, "en")


def citation(quote: str, number: int = 1, file: str = "boats.docx") -> Citation:
    start = PAGES.index(quote)
    return Citation(quote, number, file, None, start, start + len(quote), True)


def cited(found: Excerpt) -> list[str]:
    return [found.text[start:end] for start, end in found.spans]


def test_every_sentence_that_rests_on_a_source_is_marked_in_its_page_and_nothing_else_is() -> None:
    citations = [
        citation("Nobody waits."),
        citation("The ferry has berth B12."),
        citation("It is full.", number=2),
        citation("It is full.", file="other.docx"),
        citation("The Seagull sails."),  # of the same number, but not in what the model was shown
        Citation("Unknown.", None, None, None, None, None, False),
    ]

    found = excerpt(evidence(), citations, PAGES, Path("boats.docx"))

    assert found.text == "# Berths\n\nThe ferry has berth B12. It is full.\nNobody waits.\n"
    assert cited(found) == ["The ferry has berth B12.", "Nobody waits."]
    assert found.line is None


def test_without_a_sentence_that_is_tied_to_a_span_the_whole_stretch_is_marked() -> None:
    assert cited(excerpt(evidence(), [], PAGES, Path("boats.docx"))) == [STRETCH]


def test_text_has_the_numbers_of_its_lines_and_is_shown_beyond_its_section() -> None:
    found = excerpt(evidence(), [citation("Nobody waits.")], PAGES, Path("boats.md"))

    lines = list(found.cropped().lines())
    [marked] = [line for line in lines if any(state for _, state in line["parts"])]
    assert (marked["number"], marked["parts"]) == (8, [["Nobody waits.", 2]])
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[2]["parts"] == [["The Seagull sails.", 0]]


@pytest.mark.parametrize(("kind", "number"), [("line", 7), ("heading", None)])
def test_where_the_index_has_gone_on_the_text_as_it_was_found_is_shown(kind: PlaceKind, number: int | None) -> None:
    quote = citation("It is full.")

    found = excerpt(evidence(kind=kind), [quote], PAGES.replace("Seagull", "Cormorant"), Path("boats.docx"))

    assert found.text == STRETCH
    assert cited(found) == ["It is full."]
    assert found.line == number


def test_of_a_long_page_the_surroundings_are_shown_in_whole_lines() -> None:
    text = "\n".join(f"line {number}" for number in range(1, 2001))
    start = text.index("line 1000")

    lines = list(Excerpt(text, ((start, start + 9),), 1).cropped().lines())

    assert lines[0]["parts"][0][0] == f"line {lines[0]['number']}"
    assert [f"line {line['number']}" for line in lines] == [line["parts"][0][0] for line in lines]
    assert sum(len(line["parts"][0][0]) + 1 for line in lines) <= 2 * AROUND + 10
    assert [line["number"] for line in lines if line["parts"][0][1]] == [1000]


@pytest.mark.slow
@given(st.text("ab \n", min_size=1, max_size=60), st.data())
def test_lines_hold_the_text_and_mark_the_spans(text: str, data: st.DataObject) -> None:
    at = data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6, unique=True).map(sorted))
    spans = tuple(zip(at[::2], at[1::2], strict=False))

    lines = list(Excerpt(text, spans, 5).lines())

    assert "\n".join("".join(part for part, _ in line["parts"]) for line in lines) == text.removesuffix("\n")
    marked = "".join(part for line in lines for part, state in line["parts"] if state)
    assert marked == "".join(text[start:end] for start, end in spans).replace("\n", "")
    assert [line["number"] for line in lines] == list(range(5, 5 + len(lines)))


@pytest.fixture
def plan(tmp_path: Path) -> CitedPlace:
    path = tmp_path / "plan.pdf"
    pdf(path, "The harbour.", "The drawbridge opens at seven.")
    return CitedPlace(path, signature(path), 2, "", Excerpt("The drawbridge opens at seven.", ((0, 14),), None))


def test_a_page_is_a_picture_with_boxes_in_percent(plan: CitedPlace) -> None:
    shown = plan.draw(2)

    assert shown["picture"].startswith("data:image/png;base64,iVBOR")
    [[left, top, right, bottom]] = shown["boxes"]
    assert 10 < left < 15 < right < 30
    assert 8 < top < bottom < 20
    assert shown["note"] == ""


def test_a_file_that_has_changed_or_gone_is_not_drawn(plan: CitedPlace) -> None:
    os.utime(plan.path, ns=(1, 1))
    assert plan.draw(2) == {
        "note": "The file has changed since it was read. Below is the text as it was; ask again for the new one."
    }

    plan.path.unlink()
    assert plan.draw(2) == {"note": "The file has been moved or deleted. Below is the text as it was read."}


@pytest.mark.slow
def test_why_nothing_is_marked_is_said(plan: CitedPlace, tmp_path: Path) -> None:
    other = CitedPlace(plan.path, plan.signature, 1, "", Excerpt("Quite other words", ((0, 17),), None)).draw(1)
    assert (other["boxes"], other["note"]) == ([], "The cited words were not found on the page.")

    picture = tmp_path / "picture.pdf"
    canvas = Canvas(str(picture))
    canvas.rect(50, 50, 100, 100)
    canvas.save()
    scan = CitedPlace(picture, signature(picture), 1, "", Excerpt("Recognized", ((0, 10),), None)).draw(1)
    assert scan["picture"]
    assert scan["note"].startswith("This page has no text to mark")

    picture.write_bytes(b"%PDF-1.7")
    broken = CitedPlace(picture, signature(picture), 1, "", Excerpt("Recognized", ((0, 10),), None)).draw(1)
    assert broken == {
        "note": "The page cannot be drawn: the file may be damaged, or the page too large. Below is the text."
    }


def test_the_name_of_the_action_is_the_viewers() -> None:
    viewer = Path(source_viewer.__file__).parents[2] / "public/elements/Place.jsx"

    assert f"name: '{source_viewer.SHOW}'" in viewer.read_text(encoding="utf-8")


def test_a_quote_is_the_text_of_a_span_on_one_line() -> None:
    text = "The northern\n lantern burns red. It is old."

    assert Excerpt(text, ((0, 32), (33, len(text))), None).quotes() == ["The northern lantern burns red.", "It is old."]


def test_a_place_that_its_conversation_kept_is_shown_as_it_was_read(tmp_path: Path) -> None:
    found = excerpt(evidence(), [citation("It is full.")], PAGES, Path("boats.md"))
    place = CitedPlace(tmp_path / "boats.md", (1, 1), None, "Berths", found)

    again = CitedPlace.of(json.loads(json.dumps(place.record("key"))))

    assert again == place
    assert again.shown() == found.shown(".md", frozenset(["Berths"]))
    assert again.shown()["blocks"]


def test_a_page_that_an_earlier_version_kept_is_drawn(plan: CitedPlace) -> None:
    kept = {"id": "key", "path": str(plan.path), "signature": plan.signature, "number": 2}

    shown = CitedPlace.of({**kept, "text": plan.excerpt.text, "spans": [[0, 14]]}).shown()

    assert shown["picture"].startswith("data:image/png;base64,iVBOR")
