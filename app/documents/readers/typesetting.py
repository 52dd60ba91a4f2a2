"""What printing did to a text, undone: words broken at the ends of lines, ligatures, running heads and page numbers."""

import re
from collections import Counter
from collections.abc import Iterator

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ft", "ﬆ": "st"}
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_BROKEN = re.compile(r"([-\u2010\xad])(?<=[^\W\d_]{2}.)[ \t]*\n[ \t]*([^\W\d_]{2,})(\S*)[ \t]*\n?")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_FULL_LINE = re.compile(r"[\x02\ufffe]\s*")
"""What PDFium writes for a hyphen and the end of the line after it."""

_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NUMBER = re.compile(r"\d{1,5}")

_EDGE = 4
"""Lines at the top and at the bottom of a page: two of each and a spare one for what is written between them."""

_FEWEST = 3
"""Pages that a line must stand on before it is taken for a running head."""

_SHARE = 0.4
"""Of the pages: left and right ones may have heads of their own."""


def mended(pages: list[str]) -> list[str]:
    """The pages as they were before they were set."""
    texts = [
        _LIGATURE.sub(lambda found: _LIGATURES[found[0]], _FULL_LINE.sub("-\n", text)) for text in _without_heads(pages)
    ]
    words = Counter(_COMPOUND.findall("\n".join(texts).casefold()))

    def joined(match: re.Match[str]) -> str:
        first = _LAST_WORD.findall(match.string[max(0, match.start() - 40) : match.start()])[0]
        hyphen, second, rest = match.groups()
        whole, compound = (first + second).casefold(), f"{first}-{second}".casefold()
        keeps = hyphen != "\xad" and (words[compound] > words[whole] or not second[0].islower())
        return f"{'-' if keeps else ''}{second}{rest}\n"

    return [_BROKEN.sub(joined, text).replace("\xad", "") for text in texts]


def _without_heads(pages: list[str]) -> Iterator[str]:
    """The pages without the lines that stand at the edges of many; a first one without a page number is kept."""
    lines = [text.split("\n") for text in pages]
    edges = [_edges(page) for page in lines]
    counts = Counter(
        key
        for number, (page, edge) in enumerate(zip(lines, edges, strict=True))
        for key in {key for index in edge for key in _keys(page[index], number)}
    )
    written = sum(map(bool, edges))
    repeated = {key for key, count in counts.items() if count >= max(_FEWEST, _SHARE * written)}
    seen: set[str] = set()
    for number, (page, edge) in enumerate(zip(lines, edges, strict=True)):
        heads = {index: keys for index in edge if (keys := _keys(page[index], number) & repeated)}
        yield "\n".join(
            line for index, line in enumerate(page) if index not in heads or heads[index] <= {line.strip()} - seen
        )
        seen.update(*heads.values())


def _edges(page: list[str]) -> set[int]:
    written = [index for index, line in enumerate(page) if line.strip()]
    return {*written[:_EDGE], *written[-_EDGE:]}


def _keys(line: str, page: int) -> set[str]:
    """The line, and the line with each of its numbers as the distance from the page's, which page numbers keep."""
    line = line.strip()
    return {line} | {
        f"{line[: match.start()]}\0{int(match[0]) - page}\0{line[match.end() :]}" for match in _NUMBER.finditer(line)
    }
