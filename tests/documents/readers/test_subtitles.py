"""Subtitles: what is said without numbers and marks, and when."""

import pytest

from app.documents.passages import MAX_WORDS, Place
from app.documents.readers.text import read_subtitles
from app.errors import UnreadableFile

FIRST, SECOND, THIRD = "00:00:01,000 --> 00:00:04,0", "00:00:05,0 --> 00:00:06,0", "01:05.000 --> 01:06.000 line:0"
VOICE = "<v.loud Roger Bing>Tea &amp; <00:00:02.000><c>cake</c> < 3\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"1\n{FIRST}\nThe gate <i>opens</i>\nat nine.\n\n2\n{SECOND}\nYes.\n", "The gate opens\nat nine.\nYes."),
        (f"1\n{FIRST}\nThe gate\n2\n{SECOND}\nin\n1999\n", "The gate\nin"),
        (f"1\n{FIRST}\n{{\\an8}}<font color='red'>In</font>\n1999\n\n", "In\n1999"),
        (
            f"WEBVTT - A\nKind: x\n\nSTYLE\n::cue {{}}\n\nNOTE no\n\nintro\n{THIRD}\n{VOICE}",
            "Roger Bing: Tea & cake < 3",
        ),
        (f"WEBVTT\n\n{FIRST}\nso we\n\n{SECOND}\nso we\nbegan\n\n{THIRD}\n\n", "so we\nbegan"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_said_is_read_without_numbers_times_and_marks(source: str, expected: str, end: str) -> None:
    (page,) = read_subtitles(source.replace("\n", end).encode())
    assert page.text == expected


def test_pages_hold_some_sentences_and_their_places_are_times() -> None:
    times = [f"{n // 60:02}:{n % 60:02}:00" for n in range(1, 100)]
    cues = "".join(f"{n}\n{t},000 --> {t},900\n{f'word{n} ' * 16}\nend {n}.\n\n" for n, t in enumerate(times, 1))
    pages = read_subtitles(cues.encode())
    assert pages[0].place == Place("heading", "00:01:00", 1)
    assert [page.place.label for page in pages][1:3] == ["00:10:00", "00:19:00"]
    assert all(page.text.endswith(".") and len(page.text.split()) <= MAX_WORDS for page in pages)
    assert all(page.text.split("\n")[1].startswith("end") for page in pages)


@pytest.mark.parametrize("data", [b"WEBVTT\n\n", b"text", b"1\n00:00:01,000 --> 00:00:04,000\n\n"])
def test_a_file_without_subtitles_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="no subtitles"):
        read_subtitles(data)
