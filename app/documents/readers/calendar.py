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

_LINE = re.compile(r'([\w-]+)((?:;[\w-]+=(?:"[^"]*"|[^":;])*)*):(.*)')
_NAME = re.compile(r'CN="?([^":;]+)', re.IGNORECASE)
_ZONE = re.compile(r'TZID="?([^":;]+)', re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_LASTING = re.compile(r"(\d+)(W|D|H|M|S)")
_TIMES = ("DTSTART", "DTEND", "DUE", "EXDATE")
_ENTRIES = ("VEVENT", "VTODO", "VJOURNAL")
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

Entry = dict[str, list[tuple[str, str]]]
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
    entry: Entry = defaultdict(list)
    within: list[str] = []
    for line in re.sub(r"\n[ \t]", "", text).split("\n"):
        if not (match := _LINE.match(line)):
            continue
        name, parameters, value = match[1].upper(), match[2], match[3]
        if name == "BEGIN":
            within.append(value.strip().upper())
            if within[-1] in _ENTRIES:
                entry = defaultdict(list)
        elif name == "END" and within:
            if within.pop() in _ENTRIES:
                yield entry
        elif within and within[-1] in _ENTRIES:
            entry[name].append((parameters, value))


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


def _time(parameters: str, value: str, *, ends: bool) -> str:
    """Return a time as it is read aloud; the end of whole days is the last of them, in the file the day after."""
    bare = value.strip().rstrip("Zz")
    with suppress(ValueError):
        if "T" not in bare:
            day = datetime.strptime(bare, "%Y%m%d") - timedelta(days=ends)  # noqa: DTZ007 - a day has no zone
            return f"{day:%A}, {day.day} {day:%B %Y}"
        time = datetime.strptime(bare[:13], "%Y%m%dT%H%M")  # noqa: DTZ007 - its zone is shown as it is written
        zone = _ZONE.search(parameters)
        written = f"{time:%A}, {time.day} {time:%B %Y, %H:%M}"
        return f"{written} UTC" if bare != value.strip() else f"{written} ({zone[1]})" if zone else written
    return value.strip()


def _person(parameters: str, value: str) -> str:
    """Return the name and the address of a person."""
    name, address = _NAME.search(parameters), value.strip().removeprefix("mailto:").removeprefix("MAILTO:")
    return f"{name[1]} <{address}>" if name and name[1] != address else address


def _text(value: str) -> str:
    return _ESCAPE.sub(lambda mark: "\n" if mark[1] in "nN" else mark[1], value).strip()
