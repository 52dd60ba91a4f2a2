"""A room full of people: each asks one question after the other of one chat, beside the least chat that there can be.

The model server writes at a steady pace and repeats the one word of a question that no other has, with numbers that
rise: so an answer that reached somebody else, or came out of order, is seen.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import linear_regression, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from app.files import load_json, write_json
from benchmarks.load import WORDS, running
from benchmarks.measuring import Tell, process
from tests.support.chat import Chat
from tests.support.servers import EVENTS, Asked, Server, chunk, events, reply

PACE = 50
"""Tokens a second that the model server writes, for each answer."""

TOKENS = 150
"""Of an answer, which then takes three seconds: about as long as people read what a small model says of passages."""

WORD = re.compile(r"\bzeta\d+x\d+\b")
"""What only one question has."""

CHRONICLE = "\n\n".join(
    f"# Chapter {number}\n\nChapter {number} of the chronicle says that the {one} of the {two} was kept in the harbour."
    for number, (one, two) in enumerate((one, two) for one in WORDS for two in WORDS if one != two)
)
"""What the chat answers from."""

QUESTION = "Which chapter of the chronicle says that the ferry of the crew was kept in the harbour? Say it of {word}."

SECONDS = 120.0
"""A turn that takes longer has failed."""

SAMPLE_SECONDS = 1.0
"""Between two looks at the memory."""


class Author(Server):
    """A model server that writes so many tokens a second, with the word of the question in its answer."""

    def __init__(self, pace: float) -> None:
        super().__init__()
        self._pace = pace

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """List the models, or write an answer, token by token."""
        if asked.method == "GET":
            writer.write(reply(200, {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}))
            return
        [*_, word] = WORD.findall(asked.data["messages"][-1]["content"]) or ["nothing"]
        writer.write(EVENTS)
        clock = asyncio.get_running_loop().time
        begun = clock()
        for number, token in enumerate(tokens(word), 1):
            await asyncio.sleep(begun + number / self._pace - clock())
            writer.write(events(chunk(token), done=False)[len(EVENTS) :])
        writer.write(events(chunk(finish="stop"))[len(EVENTS) :])


def tokens(word: str) -> list[str]:
    """Return the tokens of an answer: sentences about one word, each with its number."""
    text = ""
    for number in range(TOKENS // 10):
        subject, place = WORDS[number % len(WORDS)], WORDS[(7 * number + 3) % len(WORDS)]
        text += f"Chapter {number} of {word} tells of the {subject} and the {place}. "
    return [f"{each} " for each in text.split()]


def serve_author(pace: float, line: Connection) -> None:
    """Run the model server until something is sent; runs in a process of its own."""

    async def run() -> None:
        async with Author(pace) as author:
            line.send(author.url)
            await asyncio.to_thread(line.recv)

    with suppress(EOFError):
        asyncio.run(run())


@dataclass
class Tally:
    """What the people of a room have met so far."""

    first_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed: int = 0
    """Answers in which another question's word is, or not one's own."""
    disordered: int = 0
    """Answers whose numbers do not rise from 0 to the last."""


class Seat(Chat):
    """A tab that notes when the word of its question is first in the answer, and what was shown before it ended."""

    word = "?"
    first_at = 0.0
    streamed = ""

    async def _take(self, name: str, data: Any = None) -> None:
        await super()._take(name, data)
        if name in ("stream_start", "stream_token", "new_message", "update_message") and self.answers:
            text = str(self.answers[-1]["output"])
            if self.word in text:
                self.first_at = self.first_at or time.perf_counter()
                self.streamed = text if name != "update_message" else self.streamed


async def _sit(url: str, person: int, turns: int, until: float, tally: Tally) -> None:
    """Ask questions, one after the other, and see whether the answers are one's own; begin anew after `turns`."""
    number = 0
    while number < turns or time.monotonic() < until:
        try:
            async with Seat(url) as seat:
                for _ in range(turns):
                    await _ask(seat, f"zeta{person}x{number}", tally)
                    number += 1
        except (Exception, asyncio.CancelledError) as error:  # each kind of failure counts
            tally.errors.append(f"{type(error).__name__}: {error}"[:300])
            number += turns
            if isinstance(error, asyncio.CancelledError):
                raise


async def _ask(seat: Seat, word: str, tally: Tally) -> None:
    seat.word, seat.first_at, seat.streamed = word, 0.0, ""
    start = time.perf_counter()
    answer = await seat.ask(QUESTION.format(word=word), "small", SECONDS)
    tally.whole_ms.append(1_000 * (time.perf_counter() - start))
    text = str(answer["output"])
    if f"Chapter 0 of {word}" not in text:
        tally.errors.append(f"no answer: {text[-300:]}")
        return
    tally.first_ms.append(1_000 * (seat.first_at - start))
    note(word, seat.streamed, tally)


