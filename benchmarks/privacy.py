"""Whether a private passage ever reaches a model on another machine: random turns over a sink that records every byte.

The sink is on 127.0.0.2, which counts as another machine. The small model here quotes its passages and repeats what was
said before, so that what is private is in drafts, histories and what is continued, too.
"""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.answering.events import Finished
from app.answering.pipeline import Assistant
from app.answering.turn import PLAIN, VARIED, Answer, Mode, Turn
from app.documents.document import Document, dropped
from app.errors import EscalatorError
from app.gateway import CompletionRequest
from app.mcp import Tools
from app.retrieval.search import Exchange
from app.settings import Settings, is_loopback, load
from app.ui.turn_view import _record
from app.ui.turns import grounds, recalled
from benchmarks.measuring import Tell
from tests.support.servers import EVENTS, Asked, Server, chunk, events, reply

TURNS = 1_000
SESSION = 40
"""Turns until everything is opened anew, with the models in other places."""

SUBJECTS = (
    "ferry harbour museum bakery library orchard lighthouse sawmill theatre quarry brewery stable chapel windmill "
    "tannery smithy granary aqueduct observatory vineyard shipyard hospital cinema"
).split()
FACTS = ("opening hours", "annual budget", "head count", "rent", "insurance", "repair plan", "supplier", "inspection")

PATTERNS = "hr/*, payroll.md"

PLACES: dict[str, tuple[str, str]] = {
    "folder": ("Private/{name}.md", ""),
    "deep": ("notes/private/{name}.txt", ""),
    "front": ("plans/{name}.md", "---\ntitle: {name}\nprivate: true\n---\n"),
    "pattern": ("hr/{name}.md", ""),
}
"""Where a private document is and how it begins, by the rule that makes it private."""

SMALL_TALK = ("Hello!", "What documents do you have?", "What can you do?", "Thanks", "Which languages do you speak?")
FOLLOW_UPS = (
    "And why?",
    "Shorter, please.",
    "What about its {fact}?",
    "Explain that in more detail.",
    "As a list, please",
)
SUMMARIES = ("Summarise {file}", "Summarise my documents", "Summarise our conversation so far.")
FOREIGN = ("Wie hoch ist die Miete für {subject}?", "Hvad er budgettet for {subject}?")


