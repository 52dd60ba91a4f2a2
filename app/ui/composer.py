"""What a person chooses and types: who answers, which folders are searched, the settings behind the gear, commands.

A command is a message that begins with "/"; its reply needs no model.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import chainlit as cl
from chainlit.input_widget import InputWidget, Select, Switch
from chainlit.types import CommandDict

from app.answering.context import Retriever
from app.answering.routes import NAMES
from app.answering.sanitizer import label, safe
from app.answering.scope import folders
from app.answering.turn import Answer, Metrics, Mode, Turn
from app.files import load_json, write_json
from app.settings import Dial, RouteName, Settings
from app.translation import _, again, count, figure, mark
from app.ui import buttons, messages, sources
from app.ui.source_viewer import Originals

PATIENCE_SECONDS = 1.0
"""For the folders to be known; where documents are read for the first time, they are offered after an answer."""

_MODES = {
    "auto": (mark("Auto"), mark("The small model; the large one when needed")),
    "small": (mark("Small"), mark("Only the small model")),
    "large": (mark("Large"), mark("Only the large model")),
    "compare": (mark("Compare"), mark("Both at once, side by side")),
    "refine": (mark("Refine"), mark("The large model polishes longer drafts")),
}

_DIALS = mark("never"), mark("when needed"), mark("often"), mark("always")

_EVERYWHERE = "*"

_FILE = "choices.json"

_ALLOWED: dict[str, tuple[Any, ...]] = {
    "mode": get_args(Mode),
    "dial": get_args(Dial),
    "figures": (True, False),
    "keep": (True, False),
}

SEARCH, SOURCES, WHY, COMPARE, EXPORT = "search", "sources", "why", "compare", "export"

COMMANDS = {
    SEARCH: (mark("Show what is found for these words, without a model"), "search"),
    SOURCES: (mark("Show what the last answer rests on"), "book-open"),
    WHY: (mark("Show why the large model was or was not asked"), "circle-help"),
    COMPARE: (mark("Have both models answer this question"), "columns-2"),
    EXPORT: (mark("Save the conversation as a file"), "download"),
}

QUOTED = 300
"""Characters of a source that are quoted."""

_TYPED = re.compile(r"\s*/(\w+)(?:\s+(.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose last, in any conversation; None is what the settings say."""

    mode: Mode = "auto"
    dial: Dial | None = None
    figures: bool | None = None
    keep: bool = True
    """Whether conversations are written to the history."""

    def updated(self, chosen: Mapping[str, Any]) -> "Choices":
        """Return these choices with others, as far as there are such."""
        return replace(self, **{name: chosen[name] for name in _ALLOWED if chosen.get(name) in _ALLOWED[name]})

    def usage(self, settings: Settings) -> bool:
        """Whether answers have their times and tokens."""
        return settings.show_usage if self.figures is None else self.figures

    @classmethod
    def load(cls, folder: Path) -> "Choices":
        """Load what was chosen last."""
        return cls().updated(load_json(folder / _FILE) or {})

    def save(self, folder: Path) -> None:
        """Keep what was chosen for conversations that are begun later."""
        with suppress(OSError):
            write_json(folder / _FILE, asdict(self))


def modes(chosen: Mode, route: RouteName) -> cl.Mode:
    """Return the modes for the composer, where one is chosen; Auto is described by its route."""
    routed = {} if route == "local-first" else {"auto": NAMES[route]}
    options = [
        cl.ModeOption(id=mode, name=_(name), description=_(routed.get(mode, description)), default=mode == chosen)
        for mode, (name, description) in _MODES.items()
    ]
    return cl.Mode(id="mode", name=_("Answered by"), options=options)


