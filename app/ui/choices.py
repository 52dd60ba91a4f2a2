"""What a person chooses: who answers, which folders are searched, and the settings behind the gear."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import chainlit as cl
from chainlit.input_widget import InputWidget, Select, Switch

from app.answering.context import Retriever
from app.answering.routes import NAMES
from app.answering.scope import folders
from app.answering.turn import Mode, Turn
from app.files import load_json, save_state
from app.settings import Dial, RouteName, Settings
from app.translation import _, count, mark

PATIENCE_SECONDS = 1.0
"""For the folders to be known; where documents are read for the first time, they are offered after an answer."""

_MODES = {
    "auto": (mark("Auto"), mark("The small model; the large one when needed")),
    "small": (mark("Small"), mark("Only the small model")),
    "large": (mark("Large"), mark("Only the large model")),
    "compare": (mark("Compare"), mark("Both at once, side by side")),
    "refine": (mark("Refine"), mark("The large model polishes longer drafts")),
}

_DIALS: Mapping[Dial, str] = {
    "never": mark("never"),
    "when needed": mark("when needed"),
    "often": mark("often"),
    "always": mark("always"),
}


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

    def applied(self, settings: Settings) -> Settings:
        """Return the settings of an answer, with what was chosen."""
        return settings if self.figures is None else settings.model_copy(update={"show_usage": self.figures})

    @classmethod
    def load(cls, folder: Path) -> "Choices":
        """Load what was chosen last."""
        return cls().updated(load_json(folder / _FILE) or {})

    def save(self, folder: Path) -> None:
        """Keep what was chosen for conversations that are begun later."""
        with suppress(OSError):
            save_state(folder / _FILE, asdict(self))


_FILE = "choices.json"

_ALLOWED: dict[str, tuple[Any, ...]] = {
    "mode": get_args(Mode),
    "dial": get_args(Dial),
    "figures": (True, False),
    "keep": (True, False),
}


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


_EVERYWHERE = "*"


def widgets(choices: Choices, settings: Settings, *, history: bool) -> cl.ChatSettings:
    """Return the settings behind the gear, as they are chosen."""
    dial = choices.dial or settings.escalate
    figures = settings.show_usage if choices.figures is None else choices.figures
    inputs: list[InputWidget] = [
        Select(
            id="dial",
            label=_("When is the large model asked?"),
            items={_(words): value for value, words in _DIALS.items()},
            initial_value=dial,
        ),
        Switch(id="figures", label=_("Show times and tokens"), initial=figures),
    ]
    if history and settings.history:
        about = _("Off: this conversation is deleted from the history, and none is kept until this is on again.")
        label = _("Keep conversations on this machine")
        inputs.append(Switch(id="keep", label=label, initial=choices.keep, description=about))
    return cl.ChatSettings(inputs)