class Place(Server):
    """A model server that keeps every byte it gets; `says` writes an answer to a request."""

    def __init__(self, host: str, chance: random.Random, *models: str) -> None:
        super().__init__()
        self.host, self._chance, self._models = host, chance, models
        self.received = bytearray()
        self.completions = 0

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """List the models, or write an answer that quotes what it was asked."""
        self.received += asked.head + asked.body
        if asked.method == "GET":
            known = {"object": "list", "data": [{"id": name} for name in self._models]}
            writer.write(reply(200, known) if asked.path == "/v1/models" else reply(404, {}))
            return
        self.completions += 1
        if self._chance.random() < 0.04:
            writer.write(reply(503, {"error": {"message": "busy"}}))
            return
        text, finish = self._answer([it["content"] for it in asked.data["messages"]])
        writer.write(EVENTS + events(chunk(text), chunk(finish=finish))[len(EVENTS) :])

    def _answer(self, texts: Sequence[str]) -> tuple[str, str]:
        lines = [line for text in texts for line in text.splitlines() if len(line) > 20 and "<" not in line]
        quoted = " ".join(self._chance.sample(lines[1:], min(4, len(lines) - 1)) or ["Nothing was said"])
        match self._chance.randrange(6):
            case 0:
                return "I do not know, the passages do not say.", "stop"
            case 1:
                return quoted[: len(quoted) // 2], "length"
            case _:
                return f"{quoted} [1].", "stop"


@dataclass
class Corpus:
    """A folder of documents of which some are private; `canaries` are words of private ones, by the document."""

    folder: Path
    chance: random.Random
    canaries: dict[str, str] = field(default_factory=dict)
    public: set[str] = field(default_factory=set)
    """Words that public documents alone have."""
    words: dict[str, str] = field(default_factory=dict)
    """The word of each public document, by its subject; not of those that were moved to the private ones."""

    def fill(self) -> None:
        """Write the documents."""
        for number, subject in enumerate(SUBJECTS):
            self.write(f"places/{subject}.md", subject, self.new_word("pub"), private=False)
            if number % 3 == 0:  # of these subjects, evidence is both private and public
                rule = list(PLACES)[number // 3 % len(PLACES)]
                file, top = (it.format(name=f"{subject}-inner") for it in PLACES[rule])
                self.write(file, subject, self.new_word("can"), private=True, top=top)

    def write(self, file: str, subject: str, word: str, *, private: bool, top: str = "") -> None:
        """Write a document about a subject, in which every sentence has a word of its own."""
        lines = [
            f"The {fact} of the {subject} is {word}{number} since {2000 + self.chance.randrange(26)}, says {word}."
            for number, fact in enumerate(FACTS)
        ]
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{top}# The {subject}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
        if private:
            self.canaries[file] = word
        else:
            self.public.add(word)
            self.words[subject] = word

    def new_word(self, kind: str) -> str:
        """Make a word that nothing else has."""
        return kind + "".join(self.chance.choice("bdfgklmnprstvz") + self.chance.choice("aeiou") for _ in range(5))


@dataclass
class Conversation:
    """A conversation as the chat has it: the records of its answers as they are kept, and the last answer itself."""

    records: list[dict[str, Any]] = field(default_factory=list)
    last: Answer | None = None
    dropped: tuple[Document, ...] = ()

    @property
    def history(self) -> tuple[Exchange, ...]:
        """The exchanges so far, made as `app/ui/turns.py` makes them."""
        return tuple(Exchange(each["question"], each["text"], grounds(each)) for each in self.records if each["text"])


class Driver:
    """Asks random turns of one assistant."""

    def __init__(self, assistant: Assistant, corpus: Corpus, talk: Conversation, chance: random.Random) -> None:
        self._assistant, self._corpus, self._talk, self._chance = assistant, corpus, talk, chance

    async def step(self) -> str:
        """Do one thing that a person, or another program, can do; return its name."""
        names = [name for name in dir(self) if name.startswith("do_")]
        name = self._chance.choice([*names, "do_ask", "do_ask", "do_reopen", "do_reopen", "do_follow_up", "do_large"])
        await getattr(self, name)()
        return name.removeprefix("do_")

    async def do_ask(self) -> None:
        """Ask something new."""
        mode: Mode = self._chance.choice(["auto", "auto", "auto", "small", "large", "compare", "refine"])
        await self._ask(self._question(), mode=mode)

    async def do_follow_up(self) -> None:
        """Ask about the last answer."""
        await self._ask(self._chance.choice(FOLLOW_UPS).format(fact=self._chance.choice(FACTS)))

    async def do_edit(self) -> None:
        """Ask in place of what was asked before."""
        del self._talk.records[self._chance.randrange(len(self._talk.records) + 1) :]
        await self._ask(self._question(), sampling=VARIED)

    async def do_large(self) -> None:
        """Have the large model answer the last question, or compare both, or decide anew."""
        mode: Mode = self._chance.choice(["large", "large", "compare", "refine", "auto"])
        await self._again(mode=mode)

    async def do_continue(self) -> None:
        """Have an answer written on."""
        await self._again(continues=True)

    async def do_continue_reopened(self) -> None:
        """Have an answer from the history written on."""
        if self._talk.records and self._talk.records[-1]["role"] in ("small", "large"):
            record = self._talk.records.pop()
            turn = Turn(record["question"], self._talk.history, dropped=self._talk.dropped)
            known = recalled(turn, record)
            await self._answer(replace(turn, earlier=known, continues=True))

    async def do_drop(self) -> None:
        """Drop a file that says that it is private, or whose name does, or a public one, and ask about it."""
        private, subject = self._chance.random() < 0.6, self._chance.choice(SUBJECTS)
        by_name = private and self._chance.random() < 0.5
        name = dropped("payroll.md" if by_name else "notes.md", 1 + len(self._talk.dropped))
        word = self._corpus.new_word("can" if private else "pub")
        top = "---\nprivate: true\n---\n" if private and not by_name else ""
        with TemporaryDirectory() as folder:
            aside = Corpus(Path(folder), self._chance)
            aside.write("file.md", subject, word, private=private, top=top)
            read = await asyncio.to_thread(self._assistant.retriever.read, [(name, Path(folder) / "file.md")])
        documents = tuple(it for it in read if isinstance(it, Document))
        self._corpus.canaries |= {f"{name} {word}": word for _ in documents if private}
        self._talk.dropped += documents
        await self._ask(f"What is the {self._chance.choice(FACTS)} of the {subject}?", brought=documents)

    async def do_declare(self) -> None:
        """Make a public document private, from now on."""
        corpus, subject = self._corpus, self._chance.choice([*self._corpus.words])
        file, word = f"places/{subject}.md", corpus.new_word("can")
        if self._chance.random() < 0.7:
            corpus.write(file, subject, word, private=True, top="---\nprivate: true\n---\n")
        elif len(corpus.words) > len(SUBJECTS) // 2 and file not in corpus.canaries:
            corpus.canaries[f"moved {file}"] = corpus.words.pop(subject)
            (corpus.folder / "private").mkdir(exist_ok=True)
            (corpus.folder / file).rename(corpus.folder / "private" / f"{subject}.md")

    async def do_publish(self) -> None:
        """Write a document anew that is public, or is so again."""
        subject = self._chance.choice([*self._corpus.words])
        self._corpus.canaries.pop(f"places/{subject}.md", None)
        self._corpus.write(f"places/{subject}.md", subject, self._corpus.new_word("pub"), private=False)

    async def do_small_talk(self) -> None:
        """Say what needs no model."""
        await self._ask(self._chance.choice(SMALL_TALK))

    async def do_sum_up(self) -> None:
        """Ask for a summary: of a document, of all, of the conversation."""
        files = [it.relative_to(self._corpus.folder).as_posix() for it in self._corpus.folder.rglob("*.md")]
        await self._ask(self._chance.choice(SUMMARIES).format(file=self._chance.choice(files)))

    async def do_unaided(self) -> None:
        """Ask the models without the documents."""
        await self._ask(self._question(), unaided=True)

    async def do_foreign(self) -> None:
        """Ask in a language that no document has, for which the search words are translated."""
        await self._ask(self._chance.choice(FOREIGN).format(subject=self._chance.choice(SUBJECTS)))

    async def do_limited(self) -> None:
        """Ask about one folder."""
        folder = self._chance.choice(["places", "hr", "Private", "plans"])
        await self._ask(f"{self._question()} in: {folder}/", scope=None)

    async def do_reopen(self) -> None:
        """Open the conversation from the history, or begin a new one."""
        self._talk.last = None
        if self._chance.random() < 0.7:
            self._talk.records, self._talk.dropped = [], ()

    async def do_gateway(self) -> None:
        """Ask as another program does, which has the conversation, or wants a title for it."""
        said = [it for each in self._talk.history for it in (("user", each.question), ("assistant", each.answer))]
        messages = [{"role": role, "content": text} for role, text in said]
        question = self._question()
        if self._chance.random() < 0.3:
            whole = "\n".join(text for _, text in said)
            messages, question = [], f"### Task:\nGenerate a title for this conversation.\n{whole}"
        body: dict[str, Any] = {"model": "m", "messages": [*messages, {"role": "user", "content": question}]}
        if self._chance.random() < 0.2 and said:
            body["reference"] = said[-1][1]
        mode: Mode = self._chance.choice(["auto", "large"])
        turn = await self._assistant.retriever.run(lambda: CompletionRequest(**body).turn({"m": Turn("", mode=mode)}))
        await self._finished(turn)

    async def do_mcp(self) -> None:
        """Search and ask as an MCP client does, whose model may be anywhere."""
        tools, question = Tools(self._assistant, lambda _: None), self._question(named=0)  # it is repeated
        try:
            asked = await tools.ask(question, mode=self._chance.choice(["auto", "large"]))
        except EscalatorError as error:
            asked = {"error": str(error)}
        heard = json.dumps([asked, await tools.search(question), await tools.corpus()], ensure_ascii=False)
        if leaked := [file for file, word in self._corpus.canaries.items() if word in heard]:
            at = heard.index(self._corpus.canaries[leaked[0]])
            raise AssertionError(f"a client of MCP was told of {leaked}: {heard[max(0, at - 300) : at + 100]}")

    def _question(self, named: float = 0.1) -> str:
        fact, subject = self._chance.choice(FACTS), self._chance.choice(SUBJECTS)
        words = [*self._corpus.canaries.values()] if self._chance.random() < named else []
        return f"What does {self._chance.choice(words)} say?" if words else f"What is the {fact} of the {subject}?"

    async def _ask(self, question: str, **how: Any) -> None:
        how = {"mode": "auto", "scope": (), "dropped": self._talk.dropped} | how
        await self._answer(Turn(question, self._talk.history, **how))

    async def _again(self, **how: Any) -> None:
        if self._talk.last is None or self._talk.last.attempt is None:
            return
        self._talk.records.pop()
        turn = replace(self._talk.last.turn, history=self._talk.history, earlier=self._talk.last, sampling=PLAIN)
        await self._answer(replace(turn, dropped=self._talk.dropped, **how))

    async def _answer(self, turn: Turn) -> None:
        self._talk.last = answer = await self._finished(turn)
        if answer.attempt is None:
            self._talk.last = None
        else:  # as it is written into the history and read from there
            self._talk.records.append(json.loads(json.dumps(_record(answer, None))))

    async def _finished(self, turn: Turn) -> Answer:
        async with aclosing(self._assistant.answer(turn)) as stream:
            async for event in stream:
                if isinstance(event, Finished):
                    return event.answer
        raise AssertionError("a turn always finishes")


async def bench_privacy(turns: int, seed: int, tell: Tell) -> dict[str, Any]:
    """Ask random turns; return what the sink received, and every private document that it learned of."""
    chance, done = random.Random(seed), 0  # noqa: S311
    with TemporaryDirectory() as home:
        corpus, talk = Corpus(Path(home) / "corpus", chance), Conversation()
        await asyncio.to_thread(corpus.fill)
        received, asked, here, leaked = bytearray(), 0, 0, dict[str, str]()
        while done < turns:
            over = min(SESSION, turns - done)
            tell(f"turn {done} of {turns}")
            async with _session(Path(home), corpus.folder, chance) as (settings, far, near):
                assistant = Assistant(settings, patience=None, learn=False)
                try:
                    driver = Driver(assistant, corpus, talk, chance)
                    for _ in range(over):
                        known = {file: word for file, word in corpus.canaries.items() if file not in leaked}
                        before = len(far.received)
                        name = await driver.step()
                        new = bytes(far.received[before:]).decode(errors="replace")
                        leaked |= {file: name for file, word in known.items() if word in new}
                finally:
                    await assistant.close()
                received += far.received
                asked, here, done = asked + far.completions, here + near.completions, done + over
            talk.last = None
        unset = await _with_defaults(Path(home), corpus, chance, min(turns, 20))
    text = received.decode(errors="replace")
    return {
        "turns": turns,
        "seed": seed,
        "asked_elsewhere": asked,
        "asked_here": here,
        "bytes_elsewhere": len(received),
        "public_documents_elsewhere": sum(word in text for word in corpus.public),
        "private_documents": len(corpus.canaries),
        "leaked": leaked,
        "connections_by_default": unset,
    }


@asynccontextmanager
async def _session(home: Path, folder: Path, chance: random.Random) -> AsyncIterator[tuple[Settings, Place, Place]]:
    """Start servers, and yield settings by which one or both models are elsewhere, or at several addresses."""
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(Place("127.0.0.2", chance, "little", "big"))
        near = await stack.enter_async_context(Place("127.0.0.1", chance, "little", "big"))
        ends = chance.choice(
            [
                {"endpoint": near.url, "large_endpoint": far.url},
                {"endpoint": near.url, "large_endpoint": far.url},
                {"small_endpoint": near.url, "large_endpoint": f"{far.url}, {near.url}"},
                {"small_endpoint": far.url, "large_endpoint": near.url},
                {"small_endpoint": far.url, "large_endpoint": far.url},
            ]
        )
        route = chance.choice(["local-first", "local-first", "cloud-first", "task"])
        given = {"small": "little", "large": "big", "retry_backoff": 0.001, "private": PATTERNS, "route": route}
        yield load(corpus=folder, state_dir=home / "state", **(given | ends)), far, near


async def _with_defaults(home: Path, corpus: Corpus, chance: random.Random, turns: int) -> int:
    """Ask with all settings at their defaults; return how often any other machine was connected to."""
    elsewhere: list[Any] = []
    watching = True

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if watching and event == "socket.connect" and isinstance(given[1], tuple):
            elsewhere.extend([given[1]] if not is_loopback(f"//{given[1][0]}") else [])

    sys.addaudithook(watch)  # for good: nothing takes it away
    assistant = Assistant(load(corpus=corpus.folder, state_dir=home / "other"), patience=None, learn=False)
    try:
        by_default = {file: word for file, word in corpus.canaries.items() if not file.startswith(("hr/", "payroll"))}
        driver = Driver(assistant, replace(corpus, canaries=by_default), Conversation(), chance)
        for _ in range(turns):
            await driver.step()
    finally:
        watching = False
        await assistant.close()
    return len(elsewhere)


def lines(result: dict[str, Any]) -> list[str]:
    """Format the figures for a person."""
    return [f"{name:28} {value if value != {} else 'nothing'}" for name, value in result.items()]
