"""Escalator in the browser: `chainlit run app/main.py`. These handlers only pass events on to app/ui."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:  # appended, because Chainlit removes the first entry after this import
    sys.path.append(ROOT)

import chainlit as cl
from chainlit.context import init_ws_context
from chainlit.server import sio
from chainlit.session import WebsocketSession

from app.ui import buttons, corpus_panel, keeper, messages, models_panel, server_guard, source_viewer, sources, uploads
from app.ui.conversation import Conversation, loaded_assistant, shared_assistant
from app.web.application import Gateway

server_guard.install(partial(Gateway, assistant=loaded_assistant))
keeper.install()


@cl.on_app_startup
async def start() -> None:
    """Look for a model and read the corpus before the first question."""
    server_guard.begin(Conversation.end_all)
    (await loaded_assistant()).warm()


@cl.on_app_shutdown
async def stop() -> None:
    """Release the model server."""
    await Conversation.end_all()
    if shared_assistant.cache_info().currsize:
        await shared_assistant().close()


@cl.set_starters
async def set_starters(user: object, language: str | None) -> list[cl.Starter]:
    """Offer questions to the documents."""
    retriever = (await loaded_assistant()).retriever
    return await retriever.run(partial(corpus_panel.starters, retriever))


@cl.on_chat_start
@cl.on_chat_resume  # type: ignore[arg-type]
async def open_chat() -> None:
    """Open a conversation in a tab: a new one, one from the history, or one that another tab shows."""
    await Conversation.current().open()


@cl.on_settings_update
async def choose(chosen: dict[str, Any]) -> None:
    """Take over what was chosen behind the gear."""
    await Conversation.current().choose(chosen)


@sio.on("stop")  # type: ignore[untyped-decorator]
async def stop_turn(sid: str) -> None:
    """End the turn that runs, in place of Chainlit's handler, which adds a message to the conversation."""
    if session := WebsocketSession.get(sid):
        init_ws_context(session)
        Conversation.current().stop()


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer a question, perhaps with files, or a command."""
    await Conversation.current().ask(message, cl.context.session)


@sio.on("edit_message")  # type: ignore[untyped-decorator]
async def edit(sid: str, payload: dict[str, Any]) -> None:
    """Ask a question in another wording, in place of Chainlit's handler, whose turns Stop does not end."""
    init_ws_context(WebsocketSession.require(sid))
    await Conversation.current().edit(payload["message"]["id"], payload["message"]["output"])


@cl.on_window_message
async def open_panel(message: object) -> None:
    """Open the panel whose button was pressed, in the header or below an answer, or note that one was closed."""
    if message in (corpus_panel.NAME, models_panel.NAME):
        await messages.open_panel(str(message))
    elif message == messages.CLOSED:
        await messages.forget_beside()
    else:
        await Conversation.current().look(str(message))


@cl.action_callback(corpus_panel.PRESS)
async def press_in_documents(action: cl.Action) -> dict[str, Any]:
    """Do what was pressed in the panel *Documents*, and return what it shows."""
    return await corpus_panel.press((await loaded_assistant()).retriever, action.payload)


@cl.action_callback(models_panel.PRESS)
async def press_in_models(action: cl.Action) -> dict[str, Any]:
    """Do what a button of the panel *Models* says, and return what the panel shows."""
    return await models_panel.press((await loaded_assistant()).manager, action.payload)


async def press(action: cl.Action) -> None:
    """Handle a button of a message."""
    await Conversation.current().press(action)


for name in (uploads.KEEP, *buttons.PRESSED):
    cl.action_callback(name)(press)


@cl.action_callback(buttons.SAVE)
async def save(action: cl.Action) -> dict[str, str] | None:
    """Return the file that the panel *Export* or a comparison asks for."""
    return await Conversation.current().export(action.payload)


@cl.action_callback(source_viewer.SHOW)
async def show_source(action: cl.Action) -> dict[str, Any]:
    """Return what the viewer of a source shows."""
    return await source_viewer.show(str(action.payload.get("page")))


@cl.action_callback(sources.HITS)
async def press_in_hits(action: cl.Action) -> Any:
    """Open a row in the table of hits, or compare it with plain BM25."""
    return await sources.press((await loaded_assistant()).retriever, action.payload)


@cl.on_chat_end
async def leave() -> None:
    """Handle a browser that is gone, perhaps only for a moment."""
    Conversation.current().disconnect()
