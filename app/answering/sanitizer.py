"""Markdown in which only words and known links can come out, whatever a model or a document wrote.

It is safe for the browser's renderer (CommonMark, GFM, directives): outside of code it contains no image, tag,
definition or directive. Links lead only to addresses that occur exactly in the evidence: an address made up by a model
could send the conversation to someone's server. Code stays unchanged where the renderer certainly takes it for code;
text that only resembles code is escaped.
"""

import html
import re
from collections.abc import Collection, Iterable

from app.translation import _

LONGEST = 2_000
"""At most this many characters are buffered before deciding how to show them, and are looked at for one token."""

_ADDRESS = re.compile(
    r"(?:https?://|www\.)[\w.~:/?#@!$&'()*+,=%-]+|(?<![\w.+-])[\w.+-]++@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE | re.ASCII
)
_TRAIL = ".,:!?'*_~)"
"""Punctuation that may follow an address."""

_BEHIND = ".,:;!?'\")]"
"""Punctuation after an address that no renderer includes in the link."""

_UNSEEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e0fff]")
"""Characters without width or that change the direction of text: they can hide or disguise an address."""

_PLAIN = re.compile(r"[^\\`~<&!\]:.@\n]*\n|[^\\`~<&!\]:.@\n]+")
"""Text without special characters, up to the end of its line."""

_SCHEME = r"(?:(?<=http)|(?<=https)):"

_TOKEN = re.compile(
    rf"""
    (?P<kept> \\ (?![:.@]) [!-/:-@\[-`{{-~] | ~{{1,2}} (?!~) | (?P<ticks>`+) (?!`) [^\n|]*? (?<!`) (?P=ticks) (?!`) )
  | (?P<dropped> \\ (?=[:.@]) )         # an address is recognised at these characters
  | (?P<fence> `{{3,}}+ (?=[^`\n]*\n) | ~{{3,}}+ (?=[^\n]*\n) )
  | (?P<image> !\[ (?P<alt>[^\[\]\n]*) \]\( [ \t]* <? (?P<source>[^\s()<>]*) [^()\n]* (?:\([^()\n]*\)[^()\n]*)* \) )
  | (?P<like_image> ! (?=\[) )
  | (?P<link> \]\( (?: (?P<target>https?://[^\s()<>\\&]+) \) )? )
  | (?P<bracketed> < (?P<inner>http[^\s<>\\&]*) > )
  | (?P<entity> & (?P<name> \#\d{{1,7}}; | \#x[\da-f]{{1,6}}; | [a-z][a-z\d]{{1,31}}; ) )
  | (?P<address> {_SCHEME} (?=\\?/\\?/) | (?<=www)\. | (?<=[\w.+-])@(?=[\w-]) )
  | (?P<escaped> [`~]+ | <(?=\S) | (?<=\]): | :(?=[a-z]) )  # code, tags, definitions and directives
  | (?P<other> . )
    """,
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
"""A token at a special character; what is before it was shown already."""

_UNDECIDED = re.compile(
    rf"""
    (?: [\\:\]] | ~{{1,2}} | ~{{3}}[^\n]* | <(?:h[^\s<>\\&]*)? | &\#?\w* | \]\((?:h[^\s()<>\\&]*)?
      | (?P<ticks>`+) (?: (?!`) (?! .*? (?<!`) (?P=ticks) (?!`|\Z) ) [^\n]* )?
      | ! (?: \[ [^\[\]\n]* (?: \] (?: \( (?: [^()\n] | \([^()\n]*\) )* (?: \([^()\n]* )? )? )? )?
      | {_SCHEME} [\\/] [^ \t\n]* | (?<=www)\.[^ \t\n]* | (?<=[\w.+-])@ (?: [\w-][^ \t\n]* )?
    ) \Z
    """,
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
"""The end of a text whose first token may be another one when the text goes on."""

_OPEN_LINK = re.compile(r"(?<!\\)\[[^\[\]`<>|\\]*\Z")
_BEGUN = re.compile(r"(?:https?|www)\Z|(?<![\\\w.+-])[\\\w.+-]++\Z", re.IGNORECASE | re.ASCII)


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
    flat = re.sub(r"&(?=#?\w+;)", "＆", flat)
    return re.sub(r":(?=//|[A-Za-z])", "∶", re.sub(r"(?i)(?<=www)\.|(?<=\S)@", r" \g<0>", flat))


_LOOKALIKES = str.maketrans(r"[]<>`*\|~", "()‹›'∗/¦∼") | dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F)])

Step = tuple[str, int]
"""The text to show and the number of input characters it replaces."""


