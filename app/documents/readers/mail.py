"""E-mail (.eml, .mbox, .msg), one page for each message, and calendars (.ics), one page for each entry.

A message has its headers, text, attached mails and texts, and the names of attachments. An entry of a calendar says
what, when, where and who, and has its description. Outlook saves a message (.msg) as a file system of its properties,
which olefile reads.
"""

import binascii
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import format_datetime
from io import BytesIO
from pathlib import PurePosixPath

from app.documents.passages import Page, Place
from app.documents.readers import html
from app.documents.readers.sections import BEGINNING, Sections
from app.documents.readers.tables import read_csv
from app.documents.readers.text import NotText, clean, decode
from app.errors import UnreadableFile
from app.translation import mark

_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_UNNAMED = mark("message")
_NEXT = re.compile(rb"From (?:(?<=\AFrom )|(?<=\n\nFrom )|(?<=\n\r\nFrom ))[^\r\n]*\d{4}[^\r\n]*\r?\n")
_TEXTS = frozenset(".txt .text .md .markdown .log .rst .adoc .org .json .yaml .yml .xml .srt .vtt".split())
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read(data: bytes) -> list[Page]:
    """Return one page, with the message."""
    message = message_from_bytes(data)
    if not any(message.get(name) for name in _SHOWN[:2] + _SHOWN[-1:]):
        raise UnreadableFile("it is no e-mail although its name says so; save it again")
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


_SUBJECT, _SENDER, _SENDER_ADDRESS, _TO, _CC = "0037", "0C1A", "5D01", "0E04", "0E03"
_BODY, _HTML = "1000", "1013"
_FILE_NAME, _SHORT_NAME, _DISPLAY_NAME, _DATA = "3707", "3704", "3001", "3701"
"""Properties, by their numbers in [MS-OXPROPS]."""

_SUBMITTED, _DELIVERED = b"\x40\0\x39\0", b"\x40\0\x06\x0e"
"""Times are not streams but entries of a table: type, property, flags, and tenths of a microsecond from _EPOCH."""

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_ATTACHMENT = "__attach_version1.0_"


def read_outlook(data: bytes) -> list[Page]:
    """Return one page, with the message."""
    from olefile import OleFileIO

    if not data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableFile("it is no mail of Outlook although its name ends in .msg; save it as .eml")
    with OleFileIO(BytesIO(data)) as file:
        return [_page(message_of({tuple(path): file.openstream(path).read() for path in file.listdir()}), 1)]


Streams = dict[tuple[str, ...], bytes]
"""The properties and their parents, by path."""


