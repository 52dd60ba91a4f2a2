"""Markdown in which only words and known links can come out, whatever a model or a document wrote.

It is safe for the browser's renderer (CommonMark, GFM, directives): outside of code it contains no image, tag,
definition or directive. Links lead only to addresses that occur exactly in the evidence: an address made up by a model
could send the conversation to someone's server. Code stays unchanged where the renderer certainly takes it for code;
text that only resembles code is escaped.
"""

import html
import re
import string
from collections.abc import Callable, Collection, Iterable

LONGEST = 2_000
"""At most this many characters are buffered before deciding how to show them."""

_SPECIAL = re.compile(r"[\\`~<&!\]:.@]|\n")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[\w.~:/?#@!$&'()*+,=%-]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE | re.ASCII
)
_TRAIL = ".,:!?'*_~)"
"""Punctuation that may follow an address."""

_BEHIND = ".,:;!?'\")]"
"""Punctuation after an address that no renderer includes in the link."""

_NAME = string.ascii_letters + string.digits + "_.+-"  # before the @ of an e-mail address

_UNSEEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")
"""Characters without width or that change the direction of text: they can hide or disguise an address."""

_IMAGE = re.compile(r"!\[([^\[\]\n]*)\]\(\s*<?([^\s()<>]*)[^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")
_IMAGE_BEGUN = re.compile(r"!(?:\[[^\[\]\n]*(?:\](?:\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?)?)?)?\Z")
_LINK = re.compile(r"\]\((https?://[^\s()<>\\]+)\)")
_OPEN_LINK = re.compile(r"(?<!\\)\[[^\[\]`<>|\\]*\Z")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});", re.IGNORECASE | re.ASCII)


def addresses(texts: Iterable[str]) -> frozenset[str]:
    """Return the addresses in texts, each also without the characters at its end that may be punctuation."""
    found = set()
    for text in texts:
        for match in _ADDRESS.finditer(text):
            address = match.group()
            while address not in found:
                found.add(address)
                address = address[:-1] if address[-1] in _TRAIL else address
    return frozenset(found)


def safe(text: str, allowed_links: Collection[str] = ()) -> str:
    """Return a whole text as safe Markdown; applying it to its own result changes nothing."""
    stream = SafeMarkdown(allowed_links)
    return stream.feed(text) + stream.close()


def label(text: str) -> str:
    """Return the name of a file or a place on one line, without characters that Markdown interprets."""
    flat = " ".join(text.translate(_LOOKALIKES).split())
    flat = re.sub(r"(?<![^\W_])_|_(?![^\W_])", "ˍ", flat)  # within a word it is plain
    return re.sub(r":(?=//|[A-Za-z])", "∶", re.sub(r"(?i)(?<=www)\.|(?<=\S)@", r" \g<0>", flat))


_LOOKALIKES = str.maketrans(r"[]<>`*\|~", "()‹›'∗/¦∼") | dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F)])

Step = tuple[str, int] | None
"""The text to show and the number of input characters it replaces; None if more input is needed to decide."""