class SafeMarkdown:
    """A filter that makes a stream of Markdown safe; `allowed_links` are addresses as `addresses` returns them."""

    def __init__(self, allowed_links: Collection[str] = ()) -> None:
        self._allowed_links = allowed_links
        self._held = ""
        self._line = ""
        """The part of the last line that was shown already."""
        self._fences = Fences()

    def feed(self, text: str) -> str:
        """Take a piece of the stream and return what may be shown now."""
        return self._pass(self._held + text, ended=False)

    def close(self) -> str:
        """Return the rest; an open code block is closed, or it would include the text below the answer."""
        rest = self._pass(self._held, ended=True)
        if self._line and self._fences.marks:  # the last line may end the code
            self._fences.end_line(self._line)
        if self._fences.marks:
            rest += ("\n" if self._line else "") + " " * self._fences.column + self._fences.marks
        return rest

    def _pass(self, text: str, *, ended: bool) -> str:
        back = "\r" if text.endswith("\r") and not ended else ""
        text = _UNSEEN.sub("", text.removesuffix(back)).replace("\r\n", "\n").replace("\r", "\n")
        shown: list[str] = []
        at = 0
        while at < len(text) and (step := self._step(text, at, ended)):
            shown.append(step[0])
            self._line += step[0]
            at += step[1]
            if self._line.endswith("\n"):
                self._fences.end_line(self._line[:-1])
                self._line = ""
        self._held = text[at:] + back
        return "".join(shown)

    def _step(self, text: str, at: int, ended: bool) -> Step | None:
        """Return the next step; None if more input is needed to decide."""
        if self._fences.marks:
            line = text[at : text.find("\n", at) + 1 or None]
            if not self._line:
                if self._fences.column and not line.strip() and not line.endswith("\n") and not ended:
                    return None  # the indentation may go on
                if self._fences.leaves(line):
                    return "", 0
            return line, len(line)
        if plain := _PLAIN.match(text, at):
            return plain[0], len(plain[0])
        before = self._line[-LONGEST:]
        view = before + text[at : at + LONGEST]
        if not ended and len(text) - at < LONGEST and _UNDECIDED.match(view, len(before)):
            return None
        token = _TOKEN.match(view, len(before))
        assert token is not None
        return self._shown(token, before, view)

    def _shown(self, token: re.Match[str], before: str, view: str) -> Step:
        """Decide how to show a token, given the text before it and up to what follows it."""
        text, at = token[0], token.start()
        match token.lastgroup:
            case "dropped":
                return "", 1
            case "fence" if self._fences.opens(before):
                line = view[at : view.index("\n", at) + 1]
                return line, len(line)
            case "image":
                return self._removed(token, before), len(text)
            case "like_image":
                return "! ", 1
            case "link":
                allowed = token["target"] in self._allowed_links and _OPEN_LINK.search(before)
                return (text, len(text)) if allowed else (r"]\(", 2)
            case "bracketed":
                return (text, len(text)) if token["inner"] in self._allowed_links else (r"\<", 1)
            case "entity":  # for a character that an address may contain
                return ("\\&" if re.fullmatch(r"[\w:/.@+-]", html.unescape(text), re.ASCII) else "&"), 1
            case "address":
                return self._address(before, re.split(r"[ \t\n]", view[at:], maxsplit=1)[0])
            case "fence" | "escaped":
                return re.sub("(.)", r"\\\1", text), len(text)
        return text, len(text)

    def _removed(self, image: re.Match[str], before: str) -> str:
        """Return the words of an image, and its address if it is allowed."""
        words = label(image["alt"])
        if image["source"].startswith("http") and image["source"] in self._allowed_links:
            words += f" <{image['source']}>"
        note = _("(image removed: {words})", words=words.strip()) if words else _("(image removed)")
        return f" {note}" if before.strip(" ") and before[-1] != " " else note

    def _address(self, before: str, follows: str) -> Step:
        """Keep the rest of an allowed address, else break it so it is no link: https://b.com -> https: //b.com."""
        begun = _BEGUN.search(before)
        run = (begun[0] if begun else "") + follows
        found = _ADDRESS.match(run) if len(follows) < LONGEST else None
        address = found[0] if found else ""
        while address and address not in self._allowed_links:
            address = address[:-1] if address[-1] in _TRAIL else ""
        if address and not set("(&") & set(address) and not run[len(address) :].strip(_BEHIND):
            return follows, len(follows)
        return (": " if follows[0] == ":" else f" {follows[0]}"), 1


_FENCE = re.compile(r"`{3,}(?=[^`]*\Z)|~{3,}")
_ITEM = re.compile(r"( *)(?:[-+*]|(\d{1,9})[.)]) {1,4}(?=\S)(?![-+*>#|~`]|\d{1,9}[.)])", re.ASCII)


class Fences:
    """The state of code blocks while a text without HTML blocks is read line by line.

    A code block opens at a fence at the beginning of a line, or inside a list item, if all lines since its bullet
    certainly belong to it. If uncertain, treat it as text and escape it.
    """

    marks = ""
    """The fence that opened the code block of the next line; empty outside of code."""
    column = 0
    """Text column of the list item that the code or the next line can still belong to; 0 without an item."""

    def opens(self, before: str) -> bool:
        """Whether a fence after this beginning of its line certainly opens a code block."""
        in_item = self.column and not before.strip(" ") and self.column <= len(before) <= self.column + 3
        return not before or bool(in_item)

    def leaves(self, line: str) -> bool:
        """Whether a line, or its beginning, is outside the list item of the open code block, and so ends both."""
        if line.strip() and _indentation(line) < self.column:
            self.marks, self.column = "", 0
            return True
        return False

    def end_line(self, line: str) -> None:
        """Update the state after a complete line."""
        bare, indentation = line.strip(" \t"), _indentation(line)
        if self.marks:
            if set(bare) == {self.marks[0]} and len(bare) >= len(self.marks) and indentation - self.column <= 3:
                self.marks = ""
        elif fence := _FENCE.match(bare):
            self.marks, self.column = fence[0], self.column if indentation else 0
        elif bare:
            item = _ITEM.match(line)
            fits = indentation <= 3 or self.column <= indentation <= self.column + 3
            if item and fits and (item[2] in (None, "1") or self.column):
                self.column = item.end()
            elif indentation < self.column:  # it may go on with the item's paragraph, or may not
                self.column = 0


def _indentation(line: str) -> int:
    """Return the indentation of a line in columns; tabs extend to the next multiple of four."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))
