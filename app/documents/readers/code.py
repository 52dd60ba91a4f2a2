"""Source code, whose passages begin where a definition does; it knows no language, only blank lines and indentation."""

from collections.abc import Iterable
from itertools import pairwise

from app.documents.pages import Page, Place
from app.documents.passages import AIM_WORDS, measure
from app.documents.readers import text

_CLOSING = ("}", ")", "]", "end", "</")

SUFFIXES = tuple(
    ".asm .bas .bat .bib .bicep .c .cc .cfg .clj .cmake .cmd .conf .cpp .cs .css .cu .cxx .dart .editorconfig .el .env "
    ".erl .ex .exs .f90 .fs .gd .glsl .go .gradle .graphql .groovy .h .hcl .hh .hpp .hs .ini .java .jl .js .jsx .kt "
    ".kts .less .lisp .lua .m .mjs .ml .mm .nim .nix .pas .php .pl .pm .properties .proto .ps1 .psm1 .py .pyi .pyx .r "
    ".rb .rs .sass .scala .scm .scss .sh .sol .sql .sty .svelte .swift .tcl .tex .tf .toml .ts .tsx .v .vb .vbs .vhd "
    ".vue .xml .xsd .xsl .zig .zsh".split()
)


def read(data: bytes) -> list[Page]:
    """Pages of whole definitions, as many as fit into a passage; a longer one is a page by itself."""
    (page,) = text.read(data)
    lines = page.text.split("\n")
    starts = (number for number in range(1, len(lines)) if not lines[number - 1].strip() and _outermost(lines[number]))
    return grouped(lines, starts)


def grouped(lines: list[str], starts: Iterable[int]) -> list[Page]:
    """Pages that begin at some of `starts`, indices above 0 that rise, each where a passage would be full."""
    first, end, words = 0, 0, 0
    pages: list[Page] = []
    for start, following in pairwise([0, *starts, len(lines)]):
        more = sum(map(measure, lines[start:following]))
        if words and words + more > AIM_WORDS:
            pages.append(_page(lines, first, end))
            first, words = start, 0
        words, end = words + more, following
    return [*pages, _page(lines, first, end)]


def _page(lines: list[str], first: int, end: int) -> Page:
    return Page("\n".join(lines[first:end]), Place("line", f"line {first + 1}", first + 1))


def _outermost(line: str) -> bool:
    return bool(line) and not line[0].isspace() and not line.startswith(_CLOSING)
