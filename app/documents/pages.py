"""What a reader yields: pages of text, each with the place where it stands."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["page", "heading", "slide", "sheet", "cell", "line"]

SEPARATOR = "\f"
"""Stands between two pages in the text of a document; offsets count it as one code point."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in its file, for a person to find: "page 3", a heading, "line 12"."""

    kind: Kind
    label: str
    number: int


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a document that no passage may cross: a PDF page, a section under one heading, a text file."""

    text: str
    place: Place


def joined(pages: list[Page]) -> str:
    """The reader's text of the whole document, which all offsets count in."""
    return SEPARATOR.join(page.text for page in pages)
