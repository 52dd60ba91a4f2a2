"""Markdown in which nothing but words and known links can come out, whatever a model or a document wrote.

It holds for the browser's renderer (CommonMark, GFM, directives): outside of code no image, tag, definition or
directive is left, and no link but to an address that stands in the evidence letter by letter, since one that a model
puts together can carry the conversation to its host. Code stays as it is where it is sure to be code for the renderer
too; what only looks like it is shown as text.
"""

import html
import re
import string
from collections.abc import Callable, Collection, Iterable

LONGEST = 2_000
"""Characters that are held back at most until it is known what they are."""

_SPECIAL = re.compile(r"[\\`~<&!\]:.@]|\n")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[\w.~:/?#@!$&'()*+,=%-]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE | re.ASCII
)
_TRAIL = ".,:!?'*_~)"
"""What may stand behind an address without being part of it."""

_BEHIND = ".,:;!?'\")]"
"""What every renderer leaves out of an address at its end."""

_NAME = string.ascii_letters + string.digits + "_.+-"  # before the @ of an e-mail address

_UNSEEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")
"""What has no width or turns the direction: it hides an address, or what it really is."""

_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\(\s*<?([^\s()<>]*)[^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")
_IMAGE_BEGUN = re.compile(r"!(?:\[[^\[\]\n]*(?:\](?:\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?)?)?)?\Z")
_LINK = re.compile(r"\]\((https?://[^\s()<>\\]+)\)")
_OPEN_LINK = re.compile(r"(?<!\\)\[[^\[\]`<>|\\]*\Z")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});", re.IGNORECASE | re.ASCII)


def addresses(texts: Iterable[str]) -> frozenset[str]:
    """The addresses in texts, each also without what may be punctuation at its end."""
    found = set()
    for text in texts:
        for match in _ADDRESS.finditer(text):
            address = match.group()
            while address not in found:
                found.add(address)
                address = address[:-1] if address[-1] in _TRAIL else address
    return frozenset(found)


def safe(text: str, known: Collection[str] = ()) -> str:
    """A whole text, made safe; done twice it is the same as once."""
    stream = SafeMarkdown(known)
    return stream.feed(text) + stream.close()


def label(text: str) -> str:
    """The name of a file or a place on one line, without a character that Markdown would take for its own."""
    flat = " ".join(text.translate(_LOOKALIKES).split())
    flat = re.sub(r"(?<![^\W_])_|_(?![^\W_])", "ˍ", flat)  # within a word it is plain
    return re.sub(r":(?=//|[A-Za-z])", "∶", re.sub(r"(?i)(?<=www)\.|(?<=\S)@", r" \g<0>", flat))


_LOOKALIKES = str.maketrans(r"[]<>`*\|~", "()‹›'∗/¦∼") | dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F)])

Step = tuple[str, int] | None
"""What is shown for how many characters; None if more must come before that is known."""


