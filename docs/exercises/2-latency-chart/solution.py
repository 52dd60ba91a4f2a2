"""Ask both models the same, and draw what each took."""

import asyncio
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import compare
from app.errors import EscalatorError
from app.evaluation.summary import document

PROMPT = "Name three things that a laptop needs to run a language model."
WIDTH = 36
"""Characters of the longest bar."""


def chart(rows: list[dict[str, Any]]) -> Table:
    """A bar for each model: `.` until the first token, `#` while it writes. All bars have one scale."""
    longest = max(row["total_ms"] for row in rows)
    table = Table(title="Waiting (.) and writing (#)")
    table.add_column("model")
    table.add_column("time", no_wrap=True)
    table.add_column("first token", justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    for row in rows:
        first = row["first_token_ms"] or row["total_ms"]  # no text at all: it was all waiting
        waited = round(WIDTH * first / longest)
        wrote = round(WIDTH * row["total_ms"] / longest) - waited
        bar = Text("." * waited, style="yellow") + Text("#" * wrote, style="green")
        table.add_row(row["model"], bar, f"{first / 1000:.2f} s", f"{row['total_ms'] / 1000:.2f} s")
    return table


prompt = " ".join(sys.argv[1:]) or PROMPT
try:
    result = document(asyncio.run(compare(prompt, rounds=3)))  # three rounds, the medians of them
except EscalatorError as error:
    sys.exit(str(error))
for row in result["models"]:
    if "error" in row:
        print(row["error"])
if rows := [row for row in result["models"] if "error" not in row]:
    Console().print(chart(rows))
