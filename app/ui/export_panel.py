"""The panel *Export*: opened below an answer, it has the browser save a file that is made when it is asked for."""

import asyncio
from collections.abc import Mapping
from typing import Any

from chainlit.context import context

from app.export import gather
from app.history import History
from app.translation import mark
from app.ui import messages
from app.ui.keeper import Keeper
from app.ui.screen import Screen

NAME = mark("Export")
"""The name of the component, and of the panel."""

SAVE = "export-file"
"""The action by which public/elements/Export.jsx asks for a file."""


async def open_panel(message: str = "") -> None:
    """Open the panel for the conversation, or for the answer in a message too."""
    await messages.open_panel(NAME, {"message": message})


async def file(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return the file that the panel asks for, and its name."""
    screen, keeper = Screen.of(context.session.thread_id), Keeper.current()
    form, only = str(wanted["form"]), str(wanted["message"])
    kept = await keeper.run(History.find, screen.id) if keeper else None
    title = "" if only or kept is None else kept.title
    shown = [*screen.rows.values()], [*screen.elements.values()]
    document = await asyncio.to_thread(gather, title, *shown, only)
    text = await asyncio.to_thread(document.write, form, figures=bool(wanted["figures"]))
    return {"name": document.name(form), "text": text}
