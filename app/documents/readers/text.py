"""Plain text in any encoding, as one page."""

import codecs

from app.documents.pages import Page, Place
from app.errors import UnreadableFile

_BOMS: dict[str, tuple[bytes, ...]] = {  # the longer ones first: that of UTF-32 begins as that of UTF-16
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "utf-8-sig": (codecs.BOM_UTF8,),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}

_ENCODINGS = "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 koi8_r cp932 euc_jp gb18030 big5 cp949".split()
"""What text without a mark is written in when it is not UTF-8; rarer guesses are mostly wrong ones."""

_CONTROL = bytes([*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])


class NotText(UnreadableFile):
    """The bytes are no text in any encoding."""

    def __init__(self) -> None:
        super().__init__("it is not text")


def read(data: bytes) -> list[Page]:
    """One page that begins at line 1."""
    text = clean(decode(data))
    if not text.strip():
        raise UnreadableFile("it is empty")
    return [Page(text, Place("line", "line 1", 1))]


def clean(text: str) -> str:
    """The text with `\\n` at the end of each line, also of a printed page, and without what no file can hold."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\0", "")
    return text.encode("utf-8", "ignore").decode()  # without halves of characters


def decode(data: bytes) -> str:
    """The characters that the bytes mean; raises NotText."""
    marked = next((encoding for encoding, bom in _BOMS.items() if data.startswith(bom)), "")
    if not marked and b"\0" in data:
        raise NotText
    try:
        return _checked(data.decode(marked or "utf-8"))
    except UnicodeDecodeError:
        if marked:
            raise NotText from None
        return _checked(_guessed(data))


def _guessed(data: bytes) -> str:
    damaged = data.decode("utf-8", "replace")
    bad = damaged.count("\ufffd")
    other = len(damaged) - bad - sum(map(str.isascii, damaged))
    if other > 4 * bad:  # other encodings hardly ever look like UTF-8 by accident: a few bytes of it were lost
        return damaged
    from charset_normalizer import from_bytes

    best = from_bytes(data, cp_isolation=_ENCODINGS).best()
    if best is None:
        raise NotText
    return str(best)


def _checked(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if b"\0" in data or len(data) - len(data.translate(None, _CONTROL)) > 1 + len(text) / 50:
        raise NotText
    return text