class SafeMarkdown:
    """Passes a stream on, made safe; `known` are the addresses that links may have, as `addresses` finds them."""

    def __init__(self, known: Collection[str] = (), line: str = "") -> None:
        self._known = known
        self._held = ""
        self._line = line
        """What has been shown of the last line."""
        self._fences = Fences()

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        return self._pass(self._held + text, ended=False)

    def close(self) -> str:
        """Return the rest; code that is open is closed, or it would take in what comes below the answer."""
        rest = self._pass(self._held, ended=True)
        if self._line:
            self._fences.ended(self._line)
        if closing := self._fences.closing:
            rest += ("\n" if self._line else "") + closing
        return rest

    def _pass(self, text: str, *, ended: bool) -> str:
        back = text.endswith("\r") and not ended
        text = _UNSEEN.sub("", text[: -1 if back else None]).replace("\r\n", "\n").replace("\r", "\n")
        shown: list[str] = []
        at = 0
        while at < len(text):
            if self._fences.marks:
                step = self._code(text, at, ended)
            elif text[at] in _HANDLERS:
                step = _HANDLERS[text[at]](self, text, at, ended)
                if step is None and (ended or len(text) - at > LONGEST):
                    step = _escaped(text[at]), 1
            else:
                found = _SPECIAL.search(text, at)
                end = len(text) if not found else found.end() if found[0] == "\n" else found.start()
                step = text[at:end], end - at
            if step is None:
                break
            shown.append(step[0])
            self._line += step[0]
            at += step[1]
            if self._line.endswith("\n"):
                self._fences.ended(self._line[:-1])
                self._line = ""
        self._held = text[at:] + "\r" * back
        return "".join(shown)

    def _code(self, text: str, at: int, ended: bool) -> Step:
        end = text.find("\n", at) + 1
        line = text[at : end or len(text)]
        if not self._line and not end and not ended and self._fences.undecided(line):
            return None
        return ("", 0) if not self._line and self._fences.leaves(line) else (line, len(line))

    def _backslash(self, text: str, at: int, ended: bool) -> Step:
        follows = text[at + 1 : at + 2]
        if not follows:
            return None
        if follows in ":.@":  # these are judged as if nothing stood before them: addresses are looked for behind it
            return "", 1
        return (text[at : at + 2], 2) if follows.isascii() and not follows.isalnum() and follows > " " else ("\\", 1)

    def _marks(self, text: str, at: int, ended: bool) -> Step:
        """Backticks or tildes: a span of code on one line, the beginning of more, or nothing."""
        rest, newline, _ = text[at : at + LONGEST].partition("\n")
        run = rest[: len(rest) - len(rest.lstrip(text[at]))]
        if text[at] == "`":
            span = re.match(r"(`+)(?!`).*?(?<!`)\1(?!`)", rest)
            if span and (span.end() < len(rest) or newline or ended):
                return (span[0], span.end()) if "|" not in span[0] else (_escaped(run), len(run))  # cells go first
        elif len(run) < 3 and (len(run) < len(rest) or newline):
            return run, len(run)
        if not newline and not ended and len(text) - at <= LONGEST:
            return None
        fence = newline and len(run) >= 3 and (text[at] == "~" or "`" not in rest[len(run) :])
        if fence and self._fences.opens(self._line, run):
            line = f"{rest}\n"
            return line, len(line)
        return _escaped(run), len(run)

    def _less(self, text: str, at: int, ended: bool) -> Step:
        within = re.compile(r"<([^\s<>\\&]*)").match(text, at)
        assert within is not None
        address, end = within[1], within.end()
        if end == len(text) and not ended and (address[:8] in "https://" or address[:7] in "http://"):
            return None
        if text.startswith(">", end) and address.startswith("http") and address in self._known:
            return f"<{address}>", len(address) + 2
        return ("\\<" if re.match(r"<[A-Za-z/!?]", text[at : at + 2]) else "<"), 1

    def _entity(self, text: str, at: int, ended: bool) -> Step:
        found = _ENTITY.match(text, at)
        if found is None:
            return None if re.compile(r"&#?\w{0,32}\Z").match(text, at) and not ended else ("&", 1)
        part_of_address = re.fullmatch(r"[\w:/.@+-]", html.unescape(found[0]), re.ASCII)
        return ("\\&" if part_of_address else "&"), 1

    def _image(self, text: str, at: int, ended: bool) -> Step:
        if image := _IMAGE.match(text[at : at + LONGEST]):
            inner = SafeMarkdown(self._known, "(image removed: ")
            words = (inner.feed(image[1]) + inner.close()).strip()
            address = f" <{image[2]}>" if image[2].startswith("http") and image[2] in self._known else ""
            said = f"(image removed{':' if words or address else ''} {words}{address}".rstrip() + ")"
            return (f" {said}" if self._line.strip(" ") and self._line[-1] != " " else said), len(image[0])
        if _IMAGE_BEGUN.match(text[at : at + LONGEST]) and not ended:
            return None
        return ("! " if text.startswith("[", at + 1) else "!"), 1

    def _bracket(self, text: str, at: int, ended: bool) -> Step:
        if at + 1 == len(text):
            return None if not ended else ("]", 1)
        if text[at + 1] == ":":
            return "]\\:", 2
        if text[at + 1] != "(":
            return "]", 1
        link = _LINK.match(text, at)
        if link is None and not ended and re.compile(r"\]\([^\s()<>\\]*\Z").match(text, at):
            return None
        if link and link[1] in self._known and "&" not in link[1] and _OPEN_LINK.search(self._line[-LONGEST:]):
            return link[0], len(link[0])
        return "]\\(", 2

    def _colon(self, text: str, at: int, ended: bool) -> Step:
        scheme = re.search(r"https?\Z", self._line[-5:], re.IGNORECASE)
        if scheme and re.compile(r":\\?/\\?/").match(text, at):
            return self._address(scheme[0], ": ", text, at, ended)
        follows = text[at + 1 : at + 2]
        if not ended and (not follows or (scheme and re.compile(r":\\?/?\\?\Z").match(text, at))):
            return None
        return ("\\:" if self._line.endswith("]") or (follows.isascii() and follows.isalpha()) else ":"), 1

    def _dot(self, text: str, at: int, ended: bool) -> Step:
        begun = self._line[-3:]
        return self._address(begun, " .", text, at, ended) if begun.lower() == "www" else (".", 1)

    def _at(self, text: str, at: int, ended: bool) -> Step:
        last = self._line.rpartition(" ")[2]
        if "<" not in last and not last.endswith(tuple(_NAME)):
            return "@", 1
        if at + 1 == len(text) or not re.match(r"[\w-]", text[at + 1], re.ASCII):
            return None if at + 1 == len(text) and not ended else ("@", 1)
        before = self._line.rstrip(_NAME)
        name = "" if before.endswith("\\") else self._line[len(before) :]
        return self._address(name, " @", text, at, ended)

    def _address(self, begun: str, broken: str, text: str, at: int, ended: bool) -> Step:
        """What follows the beginning of an address: all of it if it is known, else something that no renderer links."""
        follows = re.split(r"[ \t\n]", text[at : at + LONGEST], maxsplit=1)[0]
        if at + len(follows) == len(text) and not ended:
            return None
        run = begun + follows
        found = _ADDRESS.match(run) if len(follows) < LONGEST else None
        address = found[0] if found else ""
        while address and address not in self._known:
            address = address[:-1] if address[-1] in _TRAIL else ""
        if address and not set("(&") & set(address) and not run[len(address) :].strip(_BEHIND):
            return follows, len(follows)
        return broken, 1