class SafeMarkdown:
    """A filter that makes a stream of Markdown safe; `allowed_links` are addresses as `addresses` returns them.

    Each handler decides on the special character at `at` of the text and what follows it; `ended` is whether the text
    is complete. The examples in their docstrings show input -> output, with only https://a.com and me@a.com allowed.
    """

    def __init__(self, allowed_links: Collection[str] = (), line: str = "") -> None:
        self._allowed_links = allowed_links
        self._held = ""
        self._line = line
        """The part of the last line that was shown already."""
        self._fences = Fences()

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        return self._pass(self._held + text, ended=False)

    def close(self) -> str:
        """Return the rest; an open code block is closed, or it would include the text below the answer."""
        rest = self._pass(self._held, ended=True)
        if self._line and self._fences.marks:  # the last line may end the code
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
        """Pass on a line inside a code block unchanged: <b> -> <b>."""
        end = text.find("\n", at) + 1
        line = text[at : end or len(text)]
        if not self._line and not end and not ended and self._fences.undecided(line):
            return None
        return ("", 0) if not self._line and self._fences.leaves(line) else (line, len(line))

    def _backslash(self, text: str, at: int, ended: bool) -> Step:
        r"""Keep an escape, except before a character that is judged by itself: https\://b.com -> https: //b.com."""
        follows = text[at + 1 : at + 2]
        if not follows:
            return None
        if follows in ":.@":  # addresses are recognised at these: drop the backslash, then judge them
            return "", 1
        return (text[at : at + 2], 2) if follows.isascii() and not follows.isalnum() and follows > " " else ("\\", 1)

    def _marks(self, text: str, at: int, ended: bool) -> Step:
        r"""Keep a code span or the start of a code block, and escape other backticks or tildes: `a` b` -> `a` b\`."""
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
        r"""Escape a tag, but keep an allowed link in angle brackets: <b>bold -> \<b>bold."""
        within = re.compile(r"<([^\s<>\\&]*)").match(text, at)
        assert within is not None
        address, end = within[1], within.end()
        if end == len(text) and not ended and (address[:8] in "https://" or address[:7] in "http://"):
            return None
        if text.startswith(">", end) and address.startswith("http") and address in self._allowed_links:
            return f"<{address}>", len(address) + 2
        return ("\\<" if re.match(r"<[A-Za-z/!?]", text[at : at + 2]) else "<"), 1

    def _entity(self, text: str, at: int, ended: bool) -> Step:
        r"""Escape an entity for a character that an address may contain: &colon;//b -> \&colon;//b."""
        found = _ENTITY.match(text, at)
        if found is None:
            return None if re.compile(r"&#?\w{0,32}\Z").match(text, at) and not ended else ("&", 1)
        part_of_address = re.fullmatch(r"[\w:/.@+-]", html.unescape(found[0]), re.ASCII)
        return ("\\&" if part_of_address else "&"), 1

    def _image(self, text: str, at: int, ended: bool) -> Step:
        """Replace an image by its words: ![cat](https://b.com/x.png) -> (image removed: cat)."""
        if image := _IMAGE.match(text[at : at + LONGEST]):
            inner = SafeMarkdown(self._allowed_links, "(image removed: ")
            words = (inner.feed(image[1]) + inner.close()).strip()
            address = f" <{image[2]}>" if image[2].startswith("http") and image[2] in self._allowed_links else ""
            note = f"(image removed{':' if words or address else ''} {words}{address}".rstrip() + ")"
            return (f" {note}" if self._line.strip(" ") and self._line[-1] != " " else note), len(image[0])
        if _IMAGE_BEGUN.match(text[at : at + LONGEST]) and not ended:
            return None
        return ("! " if text.startswith("[", at + 1) else "!"), 1

    def _bracket(self, text: str, at: int, ended: bool) -> Step:
        r"""Keep an allowed link, escape other links and definitions: [a]: b -> [a]\: b."""
        if at + 1 == len(text):
            return None if not ended else ("]", 1)
        if text[at + 1] == ":":
            return "]\\:", 2
        if text[at + 1] != "(":
            return "]", 1
        link = _LINK.match(text, at)
        if link is None and not ended and re.compile(r"\]\([^\s()<>\\]*\Z").match(text, at):
            return None
        if link and link[1] in self._allowed_links and "&" not in link[1] and _OPEN_LINK.search(self._line[-LONGEST:]):
            return link[0], len(link[0])
        return "]\\(", 2

    def _colon(self, text: str, at: int, ended: bool) -> Step:
        r"""Judge the address after its scheme, and escape a directive: :tip[x] -> \:tip[x]."""
        scheme = re.search(r"https?\Z", self._line[-5:], re.IGNORECASE)
        if scheme and re.compile(r":\\?/\\?/").match(text, at):
            return self._address(scheme[0], ": ", text, at, ended)
        follows = text[at + 1 : at + 2]
        if not ended and (not follows or (scheme and re.compile(r":\\?/?\\?\Z").match(text, at))):
            return None
        return ("\\:" if self._line.endswith("]") or (follows.isascii() and follows.isalpha()) else ":"), 1

    def _dot(self, text: str, at: int, ended: bool) -> Step:
        """Judge the address that "www." begins: www.b.com -> www .b.com."""
        begun = self._line[-3:]
        return self._address(begun, " .", text, at, ended) if begun.lower() == "www" else (".", 1)

    def _at(self, text: str, at: int, ended: bool) -> Step:
        """Judge an e-mail address: me@b.com -> me @b.com, but me@a.com is kept."""
        last = self._line.rpartition(" ")[2]
        if "<" not in last and not last.endswith(tuple(_NAME)):
            return "@", 1
        if at + 1 == len(text) or not re.match(r"[\w-]", text[at + 1], re.ASCII):
            return None if at + 1 == len(text) and not ended else ("@", 1)
        before = self._line.rstrip(_NAME)
        name = "" if before.endswith("\\") else self._line[len(before) :]
        return self._address(name, " @", text, at, ended)

    def _address(self, begun: str, broken: str, text: str, at: int, ended: bool) -> Step:
        """Return the rest of an allowed address, else break it so it is no link: https://b.com -> https: //b.com."""
        follows = re.split(r"[ \t\n]", text[at : at + LONGEST], maxsplit=1)[0]
        if at + len(follows) == len(text) and not ended:
            return None
        run = begun + follows
        found = _ADDRESS.match(run) if len(follows) < LONGEST else None
        address = found[0] if found else ""
        while address and address not in self._allowed_links:
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
    """The state of code blocks while a text without HTML blocks is read line by line.

    A code block opens at a fence at the beginning of a line, or inside a list item, if all lines since its bullet
    certainly belong to it. If uncertain, treat it as text and escape it.
    """

    marks = ""
    """The fence that opened the code block of the next line; empty outside of code."""
    _opened = False
    _column = 0
    _item: int | None = None
    """Text column of the list item that the next line can still belong to, or None."""

    def opens(self, before: str, marks: str) -> bool:
        """Open a code block at these marks, unless the text before them makes it uncertain; return if it opened."""
        column, item = len(before), self._item
        if before.strip(" ") or (column and not (item and item <= column <= item + 3)):
            return False
        if not column:
            item = self._item = None
        self.marks, self._column, self._opened = marks, item or 0, True
        return True

    def leaves(self, line: str) -> bool:
        """Whether a line, or its beginning, is outside the list item of the open code block, and so ends both."""
        if line.strip() and _column(line) < self._column:
            self.marks, self._item = "", None
            return True
        return False

    def undecided(self, line: str) -> bool:
        """Whether more of a line is needed to decide whether it is still code."""
        return self._column > 0 and not line.strip()

    def ended(self, line: str) -> None:
        """Update the state after a complete line."""
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
        """The line that closes the open code block; empty outside of code."""
        return " " * self._column + self.marks if self.marks else ""


def _column(line: str) -> int:
    """Return the indentation of a line in columns; tabs extend to the next multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
