"""How soon the page shows what a fast model writes, in an empty chat and below many earlier turns."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from app.errors import InputError
from benchmarks.load import LONG, WriterOfDrafts, running
from benchmarks.measuring import Tell
from tests.browser.test_browser import NAMES, as_root
from tests.support.chat import Chat, served

TOKENS, PACE = 2_000, 0.002
"""Tokens of the answer, and seconds between two of them."""

EARLIER = 40
"""Turns above the question, the second time."""

SETTLE_MS = 5_000
"""Before the question, as a conversation that is opened goes on drawing for some time."""

END = "It ends"

ROWS, ANSWERS = "[data-step-type=tool]", "[data-step-type=assistant_message]"


def bench_page(rounds: int, tell: Tell) -> dict[str, Any]:
    """Return a row of medians for an empty chat and for a long one; raises InputError."""
    model = WriterOfDrafts(tokens=TOKENS, pace=PACE)
    with TemporaryDirectory() as folder, served(model), running(Path(folder), model.url) as (url, _):
        tell(f"{EARLIER} earlier turns")
        conversation = asyncio.run(_converse(url, EARLIER))
        rows = _rows(url, conversation, rounds, model, tell)
    return {"tokens": TOKENS, "rows": rows}


def _rows(url: str, conversation: str, rounds: int, model: WriterOfDrafts, tell: Tell) -> list[dict[str, float]]:
    """Ask in a browser, in an empty chat and in a conversation."""
    rows = []
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise InputError(f"No browser was found ({', '.join(NAMES)}). Install one of them.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if as_root() else [])
        for turns, path in ((0, "/"), (EARLIER, f"/thread/{conversation}")):
            tell(f"below {turns} turns: {rounds} rounds of {TOKENS * PACE:.0f} s")
            times = [_ask(browser, url + path, turns, model) for _ in range(rounds)]
            rows.append({"turns": turns} | {name: round(median(each[name] for each in times), 3) for name in times[0]})
    return rows


async def _converse(url: str, turns: int) -> str:
    """Ask questions with short answers; return the id of the conversation."""
    async with Chat(url) as chat:
        for number in range(turns):
            await chat.ask(f"What is BM25 in part {number}?", "small", seconds=120)
        return chat.conversation


def _ask(browser: Browser, address: str, turns: int, model: WriterOfDrafts) -> dict[str, float]:
    """Ask for the long answer in a new tab; return the seconds until a row and the whole answer are on the screen."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    try:
        page.goto(address)
        page.wait_for_function(f"document.querySelectorAll('{ROWS}').length >= {turns}")
        page.locator("#mode-picker-trigger-mode").click()
        page.get_by_text("Small", exact=True).last.click()
        page.wait_for_timeout(SETTLE_MS)
        before = page.locator(ROWS).count()
        page.locator("#chat-input").fill(LONG)
        asked = time.monotonic()
        page.locator("#chat-submit").click()
        page.wait_for_function(f"document.querySelectorAll('{ROWS}').length > {before}", polling=20)
        row = time.monotonic() - asked
        ends = f"[...document.querySelectorAll('{ANSWERS}')].slice({before}).at(-1)?.textContent.includes('{END}')"
        page.wait_for_function(ends, polling=20, timeout=120_000)
        shown = time.monotonic()
        page.locator("#stop-button").wait_for(state="detached")
        ended = time.monotonic()
    finally:
        page.close()
    stream = model.ended - model.began
    return {
        "first_row_s": row,
        "stream_s": stream,
        "shown_s": shown - model.began,
        "shown_per_stream": (shown - model.began) / stream,
        "finished_s": ended - model.began,
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for row in result["rows"]:
        yield (
            f"{row['turns']:2} turns above: first row after {row['first_row_s']} s; {result['tokens']} tokens "
            f"written in {row['stream_s']} s, on the screen in {row['shown_s']} s: {row['shown_per_stream']} times that"
        )