class Scopes:
    """The folders that a conversation is limited to, and the choice of them in the composer."""

    def __init__(self, said: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Take what returns the records of the answers so far."""
        self._said = said
        self._shown: tuple[str, ...] | None = ()
        self._late = False

    @property
    def last(self) -> tuple[str, ...]:
        """The folders that the last answer is from, or those shown if there is none."""
        return tuple(said[-1].get("scope", ())) if (said := self._said()) else self._shown or ()

    def of(self, message: cl.Message) -> tuple[str, ...]:
        """Return the folders for a message: those just chosen, else those of the last answer."""
        option = (message.modes or {}).get("scope")
        chosen = None if option is None else tuple(option.split("\n")) if option != _EVERYWHERE else ()
        self._shown = self.last if chosen is None or chosen == self._shown else chosen
        return self._shown

    def again(self, message: cl.Message, answers: Sequence[Mapping[str, Any]]) -> None:
        """Choose for a message the folders of the first of some answers, that to it before."""
        if answers:
            self._shown, message.modes = None, {"scope": "\n".join(answers[0].get("scope", ())) or _EVERYWHERE}

    @property
    def outdated(self) -> bool:
        """Whether the last answer is from other folders than the composer shows, or it shows none yet."""
        return self._late or self.last != self._shown

    async def offer(self, retriever: Retriever, chosen: Mode, route: RouteName) -> None:
        """Offer modes and folders in the composer: once, because the page forgets what was chosen there before."""
        self._shown = self.last
        look = asyncio.ensure_future(retriever.run(partial(retriever.available, Turn(""))))
        self._late = not (await asyncio.wait([look], timeout=PATIENCE_SECONDS))[0]
        documents = [] if self._late else look.result().documents
        await cl.context.emitter.set_modes([modes(chosen, route), *folder_choice(folders(documents), self._shown)])


def folder_choice(counts: Mapping[str, int], chosen: tuple[str, ...]) -> list[cl.Mode]:
    """Return the choice of a folder to search for the composer; nothing if there are no sub-folders."""
    offered: dict[tuple[str, ...], str] = {(): _("In all folders")}
    offered |= {(folder,): count(number, "document") for folder, number in counts.items()}
    options = [
        cl.ModeOption(
            "\n".join(scope) or _EVERYWHERE, ", ".join(scope) or _("All documents"), about, None, scope == chosen
        )
        for scope, about in {**offered, chosen: offered.get(chosen, "")}.items()
    ]
    return [cl.Mode("scope", _("Searched"), options)] if counts else []


def widgets(choices: Choices, settings: Settings, *, history: bool) -> cl.ChatSettings:
    """Return the settings behind the gear, as they are chosen."""
    dial = choices.dial or settings.escalate
    inputs: list[InputWidget] = [
        Select(
            id="dial",
            label=_("When is the large model asked?"),
            items={_(value): value for value in _DIALS},
            initial_value=dial,
        ),
        Switch(id="figures", label=_("Show times and tokens"), initial=choices.usage(settings)),
    ]
    if history and settings.history:
        about = _("Off: this conversation is deleted from the history, and none is kept until this is on again.")
        label = _("Keep conversations on this machine")
        inputs.append(Switch(id="keep", label=label, initial=choices.keep, description=about))
    return cl.ChatSettings(inputs)


def commands() -> list[CommandDict]:
    """Return the commands for the menu of the composer."""
    return [
        CommandDict(id=name, description=_(about), icon=icon, button=False, persistent=False, selected=False)
        for name, (about, icon) in COMMANDS.items()
    ]


def parse(message: cl.Message) -> tuple[str | None, str]:
    """Return the command of a message, chosen from the menu or typed, and the words that follow it."""
    typed = _TYPED.match(message.content)
    if message.command in COMMANDS:
        return message.command, message.content.strip()
    if typed is not None and typed[1].lower() in COMMANDS:
        return typed[1].lower(), (typed[2] or "").strip()
    return None, message.content


async def reply(
    command: str, asked: Turn, originals: Originals, said: Sequence[Mapping[str, Any]], last: Answer | None
) -> None:
    """Answer a command from the documents, the last answer, and the records of all answers of the conversation."""
    if command == EXPORT:
        await messages.open_panel(buttons.EXPORT_PANEL, {"message": ""})
        return
    message, shown = cl.Message("", author="Escalator"), last
    if command == SEARCH and asked.question:
        alone = replace(asked, history=())
        retrieved = await originals.retriever.run(partial(originals.retriever.look_up, alone))
        asked = replace(alone, scope=retrieved.scope)
        shown = Answer(asked, retrieved.found, retrieved.evidence, (), None, None, "", "", (), (), Metrics())
        table = await asyncio.to_thread(sources.table, retrieved, prompted=False)
        message.content = f"{sources.search_summary(retrieved)}\n\n{table}"
    elif command == SEARCH:
        message.content = _("Type what to search for after the command, as in “/search opening hours”.")
    elif not said:
        message.content = _("There is no answer in this conversation yet.")
    else:
        message.content = why(said[-1]) if command == WHY else rests_on(said, last)
    await message.send()
    if command in (SEARCH, SOURCES) and shown is not None:
        await sources.send(shown.sources, message, shown, originals)


def why(record: Mapping[str, Any]) -> str:
    """Say why the large model was or was not asked for the last answer, with the figures of its models."""
    parts = [_who(record)]
    if record.get("why"):
        parts.append(messages.escape(again(record["why"])))
    if score := record.get("score"):
        parts.append(_("The score against the draft is {score}, on a scale from 0 to 1.", score=figure(score, 2)))
    figures = "\n".join(f"- {each}" for each in record.get("figures", ()))
    return "\n\n".join(filter(None, [" ".join(parts), figures]))


def _who(record: Mapping[str, Any]) -> str:
    if record.get("role") in ("extractive", None):
        return _("No model answered: these are quotes.")
    if record.get("mode") == "compare":
        return _("You had both models asked.")
    if record["role"] == "small":
        return _("The small model’s answer was kept.")
    if record.get("decision") in (None, "requested"):
        return _("You had the large model asked.")
    return _("The small model’s draft was set aside, and the large model was asked.")


def rests_on(said: Sequence[Mapping[str, Any]], answer: Answer | None) -> str:
    """List what the last answer rests on, with the words, and the documents that the conversation has used."""
    lines = []
    if answer is not None:
        for item in answer.sources:
            cited = dict.fromkeys(" ".join(text.split()) for text in answer.quotes(item))
            words = safe(" … ".join(cited)[:QUOTED])
            lines.append(f"- {sources.name(item)}" + (f": “{words}”" if words else ""))
    files = dict.fromkeys(each.rpartition("#")[0] for record in said for each in record.get("evidence", ()))
    used = " · ".join(map(label, files))
    head = _("The last answer rests on:") if lines else ""
    every = _("Documents used in this conversation: {files}", files=used) if files else _("No document was used.")
    return "\n\n".join(filter(None, [head, "\n".join(lines), every]))
