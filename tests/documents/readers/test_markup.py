"""AsciiDoc and Org: text under its headings."""

import pytest

from app.documents.passages import Page, Place
from app.documents.readers import SUFFIXES
from app.documents.readers.markdown import read_adoc, read_org
from app.errors import UnreadableFile


def test_asciidoc_is_read_by_sections_and_no_heading_is_seen_in_a_block() -> None:
    pages = read_adoc(b"= Title\n:toc:\n\nIntro *x*.\n\n== A  b\n\n----\n== code\n....\n----\n=== C\n| cell\n")
    assert pages == [
        Page("# Title\n\n:toc:\n\nIntro *x*.", Place("heading", "Title", 1)),
        Page("## A b\n\n----\n== code\n....\n----", Place("heading", "A b", 2)),
        Page("### C\n\n| cell", Place("heading", "C", 3)),
    ]
    assert SUFFIXES[".adoc"].title(pages) == "Title"


def test_org_is_read_by_sections_without_tags_and_states() -> None:
    source = "#+TITLE: Harbour\nIntro.\n* TODO One :a:b:\nText\n** Two\n#+BEGIN_SRC py\n* x\n#+END_SRC\n*bold* it is\n"
    pages = read_org(source.encode())
    assert pages == [
        Page("# Harbour\n\nIntro.", Place("heading", "Harbour", 1)),
        Page("# One\n\nText", Place("heading", "One", 2)),
        Page("## Two\n\n#+BEGIN_SRC py\n* x\n#+END_SRC\n*bold* it is", Place("heading", "Two", 3)),
    ]
    assert SUFFIXES[".org"].title(pages) == "Harbour"


def test_an_empty_file_is_named() -> None:
    with pytest.raises(UnreadableFile, match="it is empty"):
        read_org(b"\n\n")


def test_tables_are_rows_below_their_head() -> None:
    adoc = '[cols="1,2a",options="header"]\n|===\n|Part |Every\n\n|Filter\n|40 days\n\n|Belt s|2 years\n|===\nEnd\n'
    assert [page.text for page in read_adoc(adoc.encode())] == [
        "| Part | Every |\n| Filter | 40 days |\n| Belt | 2 years |\n\nEnd"
    ]
    assert read_adoc(b"|===\n|a |b\n|c |d\n|===\n")[0].text == "| a | b |\n| c | d |"
    org = "* [#A] Stock\n:PROPERTIES:\n:ID: 4\n:END:\n| Part | Left |\n|------+------|\n| Nut  |   90 |\n\nEnd\n"
    assert read_org(org.encode())[0].text == "# Stock\n\n| Part | Left |\n| Nut | 90 |\n\nEnd"
