"""E-mail (.eml, .mbox): headers, text and the names of attachments; one page for each message."""

import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message

from app.documents.passages import Page, Place
from app.documents.readers import html
from app.documents.readers.text import NotText, clean, decode
from app.errors import UnreadableFile

_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_UNNAMED = "message"
_NEXT = re.compile(rb"From (?:(?<=\AFrom )|(?<=\n\nFrom )|(?<=\n\r\nFrom ))[^\r\n]*\d{4}[^\r\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(data: bytes) -> list[Page]:
    """Return one page, with the message."""
    message = message_from_bytes(data)
    if any(message.get(name) for name in _SHOWN[:2] + _SHOWN[-1:]):
        return [_page(message, 1)]
    raise UnreadableFile("it is no e-mail although its name says so; save it again")


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
    head = [f"{name}: {words}" for name in _SHOWN if (words := _header(message, name))]
    attached: list[str] = []
    body = "\n\n".join(_texts(message, attached))
    foot = f"Attachments: {', '.join(attached)}" if attached else ""
    text = "\n\n".join(part for part in ("\n".join(head), clean(body).strip(), foot) if part)
    return Page(clean(text), Place("heading", clean(_header(message, "Subject")) or _UNNAMED, number))


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
    kind, name = part.get_content_type(), part.get_filename()
    inner = [item for item in part.get_payload() if isinstance(item, Message)] if part.is_multipart() else []
    if kind.startswith("message/") and inner:
        attached.append(_decoded(name) if name else _header(inner[0], "Subject") or _UNNAMED)
    elif part.is_multipart():
        if kind == "multipart/alternative":
            plain = [item for item in inner if item.get_content_type() == "text/plain" and _text(item).strip()]
            inner = plain or inner[-1:]
        for item in inner:
            yield from _texts(item, attached)
    elif name and not (part.get_content_disposition() == "inline" and kind.startswith("image/")):
        attached.append(_decoded(name))
    elif kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment":
        with suppress(UnreadableFile):  # it shows only pictures
            text = _text(part)
            yield "\n\n".join(page.text for page in html.read(text.encode())) if kind == "text/html" else text


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    charset = part.get_content_charset("us-ascii")
    try:
        return clean(data.decode(charset) if charset != "us-ascii" else decode(data))
    except (LookupError, UnicodeDecodeError, NotText):
        return clean(data.decode("utf-8", "replace"))