def _escaped(run: str) -> str:
    return re.sub("(.)", r"\\\1", run)


_HANDLERS: dict[str, Callable[[SafeMarkdown, str, int, bool], Step]] = {
    "\\": SafeMarkdown._backslash,
    "`": SafeMarkdown._marks,
    "~": SafeMarkdown._marks,
    "<": SafeMarkdown._less,
    "&": SafeMarkdown._entity,
    "!": SafeMarkdown._image,
    "]": SafeMarkdown._bracket,
    ":": SafeMarkdown._colon,
    ".": SafeMarkdown._dot,
    "@": SafeMarkdown._at,
}


_ITEM = re.compile(r"( *)(?:[-+*]|(\d{1,9})[.)]) {1,4}(?=\S)(?![-+*>#|~`]|\d{1,9}[.)])", re.ASCII)


class Fences:
    """Follows a text line by line, in which no tag begins a block.

    A fence opens code for certain at the beginning of a line, and in a list's item that every line since its mark is
    sure to belong to. Where in doubt it is none, and the marks have to be escaped so that it is none for others too.
    """

    def __init__(self) -> None:
        self.marks = ""
        """What opened the code that the next line is in; empty outside of code."""
        self._opened = False
        self._column = 0
        self._item: int | None = None
        """The column where the text of the item begins that the next line is sure to be able to belong to."""

    def opens(self, before: str, marks: str) -> bool:
        """Begin code at these marks, unless what stands before them in the line leaves a doubt."""
        column, item = len(before), self._item
        if before.strip(" ") or (column and not (item and item <= column <= item + 3)):
            return False
        if not column:
            item = self._item = None
        self.marks, self._column, self._opened = marks, item or 0, True
        return True

    def leaves(self, line: str) -> bool:
        """Whether a line, or what is there of it, ends an item and the code in it, and so is no code itself."""
        if line.strip() and _column(line) < self._column:
            self.marks, self._item = "", None
            return True
        return False

    def undecided(self, line: str) -> bool:
        """Whether it takes more of a line to know whether it is still code."""
        return self._column > 0 and not line.strip()

    def ended(self, line: str) -> None:
        """Take note of a whole line."""
        column, item = _column(line), self._item or 0
        if self._opened:
            self._opened = False
        elif self.marks:
            bare = line.strip(" \t")
            if set(bare) == {self.marks[0]} and len(bare) >= len(self.marks) and column - self._column <= 3:
                self.marks = ""
        elif line.strip():
            mark = _ITEM.match(line)
            if mark and (column <= 3 or item <= column <= item + 3) and (mark[2] in (None, "1") or self._item):
                self._item = mark.end()
            elif column < item:  # it may go on with the item's paragraph, or may not
                self._item = None

    @property
    def closing(self) -> str:
        """The line that ends the code that is open; empty outside of code."""
        return " " * self._column + self.marks if self.marks else ""


def _column(line: str) -> int:
    """How far a line is indented; tabs go to the next multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
