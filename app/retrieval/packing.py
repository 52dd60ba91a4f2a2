"""Evidence: the passages that fit into a prompt, those that overlap made one; it knows no tokenizer."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.documents.pages import SEPARATOR, Place
from app.documents.passages import Passage
from app.documents.sentences import sentences
from app.retrieval.index import Hit

MAX_EVIDENCE = 8
"""More numbers than this confuse a small model, and a person."""

WEAK = 0.3
"""Passages below this part of the best score are left out.

In each of seven collections at most 1 of 100 judged passages among the first ten of a search lies below it.
"""

LEAST_ROOM = 50
"""Tokens below which no further passage is worth beginning."""

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document that goes into the prompt under its number; offsets count in the document's text."""

    number: int
    file: str
    title: str
    place: Place
    start: int
    end: int
    text: str
    language: str


def pack(hits: Sequence[Hit], budget: int, count: Count, texts: Mapping[str, str]) -> tuple[Evidence, ...]:
    """The evidence for a prompt, in the order of rank, of together at most `budget` tokens by `count`.

    The first hit is always in, shortened to whole sentences if it alone is too long; a later one that does not fit is
    passed over. `texts` holds the texts of the documents.
    """
    if not hits:
        return ()
    packed = [_shortened(hits[0], budget, count)]
    for hit in hits[1:]:
        if hit.score < WEAK * hits[0].score:
            break
        merged = _with(packed, hit.passage, texts)
        if len(merged) <= MAX_EVIDENCE and sum(count(passage.text) for passage in merged) <= budget:
            packed = merged
    return tuple(
        Evidence(number, p.file, p.title, p.place, p.start, p.end, p.text, p.language)
        for number, p in enumerate(packed, 1)
    )


def widen(
    evidence: Sequence[Evidence], hits: Sequence[Hit], budget: int, count: Count, texts: Mapping[str, str]
) -> tuple[Evidence, ...]:
    """The evidence and more behind it, of together at most `budget` tokens; what has a number keeps it and its text."""
    known = [(item.file, item.start, item.end) for item in evidence]
    new = [hit for hit in hits if not any(_within(hit.passage, *place) for place in known)]
    left = budget - sum(count(item.text) for item in evidence)
    more = pack(new, left, count, texts) if left >= LEAST_ROOM else ()
    return (*evidence, *(replace(item, number=item.number + len(evidence)) for item in more))


def _within(passage: Passage, file: str, start: int, end: int) -> bool:
    return passage.file == file and start <= passage.start and passage.end <= end


def _with(packed: list[Passage], passage: Passage, texts: Mapping[str, str]) -> list[Passage]:
    """The passages and one more, which becomes one with those it touches, in the place of the best of them."""
    result: list[Passage] = []
    at: int | None = None
    for other in packed:
        union = _union(passage, other, texts)
        if union is None:
            result.append(other)
            continue
        passage = union
        if at is None:
            at = len(result)
            result.append(union)
        result[at] = union
    return result if at is not None else [*result, passage]


def _union(one: Passage, two: Passage, texts: Mapping[str, str]) -> Passage | None:
    """Both passages as one, if they lie on the same page and nothing but blanks lies between them."""
    text = texts.get(one.file, "")
    if one.file != two.file or not (_stands_in(one, text) and _stands_in(two, text)):
        return None
    first, second = sorted((one, two), key=lambda passage: passage.start)
    between = text[first.end : second.start]
    if between.strip() or SEPARATOR in between:
        return None
    end = max(first.end, second.end)
    return replace(first, end=end, text=text[first.start : end])


def _stands_in(passage: Passage, text: str) -> bool:
    """False after a change of the file, whose new text the passage's offsets do not count in."""
    return text[passage.start : passage.end] == passage.text


def _shortened(hit: Hit, budget: int, count: Count) -> Passage:
    """The passage, or as many of its sentences as fit, from the one on that holds the most words of the question."""
    passage = hit.passage
    if count(passage.text) <= budget:
        return passage
    words = [word.casefold() for word in hit.terms]
    spans = sentences(passage.text)
    folded = [passage.text[start:end].casefold() for start, end in spans]
    first = max(range(len(spans)), key=lambda i: sum(word in folded[i] for word in words))
    start = spans[first][0]
    # A first sentence that is itself too long is cut between words, at worst after its first one.
    ends = [end for _, end in spans[first:]]
    if count(passage.text[start : ends[0]]) > budget:
        ends = _word_ends(passage.text, *spans[first])
    fitting = bisect_right(ends, budget, key=lambda end: count(passage.text[start:end]))
    end = ends[max(0, fitting - 1)]
    place = passage.place
    if place.kind == "line":
        number = place.number + passage.text.count("\n", 0, start)
        place = Place("line", f"line {number}", number)
    return replace(
        passage, start=passage.start + start, end=passage.start + end, text=passage.text[start:end], place=place
    )


def _word_ends(text: str, start: int, end: int) -> list[int]:
    return [at for at in range(start + 1, end + 1) if at == end or (text[at].isspace() and not text[at - 1].isspace())]
