"""Escalator in the browser: `chainlit run app/main.py`. These handlers only translate."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any, get_args

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # appended, because Chainlit takes the first entry away again after this import
    sys.path.append(ROOT)

import chainlit as cl  # noqa: E402
from chainlit.context import context  # noqa: E402
from chainlit.input_widget import InputWidget, Select  # noqa: E402
from chainlit.session import WebsocketSession  # noqa: E402

from app.answering.turn import Mode  # noqa: E402
from app.errors import EscalatorError  # noqa: E402
from app.settings import Dial  # noqa: E402
from app.ui import actions, corpus_panel, models_panel, server_guard, source_viewer, starters, uploads  # noqa: E402
from app.ui.conversation import Conversation, assistant, stoppable  # noqa: E402

server_guard.install()

DIALS = list(get_args(Dial))

MODE = cl.Mode(
    id="mode",
    name="Answered by",
    options=[
        cl.ModeOption(id="auto", name="Auto", description="The small model; the large one when needed", default=True),
        cl.ModeOption(id="small", name="Small", description="Only the small model"),
        cl.ModeOption(id="large", name="Large", description="Only the large model"),
        cl.ModeOption(id="compare", name="Compare", description="Both at once, side by side"),
        cl.ModeOption(id="refine", name="Refine", description="The large model polishes longer drafts"),
    ],
)


@cl.on_app_startup
async def start() -> None:
    """Look for a model and read the corpus behind the first page."""
    try:
        (await asyncio.to_thread(assistant)).warm()
    except EscalatorError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the chat says it too, with the first question


@cl.on_app_shutdown
async def stop() -> None:
    """Give the model server back."""
    if assistant.cache_info().currsize:
        await assistant().close()


@cl.set_starters
async def set_starters(user: object, language: str | None) -> list[cl.Starter]:
    """The sample questions."""
    try:
        corpus = (await asyncio.to_thread(assistant)).settings.corpus
        return await asyncio.to_thread(starters.offered, corpus)
    except EscalatorError:
        return []


@cl.on_chat_start
async def begin() -> None:
    """A new conversation: offer the modes and the dial."""
    await context.emitter.set_modes([MODE])
    with contextlib.suppress(EscalatorError):
        Conversation.current().begin(await asyncio.to_thread(assistant))
        dial = assistant().settings.escalate
        widgets: list[InputWidget] = [
            Select(id="dial", label="When is the large model asked?", values=DIALS, initial_value=dial)
        ]
        await cl.ChatSettings(widgets).send()


@cl.on_settings_update
async def turn_dial(chosen: dict[str, Any]) -> None:
    """The dial, for this conversation."""
    Conversation.current().dial = next((dial for dial in DIALS if dial == chosen.get("dial")), None)


@cl.on_message
async def answer(message: cl.Message) -> None:
    """A question, perhaps with files."""
    files = [element for element in message.elements or [] if element.path]
    await Conversation.current().ask(message.content, (message.modes or {}).get("mode"), files)


@cl.on_window_message
async def open_panel(message: object) -> None:
    """The buttons *Documents* and *Models* in the header."""
    for each in (corpus_panel, models_panel):
        if message == each.OPEN:
            await each.show()


@cl.action_callback(corpus_panel.LIST)
async def list_corpus(action: cl.Action) -> dict[str, Any]:
    """What the panel shows, for what is typed there."""
    searching = (await asyncio.to_thread(assistant)).searching
    return await asyncio.to_thread(corpus_panel.listed, searching, str(action.payload.get("filter", "")))


@cl.action_callback(models_panel.TELL)
async def list_models(action: cl.Action) -> dict[str, Any]:
    """What the panel of models shows, after the button that was pressed there."""
    return await models_panel.told((await asyncio.to_thread(assistant)).manager, action.payload)


@cl.action_callback(uploads.KEEP)
async def keep_file(action: cl.Action) -> None:
    """The button *Keep in corpus*."""
    await stoppable(Conversation.current().keep_file(action))


@cl.action_callback(actions.KEEP)
async def keep(action: cl.Action) -> None:
    """The button *Keep the small answer*."""
    await stoppable(Conversation.current().keep_draft(action.payload["message"]))


async def again(action: cl.Action) -> None:
    """The buttons *Ask the large model*, *Compare both* and *Ask the model anyway*."""
    modes: dict[str, Mode] = {actions.ASK: "large", actions.COMPARE: "compare"}
    mode = modes.get(action.name)
    await stoppable(Conversation.current().again(action.payload["message"], mode, unaided=mode is None))


for name in (actions.ASK, actions.COMPARE, actions.UNAIDED):
    cl.action_callback(name)(again)
cl.action_callback(actions.MODELS)(models_panel.show)


@cl.action_callback(source_viewer.PICTURE)
async def picture(action: cl.Action) -> dict[str, Any]:
    """The viewer of a source asks for the page."""
    return await source_viewer.picture(str(action.payload.get("sheet")))


@cl.on_chat_end
async def leave() -> None:
    """The browser has gone, perhaps only for a moment."""
    if isinstance(context.session, WebsocketSession):
        Conversation.current().left(context.session)
