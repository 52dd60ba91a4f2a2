"""The queue for a model: rotation between people, places and estimates, and that nobody waits for ever."""

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.queue import ModelQueue
from app.room import person


class Room:
    """People at one model: who asks, who is answered now, and in which order they were."""

    def __init__(self, capacity: int = 1) -> None:
        self.queue = ModelQueue(capacity)
        self.begun: list[str] = []
        self.most = 0
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.told: dict[str, list[str]] = {}

    async def ask(self, name: str, *, alone: bool = False) -> None:
        """Ask what is named by a person and a number, "anna 1"."""
        self.tasks[name] = asyncio.create_task(self._ask(name, alone))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        """End the answer."""
        self._ends[name].set()
        await self.tasks[name]

    async def leave(self, name: str) -> None:
        """Cancel a question, which may wait or be answered now."""
        self.tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self.tasks[name]

    async def finish(self) -> list[str]:
        """End one answer after the other until nobody waits; returns the order in which they began."""
        while running := [name for name in self.begun if not self.tasks[name].done()]:
            await self.end(running[0])
            await asyncio.sleep(0)
        return self.begun

    async def _ask(self, name: str, alone: bool) -> None:
        person.set(name.split()[0])
        self._ends[name] = asyncio.Event()
        told = self.told.setdefault(name, [])
        async with self.queue.hold("phi", told.append, alone=alone):
            self.begun.append(name)
            self.most = max(self.most, len(self.queue.holding))
            if alone:
                assert len(self.queue.holding) == 1
            await self._ends[name].wait()


async def test_who_asks_ten_questions_does_not_delay_the_first_one_of_another() -> None:
    room = Room()
    for number in range(10):
        await room.ask(f"anna {number}")
    for name in ("ben 0", "ben 1", "cleo 0"):
        await room.ask(name)

    assert (await room.finish())[:8] == [
        *("anna 0", "ben 0", "cleo 0"),
        *("anna 1", "ben 1"),
        *("anna 2", "anna 3", "anna 4"),
    ]


async def test_who_was_answered_before_does_not_come_before_who_has_waited_longer() -> None:
    room = Room()
    for name in ("anna 0", "ben 0", "cleo 0"):
        await room.ask(name)
    await room.end("anna 0")
    await room.ask("anna 1")
    await room.ask("dora 0")

    assert await room.finish() == ["anna 0", "ben 0", "cleo 0", "dora 0", "anna 1"]


async def test_a_question_that_is_cancelled_leaves_the_queue_at_once() -> None:
    room = Room()
    for name in ("anna 0", "ben 0", "cleo 0"):
        await room.ask(name)
    await room.leave("ben 0")

    assert [place.person for place in room.queue.outlook()] == ["cleo"]

    await room.leave("anna 0")
    await asyncio.sleep(0)
    assert room.begun == ["anna 0", "cleo 0"]
    await room.leave("cleo 0")
    assert not room.queue.holding
    assert not room.queue.outlook()


async def test_a_question_that_is_cancelled_in_the_moment_of_its_admission_passes_it_on() -> None:
    room = Room()
    for name in ("anna 0", "ben 0", "cleo 0"):
        await room.ask(name)
    room.tasks["anna 0"].cancel()
    room.tasks["ben 0"].cancel()  # before it has learnt that it is admitted

    await asyncio.sleep(0.01)
    assert room.begun == ["anna 0", "cleo 0"]
    await room.finish()


async def test_who_wants_a_model_alone_waits_for_all_answers_and_holds_up_later_ones() -> None:
    room = Room(capacity=2)
    for name in ("anna 0", "ben 0"):
        await room.ask(name)
    await room.ask("cleo 0", alone=True)
    await room.ask("dora 0")
    await room.end("anna 0")
    await asyncio.sleep(0)
    assert room.begun == ["anna 0", "ben 0"]

    await room.end("ben 0")
    await asyncio.sleep(0)
    assert room.begun[2:] == ["cleo 0"]
    assert (await room.finish())[2:] == ["cleo 0", "dora 0"]


async def test_whoever_waits_is_told_the_place_and_how_long_while_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("app.models.queue.UPDATE_SECONDS", 0.01)
    monkeypatch.setattr("app.models.queue.monotonic", lambda: now)
    room = Room()
    await room.ask("anna 0")
    await room.ask("ben 0")
    await room.ask("cleo 0")
    await asyncio.sleep(0.05)
    now += 20
    await room.end("anna 0")  # from now on an answer is known to take 20 s
    await asyncio.sleep(0.03)
    now += 6
    await asyncio.sleep(0.03)
    await room.end("ben 0")
    await room.finish()

    assert room.told["anna 0"] == []
    assert room.told["ben 0"] == ["phi is answering another question; you are next."]
    assert room.told["cleo 0"] == [
        "phi is answering other questions; you are number 2 in line.",
        "phi is answering another question; you are next, about 20 s left.",
        "phi is answering another question; you are next, about 15 s left.",
    ]


async def test_an_estimate_counts_the_answers_that_are_written_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("app.models.queue.monotonic", lambda: now)
    room = Room(capacity=2)
    await room.ask("anna 0")
    now += 30
    await room.end("anna 0")
    for name in ("anna 1", "ben 0", "cleo 0", "dora 0", "eva 0"):
        await room.ask(name)
    now += 10

    assert [*room.queue.outlook().values()] == [(1, 20.0), (2, 20.0), (3, 50.0)]
    await room.finish()


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["ask", "ask", "alone", "end", "leave"])))


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 3), st.randoms(use_true_random=False))
def test_whatever_people_do_all_are_answered_in_rotation_and_never_too_many_at_a_time(
    steps: list[tuple[str, str]], capacity: int, chance: Random
) -> None:
    async def live() -> None:
        room, asked = Room(capacity), Counter[str]()
        left, waited = set[str](), dict[str, int]()
        for who, what in steps:
            open_ones = [name for name, task in room.tasks.items() if name[0] == who and not task.done()]
            if what in ("ask", "alone"):
                name = f"{who} {asked[who]}"
                asked[who] += 1
                if not [it for it in open_ones if it not in room.begun]:  # the first one that waits
                    waited[name] = len(room.begun)
                await room.ask(name, alone=what == "alone")
            elif what == "end" and (running := [it for it in open_ones if it in room.begun]):
                await room.end(running[0])
            elif what == "leave" and open_ones:
                name = chance.choice(open_ones)
                left.add(name)
                await room.leave(name)
        begun = await room.finish()

        assert {*begun} | left == {*room.tasks}
        assert all(task.done() for task in room.tasks.values())
        assert room.most <= capacity
        assert not room.queue.holding
        assert not room.queue.outlook()
        for name, since in waited.items():
            if name in begun:
                between = Counter(it[0] for it in begun[since : begun.index(name)] if it[0] != name[0])
                assert max(between.values(), default=0) <= 2, (name, begun)

    asyncio.run(live())
