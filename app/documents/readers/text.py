"""Plain text in any encoding, source code in pages of whole definitions, what printing did to a text, and subtitles."""

import codecs
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from html import unescape
from itertools import islice, pairwise
from math import inf, log

from app.documents.language import detect
from app.documents.passages import AIM_WORDS, LINE_LABEL, MAX_WORDS, Page, Place, measure
from app.errors import UnreadableFile

CODE_SUFFIXES = tuple(
    ".asm .bas .bat .bib .bicep .c .cc .cfg .clj .cmake .cmd .conf .cpp .cs .css .cu .cxx .dart .editorconfig .el .env "
    ".erl .ex .exs .f90 .fs .gd .glsl .go .gradle .graphql .groovy .h .hcl .hh .hpp .hs .ini .java .jl .js .jsx .kt "
    ".kts .less .lisp .lua .m .mjs .ml .mm .nim .nix .pas .php .pl .pm .properties .proto .ps1 .psm1 .py .pyi .pyx .r "
    ".rb .rs .sass .scala .scm .scss .sh .sol .sql .sty .svelte .swift .tcl .tex .tf .toml .ts .tsx .v .vb .vbs .vhd "
    ".vue .xml .xsd .xsl .zig .zsh".split()
)

_CLOSING = ("}", ")", "]", "end", "</")

_BOMS: dict[str, tuple[bytes, ...]] = {  # the longer ones first: that of UTF-32 begins like that of UTF-16
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}

_ENCODINGS = "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 koi8_r cp932 euc_jp gb18030 big5 cp949".split()
"""Encodings to guess from for text that has no byte order mark and is not UTF-8; rarer guesses are mostly wrong."""

_LATIN = {"cp1252": 0.0, "cp1250": 0.5, "cp1254": 1.0, "cp1257": 1.0, "mac_roman": 2.0, "cp850": 2.0}
"""Encodings that are compared with the guess by their letters, and how much better than others they must fit."""

_OWN_LETTERS = dict(
    pair.split(":")
    for pair in (
        "de:üäöß en:éèïöçñ fr:éèàêçôîâûùëïœ es:óíáéñúü pt:ãçáéíóêõúâàô it:èàùòìé da:øåæéòôü no:øåæéòôü sv:äåöé fi:äöå "
        "is:íðáóéöþúýæ nl:ëéïèóö pl:łąężóśćńź cs:íáěéšžýřčůúťňóď sk:áéíčžýšúľťňôóäď sl:čšž hr:šžčćđ hu:áéöóőíüúű "
        "ro:ăâîșțşţ tr:ıüşöğç lt:šėžįūčųą lv:āīēšūļņģķčž et:äõüöš"
    ).split()
)
"""The letters beyond a to z of languages in Latin script, by frequency."""

_DETECTED = 2.0
"""How much better the letters of the detected language fit, as a logarithm; in a short text it is a guess, too."""

_MARKS, _SYMBOLS = "„“”’–…", frozenset("€£§°©®™«»„“”‘’‚–—…•·¿¡½¼²³±×ªº\xa0")
_BEYOND = re.compile(r"(?<=(.))?([^\x00-\x7f])(?=(.))?", re.DOTALL)
_SAMPLE = 500
"""Letters that are looked at."""

_HIGH, _LETTERS = bytes(range(0x80, 0x100)), string.ascii_letters.encode()
_CONTROL = bytes([*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])


class NotText(UnreadableFile):
    """The bytes are not text in any encoding."""


def read(data: bytes) -> list[Page]:
    """Return one page that begins at line 1."""
    text = clean(decode(data))
    if not text.strip():
        raise UnreadableFile("it is empty")
    return [Page(text, Place("line", LINE_LABEL.format(number=1), 1))]


def read_code(data: bytes) -> list[Page]:
    """Return pages of whole definitions, as many as fit into a passage; a longer one is a page by itself.

    No programming language is known: a definition begins after a blank line, without indentation.
    """
    (page,) = read(data)
    lines = page.text.split("\n")
    outermost = [bool(line[:1].strip()) and not line.startswith(_CLOSING) for line in lines]
    starts = (number for number in range(1, len(lines)) if outermost[number] and not lines[number - 1].strip())
    return grouped(lines, starts)


def grouped(lines: list[str], starts: Iterable[int]) -> list[Page]:
    """Return pages that begin at some of `starts`, ascending indices above 0: each where a passage would be full."""
    firsts, words = [0], 0
    for start, following in pairwise([0, *starts, len(lines)]):
        more = sum(map(measure, lines[start:following]))
        if words and words + more > AIM_WORDS:
            firsts.append(start)
            words = 0
        words += more
    return [
        Page("\n".join(lines[first:end]), Place("line", LINE_LABEL.format(number=first + 1), first + 1))
        for first, end in pairwise([*firsts, len(lines)])
    ]


