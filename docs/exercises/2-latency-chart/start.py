"""Ask both models the same, and print what each took."""

import asyncio
import sys
from typing import Any

from app import compare
from app.errors import EscalatorError
from app.evaluation.summary import document

PROMPT = "Name three things that a laptop needs to run a language model."


def show(rows: list[dict[str, Any]]) -> None:
    """One line for each model: its first token and its whole answer, in milliseconds."""
    for row in rows:
        print(row["model"], row["first_token_ms"], row["total_ms"])


prompt = " ".join(sys.argv[1:]) or PROMPT
try:
    result = document(asyncio.run(compare(prompt, rounds=3)))  # three rounds, the medians of them
except EscalatorError as error:
    sys.exit(str(error))
for row in result["models"]:
    if "error" in row:
        print(row["error"])
show([row for row in result["models"] if "error" not in row])
