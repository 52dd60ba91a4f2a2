"""What the commands draw: tables that fit, plain text in a pipe, and the progress of work in steps."""

import io
import logging
import re
import sys

import pytest

from app.cli.terminal import Progress, show, tell
from app.errors import InputError
from app.evaluation.report_page import table
from tests.support.terminal import Screen, escalator

HEADS = ("", "answers", "first token ms", "total ms", "score", "$ per 1,000")
ROWS = [
    ["phi-4-mini without passages", "35", "1,234 (1,100–1,300)", "2,345 (2,222–2,468)", "0.50 (0.40–0.55)", "0.100"],
    ["auto [x] → b", "35", "-", "mean 2,345", "0.80 (0.75–0.85)", "-"],
]


def test_verbose_names_the_settings_that_count_and_says_where_a_command_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("API_KEY", "a-secret")

    escalator("history", "--export", "b", "--verbose")

    settings, failure = (record for record in caplog.records if record.name == "app.cli.terminal")
    assert "API_KEY (environment)" in settings.getMessage()
    assert failure.exc_info is not None
    assert isinstance(failure.exc_info[1], InputError)
    assert "a-secret" not in caplog.text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_fits_the_terminal_without_cutting_a_word(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, "stdout", width)

    show({}, False, [table(HEADS, ROWS)])

    lines = screen.text.splitlines()
    assert max(map(len, lines)) <= width
    words = {word for row in (HEADS, *ROWS) for cell in row for word in cell.split()}
    assert {word for line in lines for word in line.split()} - {line for line in lines if set(line) == {"─"}} == words
    assert (len(lines) == 2 + len(ROWS)) is (width == 120)  # which has room for all of it


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_pipe_gets_plain_lines_that_are_as_wide_as_their_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")

    show({}, False, ["Above", table(HEADS, ROWS), "", "Below"])

    pipe.flush()
    above, *lines, blank, below = pipe.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    assert (above, blank, below) == ("Above", "", "Below")
    found = [re.split(" {2,}", line.strip()) for line in lines]
    shown = [[cell.encode(encoding, "replace").decode(encoding) for cell in row] for row in ROWS]
    assert found == [list(HEADS[1:]), *shown]
    assert len({*map(len, lines)}) == 1


def test_a_terminal_without_the_signs_of_a_table_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch, "stdout", 80, "cp1252")

    show({}, False, [table(("", "score"), [["auto", "0.5"]])])

    assert screen.text.splitlines()[1] == "-----+-----"


def test_in_a_terminal_a_bar_shows_how_far_the_work_is_and_is_removed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen(monkeypatch, "stderr", 70)
    what = "phi-4-mini without passages: question 12, round 1 of 2"

    with Progress() as progress:
        progress.step(what, 1, 4, 7200)
        progress._bar.refresh()
        shown = screen.text.splitlines()[-1]
        tell("Loading gpt-oss-20b")

    assert "1/4 about 2 h left phi-4-mini" in shown
    assert len(shown) <= 70
    assert "Loading gpt-oss-20b" in screen.text.splitlines()
    assert screen.written.endswith("\x1b[1A\x1b[2K")  # the line is gone


def test_elsewhere_each_step_is_a_line_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.step("auto: round 1 of 2", 0, 4, None)
        progress.step("auto: round 2 of 2", 3, 4, 50)

    assert capsys.readouterr().err.splitlines() == [
        "auto: round 1 of 2 (0 of 4 done)",
        "auto: round 2 of 2 (3 of 4 done, about 50 s left)",
    ]