def clean(text: str) -> str:
    """Normalise line ends to `\\n`, page breaks included, and remove what no file can contain."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\0", "")
    return text.encode("utf-8", "ignore").decode()  # without halves of characters


def decode(data: bytes) -> str:
    """Decode bytes in an encoding that is marked, UTF-8 or guessed; raises NotText."""
    marked = next((encoding for encoding, bom in _BOMS.items() if data.startswith(bom)), "")
    try:
        text = _wide(data) if not marked and b"\0" in data else data.decode(marked or "utf-8")
    except UnicodeDecodeError:
        text = None if marked else _guessed(data)
    if text is None or _controlled(text):
        raise NotText("it is not text")
    return text


def _wide(data: bytes) -> str | None:
    """Decode UTF-16 without a mark in the order of bytes that makes more ASCII; None if hardly any text comes out."""
    data = data[: len(data) // 2 * 2]
    text = max((data.decode(f"utf-16-{order}", "replace") for order in ("le", "be")), key=_ascii)
    odd = sum(unicodedata.category(letter) in ("Cc", "Cn", "Co") for letter in text if letter not in "\t\r\n")
    scripts = Counter(ord(letter) >> 8 for letter in text if letter.isalpha())
    few = sum(count for _, count in scripts.most_common(2)) >= 0.9 * scripts.total()
    east = any(0x2E <= block < 0xD8 for block in scripts)
    return text if _ascii(text) and (few or east) and 50 * (odd + text.count("\ufffd")) <= len(text) else None


def _ascii(text: str) -> int:
    return sum(map(str.isascii, text))


def _guessed(data: bytes) -> str | None:
    damaged = data.decode("utf-8", "replace")
    bad = damaged.count("\ufffd")
    other = len(damaged) - bad - _ascii(damaged)
    if other > 4 * bad:  # other encodings hardly ever look like UTF-8 by accident: a few bytes of it were lost
        return damaged
    from charset_normalizer import from_bytes

    match = from_bytes(data, cp_isolation=_ENCODINGS).best()
    guess = None if match is None else str(match)
    high, letters = (len(data) - len(data.translate(None, which)) for which in (_HIGH, _LETTERS))
    if high > letters:
        return guess  # no Latin script
    code = detect(re.sub(rb"[^\0-\x7f]+", b" ", data).decode())
    best = _fit(guess, code) if guess is not None else -inf
    for encoding, handicap in _LATIN.items():
        with suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            if (fit := _fit(text, code) - handicap) >= best:
                guess, best = text, fit
    return guess


def _fit(text: str, detected: str) -> float:
    """Return how likely the characters beyond ASCII are, as a logarithm, in the language that they fit best."""
    sums = [_DETECTED * (code == detected) for code in _OWN_LETTERS]
    for match in islice(_BEYOND.finditer(text), _SAMPLE):
        before, letter, after = match[1] or "", match[2], match[3] or ""
        within, upper = before.isalpha() and after.isalpha(), letter.isupper()
        if letter in _SYMBOLS or not letter.isalpha():
            common = 0.2 if letter in _MARKS else 0.03 if letter in _SYMBOLS else 0.0003
            chance = log(common if not within or letter == "’" else 0.0003)
            sums = [each + chance for each in sums]
            continue
        misplaced = upper and before.isalpha() and (before.islower() or after.islower())
        alone = before.isdigit() or not (before.isalpha() or after.isalpha())
        factor = (0.01 if misplaced else 0.3 if upper else 1.0) * (0.1 if alone else 1.0)
        for number, letters in enumerate(_OWN_LETTERS.values()):
            rank = letters.find(letter.lower())
            sums[number] += log(factor * (0.3 / (rank + 1) if rank >= 0 else 0.002))
    return max(sums)


def _controlled(text: str) -> bool:
    """Whether there are more control characters than a text has."""
    data = text.encode("utf-8", "replace")
    return b"\0" in data or len(data) - len(data.translate(None, _CONTROL)) > 1 + len(text) / 50


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


_TIME = re.compile(r"^[ \t]*((?:\d+:)?\d\d?:\d\d)[.,]\d+[ \t]*-->.*", re.MULTILINE)
_EMPTY_LINE = re.compile(r"\n\s*\n")
_NEXT_NUMBER = re.compile(r"(?<!\s)(?=[^\S\n]*+\n)\s++\d++\s*$")
"""The number of the next subtitle, where no empty line is above it."""

_SPEAKER = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z\d][^<>]*>|\{\\[^{}]*\}")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")

Cue = tuple[str, list[str]]
"""The time at which some lines appear, and the lines."""


def read_subtitles(data: bytes) -> list[Page]:
    """Return the text without numbers, positions and notes; a page ends at the end of a sentence if it can."""
    parts: list[Cue] = []
    lines, words = list[str](), 0
    for time, shown in _cues(clean(decode(data))):
        full = words >= AIM_WORDS and _SENTENCE_END.search(lines[-1])
        if not parts or full or words + measure(" ".join(shown)) > MAX_WORDS:
            lines, words = [], 0
            parts.append((time, lines))
        new = [line for line in shown if line not in lines[-2:]]  # automatic subtitles show each line twice
        lines += new
        words += measure(" ".join(new))
    if not parts:
        raise UnreadableFile("it holds no subtitles; save it again as SubRip (.srt) or WebVTT (.vtt)")
    return [Page("\n".join(lines), Place("heading", start, n)) for n, (start, lines) in enumerate(parts, 1)]


def _cues(text: str) -> Iterator[Cue]:
    """Yield the cues with text; all outside of them (numbers, notes, styles) is below an empty line, or a number."""
    _, *parts = _TIME.split(text)
    for time, below in zip(*[iter(parts)] * 2, strict=True):
        body, *after = _EMPTY_LINE.split(below, maxsplit=1)
        body = body if after else _NEXT_NUMBER.sub("", body)
        lines = (unescape(_TAG.sub("", _SPEAKER.sub(r"\1: ", line))).split() for line in body.split("\n"))
        if shown := [" ".join(words) for words in lines if words]:
            yield time, shown