def message_of(streams: Streams) -> EmailMessage:
    """Build the message from its streams, by their paths; a mail within it is a folder of streams."""
    message = EmailMessage()
    sender, address = _property(streams, _SENDER), _property(streams, _SENDER_ADDRESS)
    shown = {"Subject": _property(streams, _SUBJECT), "To": _property(streams, _TO), "Cc": _property(streams, _CC)}
    shown["From"] = f"{sender} <{address}>" if address and address != sender else sender
    for name, words in shown.items():
        if words.strip("\0 "):
            message.add_header(name, " ".join(words.replace("\0", "").split()))
    times = streams.get(("__properties_version1.0",), b"")
    at = max(times.find(_SUBMITTED), times.find(_DELIVERED))
    if at >= 0 and (tenths := int.from_bytes(times[at + 8 : at + 16], "little")):
        message["Date"] = format_datetime(_EPOCH + timedelta(microseconds=tenths // 10))
    if (body := _property(streams, _BODY)).strip():
        message.set_content(body)
    elif html := _property(streams, _HTML):
        message.set_content(html, subtype="html")
    for folder in sorted({path[0] for path in streams if path[0].startswith(_ATTACHMENT)}):
        inner = {path[1:]: content for path, content in streams.items() if path[0] == folder}
        name = _property(inner, _FILE_NAME) or _property(inner, _SHORT_NAME) or _property(inner, _DISPLAY_NAME)
        nested = {path[1:]: content for path, content in inner.items() if path[0].endswith(f"{_DATA}000D")}
        if nested:
            message.add_attachment(message_of(nested))
        else:
            content = inner.get((f"__substg1.0_{_DATA}0102",), b"")
            message.add_attachment(content, "application", "octet-stream", filename=name or "attachment")
    return message


def _property(streams: Streams, number: str) -> str:
    """Return a property that is text in UTF-16, in the code page of the sender, or HTML as bytes."""
    if (data := streams.get((f"__substg1.0_{number}001F",))) is not None:
        return clean(data.decode("utf-16-le", "replace"))
    data = streams.get((f"__substg1.0_{number}001E",)) or streams.get((f"__substg1.0_{number}0102",), b"")
    try:
        return clean(decode(data)) if data else ""
    except NotText:
        return ""


_ENTRY = re.compile(r"^BEGIN:(VEVENT|VTODO|VJOURNAL)\s*$(.*?)^END:\1\s*$", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_WITHIN = re.compile(r"^BEGIN:(\w+)\s*$.*?^END:\1\s*$", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_LINE = re.compile(r'^([\w-]+)((?:;[\w-]+=(?:"[^"]*"|[^":;\n])*)*):(.*)', re.MULTILINE)
_PARAMETER = re.compile(r';([\w-]+)="?([^":;]*)')
_FOLD = re.compile(r"\n[ \t]")
_ESCAPE = re.compile(r"\\(.)")
_LASTING = re.compile(r"(?<!\d)(\d++)(W|D|H|M|S)")
_TIMES = ("DTSTART", "DTEND", "DUE", "EXDATE")
_LABELS = {
    "DTSTART": "Start",
    "DTEND": "End",
    "DURATION": "Duration",
    "DUE": "Due",
    "RRULE": "Repeats",
    "EXDATE": "Except",
    "LOCATION": "Place",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendees",
    "STATUS": "Status",
    "CATEGORIES": "Categories",
    "URL": "Link",
    "DESCRIPTION": "",
    "COMMENT": "",
}

Entry = dict[str, list[tuple[dict[str, str], str]]]
"""The parameters and the value of each property, which may occur several times."""


def read_calendar(data: bytes) -> list[Page]:
    """Return the entries in the order of the file, under their summaries."""
    sections = Sections()
    for entry in _entries(clean(decode(data))):
        summary = " ".join(_unescaped(value) for _, value in entry["SUMMARY"])
        sections.heading(1, " ".join(summary.split()) or "no title")
        for line in _shown_lines(entry):
            sections.line(line)
    if not (pages := sections.pages()):
        raise UnreadableFile("it holds no events; export the calendar again")
    return pages


def calendar_title(pages: list[Page]) -> str | None:
    """Return the summary of the only entry."""
    label = pages[0].place.label
    return label if len(pages) == 1 and label != BEGINNING else None


def _entries(text: str) -> Iterator[Entry]:
    """Yield the entries; alarms within them are left out."""
    for _, body in _ENTRY.findall(_FOLD.sub("", text)):
        entry: Entry = defaultdict(list)
        for name, parameters, value in _LINE.findall(_WITHIN.sub("", body)):
            stated = {key.upper(): word for key, word in _PARAMETER.findall(parameters)}
            entry[name.upper()].append((stated, value.strip()))
        yield entry


def _shown_lines(entry: Entry) -> Iterator[str]:
    for name, label in _LABELS.items():
        if name in _TIMES:
            times = [(parameters, each) for parameters, value in entry[name] for each in value.split(",")]
            values = [_time(*time, ends=name == "DTEND") for time in times]
        elif name == "DURATION":
            values = [" ".join(map(" ".join, _LASTING.findall(value))).lower() for _, value in entry[name]]
        elif name in ("ORGANIZER", "ATTENDEE"):
            values = [_person(parameters, value) for parameters, value in entry[name]]
        else:
            values = [_unescaped(value) for _, value in entry[name]]
        if words := (", " if label else "\n\n").join(filter(None, values)):
            yield f"{label}: {words}" if label else f"\n{words}"


def _time(parameters: dict[str, str], value: str, *, ends: bool) -> str:
    """Return a time as it is read aloud; the end of whole days is the last of them, in the file the day after."""
    bare = value.rstrip("Zz")
    with suppress(ValueError):
        if "T" not in bare:
            day = datetime.strptime(bare, "%Y%m%d") - timedelta(days=ends)  # noqa: DTZ007 - a day has no zone
            return f"{day:%A}, {day.day} {day:%B %Y}"
        time = datetime.strptime(bare[:13], "%Y%m%dT%H%M")  # noqa: DTZ007 - its zone is shown as it is written
        zone = " UTC" if bare != value else f" ({parameters['TZID']})" if "TZID" in parameters else ""
        return f"{time:%A}, {time.day} {time:%B %Y, %H:%M}{zone}"
    return value


def _person(parameters: dict[str, str], value: str) -> str:
    """Return the name and the address of a person."""
    name, address = parameters.get("CN"), value.removeprefix("mailto:").removeprefix("MAILTO:")
    return f"{name} <{address}>" if name and name != address else address


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(lambda mark: "\n" if mark[1] in "nN" else mark[1], value).strip()


_READERS = {
    **dict.fromkeys((".csv", ".tsv", "text/csv"), read_csv),
    **dict.fromkeys((".html", ".htm", "text/html"), html.read),
    **dict.fromkeys((".ics", "text/calendar"), read_calendar),
}
"""How texts are read, by the ending of the name or by the type; others are shown as they are."""
