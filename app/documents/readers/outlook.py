"""Mails that Outlook saved (.msg): a message as a file system of its properties, read by olefile and then as e-mail."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from io import BytesIO

from app.documents.passages import Page
from app.documents.readers import mail
from app.documents.readers.text import NotText, clean, decode
from app.errors import UnreadableFile

_SUBJECT, _SENDER, _SENDER_ADDRESS, _TO, _CC = "0037", "0C1A", "5D01", "0E04", "0E03"
_BODY, _HTML = "1000", "1013"
_FILE_NAME, _SHORT_NAME, _DISPLAY_NAME, _DATA = "3707", "3704", "3001", "3701"
"""Properties, by their numbers in [MS-OXPROPS]."""

_SUBMITTED, _DELIVERED = b"\x40\0\x39\0", b"\x40\0\x06\x0e"
"""Times are not streams but entries of a table: type, property, flags, and tenths of a microsecond from _EPOCH."""

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_ATTACHMENT = "__attach_version1.0_"


def read(data: bytes) -> list[Page]:
    """Return one page, with the message."""
    from olefile import OleFileIO

    if not data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableFile("it is no mail of Outlook although its name ends in .msg; save it as .eml")
    with OleFileIO(BytesIO(data)) as file:
        return mail.pages(message_of({tuple(path): file.openstream(path).read() for path in file.listdir()}))


Streams = dict[tuple[str, ...], bytes]
"""The properties and their parents, by path."""


def message_of(streams: Streams) -> EmailMessage:
    """Build the message from its streams, by their paths; a mail within it is a folder of streams."""
    message = EmailMessage()
    sender, address = _text(streams, _SENDER), _text(streams, _SENDER_ADDRESS)
    shown = {"Subject": _text(streams, _SUBJECT), "To": _text(streams, _TO), "Cc": _text(streams, _CC)}
    shown["From"] = f"{sender} <{address}>" if address and address != sender else sender
    for name, words in shown.items():
        if words.strip("\0 "):
            message.add_header(name, " ".join(words.replace("\0", "").split()))
    times = streams.get(("__properties_version1.0",), b"")
    at = max(times.find(_SUBMITTED), times.find(_DELIVERED))
    if at >= 0 and (tenths := int.from_bytes(times[at + 8 : at + 16], "little")):
        message["Date"] = format_datetime(_EPOCH + timedelta(microseconds=tenths // 10))
    if (body := _text(streams, _BODY)).strip():
        message.set_content(body)
    elif html := _text(streams, _HTML):
        message.set_content(html, subtype="html")
    for folder in sorted({path[0] for path in streams if path[0].startswith(_ATTACHMENT)}):
        inner = {path[1:]: content for path, content in streams.items() if path[0] == folder}
        name = _text(inner, _FILE_NAME) or _text(inner, _SHORT_NAME) or _text(inner, _DISPLAY_NAME)
        nested = {path[1:]: content for path, content in inner.items() if path[0].endswith(f"{_DATA}000D")}
        if nested:
            message.add_attachment(message_of(nested))
        else:
            content = inner.get((f"__substg1.0_{_DATA}0102",), b"")
            message.add_attachment(content, "application", "octet-stream", filename=name or "attachment")
    return message


def _text(streams: Streams, number: str) -> str:
    """Return a property that is text in UTF-16, in the code page of the sender, or HTML as bytes."""
    if (data := streams.get((f"__substg1.0_{number}001F",))) is not None:
        return clean(data.decode("utf-16-le", "replace"))
    data = streams.get((f"__substg1.0_{number}001E",)) or streams.get((f"__substg1.0_{number}0102",), b"")
    try:
        return clean(decode(data)) if data else ""
    except NotText:
        return ""
