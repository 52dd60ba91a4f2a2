"""Calendars: events in words that a person asks for, alarms left out, lines unfolded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place
from app.documents.readers.mail import calendar_title, read_calendar
from app.errors import UnreadableFile

REVIEW = """BEGIN:VCALENDAR
PRODID:-//made by hand//
BEGIN:VTIMEZONE
TZID:Europe/Oslo
BEGIN:STANDARD
DTSTART:19701025T030000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY;LANGUAGE=en:Annual review\\, part 2
DTSTART;TZID=Europe/Oslo:20240604T090000
DTEND:20240604T083000Z
LOCATION:Room 3\\; north wing
ORGANIZER;CN="Nord, Kari":mailto:kari@x.example
ATTENDEE;CN=Ola;ROLE=REQ-PARTICIPANT:mailto:ola@x.example
ATTENDEE:mailto:per@x.example
DESCRIPTION:Bring the gearbox
  report.\\nCoffee at ten: yes
BEGIN:VALARM
DESCRIPTION:Reminder
END:VALARM
END:VEVENT
BEGIN:VEVENT
SUMMARY:Closed
DTSTART;VALUE=DATE:20240701
DTEND;VALUE=DATE:20240703
RRULE:FREQ=YEARLY
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_events_are_read_with_what_when_where_and_who(end: str) -> None:
    assert read_calendar(REVIEW.replace("\n", end).encode()) == [
        Page(
            "Annual review, part 2\n\nStart: Tuesday, 4 June 2024, 09:00 (Europe/Oslo)\n"
            "End: Tuesday, 4 June 2024, 08:30 UTC\nPlace: Room 3; north wing\n"
            "Organizer: Nord, Kari <kari@x.example>\nAttendees: Ola <ola@x.example>, per@x.example\n\n"
            "Bring the gearbox report.\nCoffee at ten: yes",
            Place("heading", "Annual review, part 2", 1),
        ),
        Page(
            "Closed\n\nStart: Monday, 1 July 2024\nEnd: Tuesday, 2 July 2024\nRepeats: FREQ=YEARLY",
            Place("heading", "Closed", 2),
        ),
    ]


def test_how_long_an_event_lasts_and_when_it_does_not_take_place_are_read() -> None:
    (page,) = read_calendar(
        b"BEGIN:VEVENT\nDTSTART:20250310T170000\nDURATION:PT1H30M\nEXDATE:20250414T170000,20250512T170000\nEND:VEVENT"
    )
    assert page.text.split("\n")[3:] == [
        "Duration: 1 h 30 m",
        "Except: Monday, 14 April 2025, 17:00, Monday, 12 May 2025, 17:00",
    ]


def test_a_task_without_a_title_and_with_an_odd_date_is_read_as_it_is_written() -> None:
    (page,) = read_calendar(b"BEGIN:VTODO\nDUE:soon\nDESCRIPTION:Paint it\nEND:VTODO")
    assert page.text == "no title\n\nDue: soon\n\nPaint it"
    assert calendar_title([page]) == "no title"


@given(st.lists(st.sampled_from(REVIEW.split("\n")) | st.text(max_size=9), max_size=20))
def test_no_calendar_raises_anything_but_unreadable_file(lines: list[str]) -> None:
    try:
        assert read_calendar("\n".join(lines).encode())
    except UnreadableFile:
        return
