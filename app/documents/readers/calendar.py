"""Calendars (.ics), one page for each event, task or entry: what, when, where, who, and its description."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from app.documents.passages import Page
from app.documents.readers.sections import BEGINNING, Sections
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

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


def read(data: bytes) -> list[Page]:
    """Return the entries in the order of the file, under their summaries."""
    sections = Sections()
    for entry in _entries(clean(decode(data))):
        summary = " ".join(_text(value) for _, value in entry["SUMMARY"])
        sections.heading(1, " ".join(summary.split()) or "no title")
        for line in _lines(entry):
            sections.line(line)
    if not (pages := sections.pages()):
        raise UnreadableFile("it holds no events; export the calendar again")
    return pages


def title(pages: list[Page]) -> str | None:
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


def _lines(entry: Entry) -> Iterator[str]:
    for name, label in _LABELS.items():
        if name in _TIMES:
            times = [(parameters, each) for parameters, value in entry[name] for each in value.split(",")]
            values = [_time(*time, ends=name == "DTEND") for time in times]
        elif name == "DURATION":
            values = [" ".join(map(" ".join, _LASTING.findall(value))).lower() for _, value in entry[name]]
        elif name in ("ORGANIZER", "ATTENDEE"):
            values = [_person(parameters, value) for parameters, value in entry[name]]
        else:
            values = [_text(value) for _, value in entry[name]]
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


def _text(value: str) -> str:
    return _ESCAPE.sub(lambda mark: "\n" if mark[1] in "nN" else mark[1], value).strip()
