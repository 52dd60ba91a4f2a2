"""The export of answers: what a colleague gets is whole, can be checked without the app, and does nothing by itself.

`python -m tests.test_export` writes the documents in tests/exported anew, to be read before they are committed.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.errors import InputError
from app.export import Document, gather, plain

EXPORTED = Path(__file__).with_name("exported")
FORMS = ("md", "html")


def row(name: str, kind: str, output: str, **answer: Any) -> dict[str, Any]:
    shown = f"{output}\n\n`badge` Sources: [1] x" if answer else output
    about = {"answer": {"shown": len(output), **answer}} if answer else {}
    return {"id": name, "type": kind, "output": shown, "createdAt": "2026-11-28T12:00:00Z", "metadata": about}


def question(text: str) -> dict[str, Any]:
    return row(f"question: {text}", "user_message", text)


def source(of: str, number: int, place: str, *quotes: str) -> dict[str, Any]:
    props = {"caption": place, "quotes": [*quotes]}
    return {"forId": of, "name": f"[{number}] {place}", "props": props}


FERRY = source("1", 1, "ferry_times.md, The ferry", "The ferry leaves at 9:30.")
LIGHTS = source("1", 2, "lights.pdf, page 3", "The northern lantern burns red.", "It is old.")
LARGE = {
    "role": "large", "model": "gpt-oss-20b", "escalated": True, "why": "The question asks for an explanation.",
    "figures": ["phi-4-mini · 12 tokens/s", "gpt-oss-20b · 3 tokens/s"],
}  # fmt: skip
TEXT = """\
The ferry leaves at 9:30 [1], and the lantern burns red [2][1]. *(not in [1]: 290)*

| When | Where |
|---|---|
| 9:30 [1] | `harbour[1]` |

# A heading of the model

```py
print(notes[1])
```"""
COLUMNS = [
    {"name": "phi-4-mini", "note": "1 passage", "text": "The moon does it [1]."},
    {"name": "gpt-oss-20b", "note": "2 passages", "text": "Water, *pulled* [1]."},
]
ROWS = [
    question("When does the ferry leave, and what\nburns <b>red</b>?"),
    row("1", "assistant_message", TEXT, **LARGE),
    question("Pumpkin soup?"),
    row("2", "assistant_message", "Nothing in your documents matches this question."),
    question("Why does the tide turn?"),
    row(
        "3",
        "assistant_message",
        "The models had different passages:",
        preferred="phi-4-mini",
        figures=["phi-4-mini · 12 tokens/s"],
    ),
    question("And the museum?"),
    row("4", "assistant_message", "I cannot say.", role="small", model="phi-4-mini", whole=False),
]
ELEMENTS = [
    FERRY,
    {**FERRY, "name": "[1]"},
    LIGHTS,
    {"forId": "3", "name": "Compare", "props": {"answers": COLUMNS}},
    source("3", 1, "tide.md, The tide", "The moon pulls the water."),
    source("4", 1, "museum.txt, line 1", "The museum shows the journal."),
]


def conversation() -> Document:
    return gather("Harbour: what & when?", ROWS, ELEMENTS)


@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_is_exported_as_it_always_was(form: str) -> None:
    expected = (EXPORTED / f"conversation.{form}").read_text(encoding="utf-8")

    assert conversation().write(form, figures=True) == expected


def test_times_and_tokens_are_left_out_unless_they_are_wanted() -> None:
    for form in FORMS:
        assert "12 tokens/s" not in conversation().write(form, figures=False)
        assert "12 tokens/s" in conversation().write(form, figures=True)


def test_one_answer_is_exported_with_its_question_as_the_title() -> None:
    document = gather("", ROWS, ELEMENTS, "3")

    assert document.title == "Why does the tide turn?"
    text = document.write("md", figures=False)
    assert text.count("Why does the tide turn?") == 1
    assert "[^1]: tide.md, The tide “The moon pulls the water.”" in text
    assert "ferry" not in text


def test_a_code_block_that_was_cut_off_does_not_swallow_what_follows() -> None:
    cut = [question("Code?"), row("1", "assistant_message", "See:\n\n```py\nx = 1", **LARGE), *ROWS[2:4]]

    html = MarkdownIt().render(gather("", cut, []).write("md", figures=False))

    assert "<h2>Pumpkin soup?</h2>" in html


class Reader(HTMLParser):
    """Collects the text, the tags and the addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", set[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=TURNS))
PIECES = "< > [ ] ( ) ! ` * _ # | ~ - + 1. = \\ &lt; $ ^ : x http://a.example javascript:x [1] ](javascript:x) <script>"
MARKUP = st.lists(st.sampled_from([*PIECES.split(), " ", "\n", "\ud800"])).map("".join)


def flat(text: str) -> str:
    return " ".join(text.replace("\ud800", "\ufffd").split())


@given(TEXTS | MARKUP)
def test_any_text_that_is_no_markdown_stands_in_the_markdown_as_it_is(text: str) -> None:
    shown = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"## {plain(text)}\n\n- {plain(text)}\n")

    assert Reader(shown).text.split() == (flat(text) + " " + flat(text)).split()
    assert Reader(shown).tags <= {"h2", "ul", "li"}


@given(TEXTS | MARKUP)
def test_any_question_place_and_quote_stand_in_the_page_as_they_are_and_do_nothing(text: str) -> None:
    rows = [question(text), row("1", "assistant_message", "It is so [1].", role="small", model=text)]
    page = gather("Title", rows, [source("1", 1, text, text)]).write("html", figures=True)

    reader = Reader(page.partition("<main>")[2])
    assert reader.tags <= {"h1", "h2", "p", "article", "section", "sup", "a", "ol", "li", "cite", "q"}
    assert set(reader.addresses) == {"#source-1"}
    assert flat(reader.text).count(flat(text)) >= 3
    page.encode()


@given(TEXTS | MARKUP)
def test_whatever_a_model_writes_the_page_has_no_script_picture_or_address_that_runs(text: str) -> None:
    rows = [question("Why?"), row("1", "assistant_message", text, role="small", model="phi-4-mini")]
    document = gather("Title", rows, [source("1", 1, "a.md", "Quoted.")])

    reader = Reader(document.write("html", figures=False))

    assert not reader.tags & {"script", "img", "iframe", "object", "form", "link", "svg", "base"}
    assert all(re.match(r"#source-|https?://|mailto:", address) for address in reader.addresses)
    document.write("md", figures=False).encode()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("When does the ferry leave?", "When does the ferry leave.md"),
        ("con", "Escalator con.md"),
        ("Aux.notes", "Escalator Aux.notes.md"),
        ("LPT1 ", "Escalator LPT1.md"),
        ("console", "console.md"),
        ("../../etc/passwd", "etc passwd.md"),
        ('a<b>c:d"e|f*g', "a b c d e f g.md"),
        ("Wo fährt die Fähre ab? 🚢", "Wo fährt die Fähre ab 🚢.md"),
        ("???", "Escalator.md"),
        ("x" * 500, "x" * 60 + ".md"),
        ("\u202etxt.exe", "txt.exe.md"),
    ],
)
def test_the_name_of_the_file_is_allowed_on_every_system(title: str, name: str) -> None:
    assert Document(title, "", ()).name("md") == name


def test_a_format_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(InputError, match="'pdf'; it must be one of md, html"):
        conversation().write("pdf", figures=False)


if __name__ == "__main__":
    for form in FORMS:
        (EXPORTED / f"conversation.{form}").write_text(conversation().write(form, figures=True), "utf-8", newline="\n")