def note(word: str, streamed: str, tally: Tally) -> None:
    """Note whether what was streamed is the answer to the question with this word, in order."""
    tally.mixed += set(WORD.findall(streamed)) != {word}
    numbers = [int(each) for each in re.findall(r"Chapter (\d+) of zeta", streamed)]
    tally.disordered += numbers != [*range(TOKENS // 10)]


async def _fill(url: str, pid: int, users: int, turns: int, minutes: float) -> dict[str, Any]:
    """Let people ask, and return what they met, and how the memory of the chat grew."""
    tally, samples, chat = Tally(), list[tuple[float, float]](), psutil.Process(pid)

    async def watch() -> None:
        while True:
            samples.append((time.monotonic() - start, chat.memory_info().rss / 1e6))
            await asyncio.sleep(SAMPLE_SECONDS)

    start = time.monotonic()
    spent = sum(chat.cpu_times()[:2])
    watching = asyncio.create_task(watch())
    await asyncio.gather(*(_sit(url, person, turns, start + 60 * minutes, tally) for person in range(users)))
    seconds, spent = time.monotonic() - start, sum(chat.cpu_times()[:2]) - spent
    watching.cancel()
    return {
        "users": users,
        "turns": len(tally.whole_ms),
        "turns_per_s": round(len(tally.whole_ms) / seconds, 2),
        "first_ms": _spread(tally.first_ms),
        "turn_ms": _spread(tally.whole_ms),
        "cpu_ms_per_turn": round(1_000 * spent / max(1, len(tally.whole_ms)), 1),
        "errors": len(tally.errors),
        "mixed": tally.mixed,
        "disordered": tally.disordered,
        "memory_mb": {"begin": round(samples[0][1]), "most": round(max(mb for _, mb in samples))}
        | {"mb_per_minute": round(_slope(samples[len(samples) // 2 :]), 2)},
    } | ({"said": tally.errors[:3]} if tally.errors else {})


def _spread(times: list[float]) -> dict[str, float]:
    every = quantiles(times, n=100, method="inclusive") if len(times) > 1 else [*times, *[0.0] * 99][:1] * 99
    return {"p50": round(every[49], 1), "p95": round(every[94], 1)}


def _slope(samples: list[tuple[float, float]]) -> float:
    """Return the megabytes a minute that the straight line through these samples rises by."""
    return 60 * linear_regression(*zip(*samples, strict=True)).slope if len(samples) > 1 else 0.0


def bench_room(
    users: list[int], turns: int, minutes: float, tell: Tell, *, bare: bool = True, pace: float = PACE
) -> dict[str, Any]:
    """Return a row for each number of people, of our chat and of the bare one, and how they compare."""
    rows = []
    with TemporaryDirectory() as folder, process(serve_author, pace) as author:
        url = author.recv()
        for name in ("escalator", "bare")[: 1 + bare]:
            with _chat(Path(folder), name, url) as (address, pid, monitor):
                asyncio.run(_fill(address, pid, 1, 2, 0))  # what is loaded with the first questions
                for each in users:
                    tell(f"{name}: {each} people")
                    write_json(monitor, {"forget": True})
                    time.sleep(2)  # the monitor looks once a second
                    row = asyncio.run(_fill(address, pid, each, turns, minutes))
                    time.sleep(1.2)
                    rows.append({"chat": name} | row | {"loop": load_json(monitor) or {}})
    return {"pace": pace, "tokens": len(tokens("")), "rows": rows} | ({"ratio": _ratios(rows)} if bare else {})


def _ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return by number of people how many turns ours has for one of the bare chat."""
    speed = {(row["chat"], row["users"]): row["turns_per_s"] for row in rows}
    return {str(users): round(speed["escalator", users] / speed["bare", users], 3) for _, users in speed if _ == "bare"}


@contextmanager
def _chat(folder: Path, name: str, model: str) -> Iterator[tuple[str, int, Path]]:
    """Start one of the chats, monitored; yield its address, its process and the file of its monitor."""
    home, monitor, echo = folder / name, folder / name / "loop.json", Path(__file__).with_name("echo.py")
    (corpus := home / "corpus").mkdir(parents=True)
    (corpus / "chronicle.md").write_text(CHRONICLE, encoding="utf-8")

    def line(port: int) -> list[str]:
        program = [sys.executable, "-m", "benchmarks.monitored", str(monitor), "run"]
        return [*program, "app/main.py" if name == "escalator" else str(echo), "--headless", "--port", str(port)]

    settings = {"ECHO_OF": model, "FOUNDRY_LOCAL_ENDPOINT": model, "ESCALATOR_PARALLEL": "1000"}
    with running(home, model, corpus, line, **settings) as (address, pid):
        yield address, pid, monitor


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for row in result["rows"]:
        yield (
            f"{row['chat']:9} {row['users']:4} people: {row['turns_per_s']:6} turns/s, first token p50 "
            f"{row['first_ms']['p50']} p95 {row['first_ms']['p95']} ms, {row['cpu_ms_per_turn']} ms of processor a turn"
        )
        yield (
            f"          errors {row['errors']}, mixed {row['mixed']}, out of order {row['disordered']}; memory "
            f"{row['memory_mb']['begin']} to {row['memory_mb']['most']} MB, {row['memory_mb']['mb_per_minute']} MB a "
            f"minute; longest call of the loop {row['loop'].get('longest', {}).get('ms')} ms"
        )
    for users, ratio in result.get("ratio", {}).items():
        yield f"{users} people: {ratio} turns for one of the bare chat"
