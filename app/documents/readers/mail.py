"""E-mail (.eml, .mbox): headers, text, attached mails and texts, names of attachments; one page for each message."""

import binascii
import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import PurePosixPath

from app.documents.passages import Page, Place
from app.documents.readers import calendar, csv, html
from app.documents.readers.text import NotText, clean, decode
from app.errors import UnreadableFile
from app.translation import mark

_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_UNNAMED = mark("message")
_NEXT = re.compile(rb"From (?:(?<=\AFrom )|(?<=\n\nFrom )|(?<=\n\r\nFrom ))[^\r\n]*\d{4}[^\r\n]*\r?\n")
_READERS = {
    ".csv": csv.read,
    ".tsv": csv.read,
    ".html": html.read,
    ".htm": html.read,
    ".ics": calendar.read,
    "text/csv": csv.read,
    "text/html": html.read,
    "text/calendar": calendar.read,
}
"""How texts are read, by the ending of the name or by the type; others are shown as they are."""

_TEXTS = frozenset(".txt .text .md .markdown .log .rst .adoc .org .json .yaml .yml .xml .srt .vtt".split())
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(data: bytes) -> list[Page]:
    """Return one page, with the message."""
    message = message_from_bytes(data)
    if not any(message.get(name) for name in _SHOWN[:2] + _SHOWN[-1:]):
        raise UnreadableFile("it is no e-mail although its name says so; save it again")
    return pages(message)


def pages(message: Message) -> list[Page]:
    """Return one page, with a message that is parsed already."""
    return [_page(message, 1)]


def read_mailbox(data: bytes) -> list[Page]:
    """Return a page for each readable message of a mailbox."""
    pages: list[Page] = []
    for source in _NEXT.split(data):
        with suppress(Exception):  # one damaged message must not hide the others
            if source.strip():
                pages.append(_page(message_from_bytes(_QUOTED_FROM.sub(rb"\1", source)), len(pages) + 1))
    if not any(page.place.label != _UNNAMED for page in pages):
        raise UnreadableFile("it holds no messages; export the folder of the mail program again")
    return pages


def title(pages: list[Page]) -> str | None:
    """Return the subject of the first message."""
    label = pages[0].place.label
    return None if label == _UNNAMED else label


def _page(message: Message, number: int) -> Page:
    attached: list[str] = []
    parts = [part for text in _texts(message, attached) if (part := clean(text).strip("\n").rstrip())]
    foot = f"Attachments: {', '.join(attached)}" if attached else ""
    text = "\n\n".join(filter(None, (_head(message), *parts, foot)))
    return Page(clean(text), Place("heading", clean(_header(message, "Subject")) or _UNNAMED, number))


def _head(message: Message) -> str:
    return "\n".join(f"{name}: {words}" for name in _SHOWN if (words := _header(message, name)))


def _header(message: Message, name: str) -> str:
    """Return the words of a header, encoded by RFC 2047 or in plain UTF-8, which not every server may send."""
    return _decoded(next((value for key, value in message.raw_items() if key.lower() == name.lower()), ""))


def _decoded(raw: str) -> str:
    try:
        text = " ".join(decode(raw.encode("utf-8", "surrogateescape")).split())
        return " ".join(str(make_header(decode_header(text))).split()) if "=?" in text else text
    except (LookupError, ValueError, NotText):
        return " ".join(raw.encode("utf-8", "replace").decode().split())


def _texts(part: Message, attached: list[str]) -> Iterator[str]:
    """Yield the texts of a part, plain rather than HTML; append the names of attachments to `attached`."""
    kind, name = part.get_content_type(), _decoded(part.get_filename() or "")
    suffix, disposition = PurePosixPath(name).suffix.lower(), part.get_content_disposition()
    inner = [item for item in part.get_payload() if isinstance(item, Message)] if part.is_multipart() else []
    if suffix == ".eml" or (kind.startswith("message/") and inner):
        inner = [_unpacked(item) for item in inner] or [message_from_bytes(_data(part))]
        attached.append(name or _header(inner[0], "Subject") or _UNNAMED)
        for message in inner:
            yield _head(message)
            yield from _texts(message, attached)
    elif part.is_multipart():
        if kind == "multipart/alternative":
            dates = [item for item in inner if item.get_content_type() == "text/calendar"]
            inner = [item for item in inner if item not in dates]
            plain = [item for item in inner if item.get_content_type() == "text/plain" and _text(item).strip()]
            inner = (plain or inner[-1:]) + dates
        for item in inner:
            yield from _texts(item, attached)
    else:
        if name and not (disposition == "inline" and kind.startswith("image/")):
            attached.append(name)
        textual = suffix in _TEXTS | _READERS.keys() or (kind.startswith("text/") and suffix != ".rtf")
        if textual and b"\0" not in _data(part)[:1000]:
            with suppress(UnreadableFile):  # it shows only pictures
                read = _READERS.get(suffix) or _READERS.get(kind)
                yield "\n\n".join(page.text for page in read(_text(part).encode())) if read else _text(part)


def _unpacked(message: Message) -> Message:
    """Return an attached mail, which some programs encode in base64 although that is not allowed."""
    if not message.keys() and not message.is_multipart():
        with suppress(binascii.Error):
            return message_from_bytes(binascii.a2b_base64(str(message.get_payload()).encode(), strict_mode=False))
    return message


def _data(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _text(part: Message) -> str:
    data = _data(part)
    charset = part.get_content_charset("us-ascii")
    try:
        return clean(data.decode(charset) if charset != "us-ascii" else decode(data))
    except (LookupError, UnicodeDecodeError, NotText):
        return clean(data.decode("utf-8", "replace"))
