"""What printing did to a text: words hyphenated at the ends of lines, ligatures, running heads and page numbers."""

import re
from collections import Counter
from collections.abc import Iterator

_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ft", "ﬆ": "st"}
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_BROKEN = re.compile(r"([-\u2010\xad])(?<=[^\W\d_]{2}.)[ \t]*\n[ \t]*([^\W\d_]{2,})(\S*)[ \t]*\n?")
_LAST_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]++$")
_HYPHEN = re.compile(r"[\x02\ufffe]\s*")
"""What PDFium returns for a hyphen and the end of the line after it."""

_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_NUMBER = re.compile(r"\d{1,5}")

_EDGE = 4
"""Lines at the top and at the bottom of a page: two of each and a spare one for what is between them."""

_FEWEST = 3
"""Pages on which a line must occur before it is taken for a running head."""

_SHARE = 0.4
"""Of the pages: left and right ones may have heads of their own."""


def unprinted(pages: list[str]) -> list[str]:
    """Return the texts of pages without the effects of printing."""
    texts = [
        _LIGATURE.sub(lambda match: _LIGATURES[match[0]], _HYPHEN.sub("-\n", text)) for text in _without_heads(pages)
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
    """Drop the lines at the edges of many pages; the first occurrence stays unless it holds a page number."""
    lines = [text.split("\n") for text in pages]
    edges = [{index: _keys(page[index], number) for index in _edges(page)} for number, page in enumerate(lines)]
    counts = Counter(key for edge in edges for key in set().union(*edge.values()))
    fewest = max(_FEWEST, _SHARE * sum(map(bool, edges)))
    seen: set[str] = set()
    for page, edge in zip(lines, edges, strict=True):
        heads = {
            index: head for index, keys in edge.items() if (head := {key for key in keys if counts[key] >= fewest})
        }
        yield "\n".join(
            line for index, line in enumerate(page) if index not in heads or heads[index] <= {line.strip()} - seen
        )
        seen.update(*heads.values())


def _edges(page: list[str]) -> set[int]:
    """Return the indices of the lines that may be running heads or feet."""
    written = [index for index, line in enumerate(page) if line.strip()]
    return {*written[:_EDGE], *written[-_EDGE:]}


def _keys(line: str, page: int) -> set[str]:
    """Return the line, and variants in which a number is replaced by its distance from the page's."""
    line = line.strip()
    return {line} | {
        f"{line[: match.start()]}\0{int(match[0]) - page}\0{line[match.end() :]}" for match in _NUMBER.finditer(line)
    }
