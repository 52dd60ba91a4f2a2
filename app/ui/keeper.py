"""The history as Chainlit and screens use it: conversations are listed, loaded and stored by a thread of its own."""

import asyncio
import logging
import os
import secrets
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import chainlit as cl
import chainlit.emitter
from chainlit.config import config
from chainlit.data import get_data_layer
from chainlit.data.base import BaseDataLayer
from chainlit.types import Feedback, PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter
from chainlit.user import PersistedUser

from app.errors import InputError
from app.history import PREFERENCE, History, Item, Kept, remembered, titled
from app.room import HERE, Room, folder_of, person
from app.settings import Settings, load
from app.ui.screen import Emitter, Screen
from app.ui.server_guard import is_local, log_in

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.2
"""From a change that is to be stored to the transaction, which has those of all conversations until then."""

T = TypeVar("T")
Change = tuple[Screen, list[Item], dict[str, Any]]
"""What has changed on a screen, and its choices."""


class Keeper(BaseDataLayer):
    """The history as Chainlit sees it: lists, renames, deletes and finds conversations; screens know what they hold."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keeps = settings.history  # anything at all
        self._history = cache(lambda name: History(folder_of(settings.state_dir, name)))
        self._thread = ThreadPoolExecutor(1, "history")
        self._changed: list[Change] = []
        Screen.stores[:] = [self.store]

    @classmethod
    def current(cls) -> "Keeper | None":
        """Return the history of this process; None where the page is open to other machines."""
        layer = get_data_layer()
        return layer if isinstance(layer, cls) else None

    @property
    def folder(self) -> Path:
        """The folder of the person whose event is being handled."""
        return folder_of(self.settings.state_dir, person.get())

    async def run(self, work: Callable[..., T], *values: Any) -> T:
        """Have the history do something, after all that was to be stored before; raises sqlite3.Error."""
        self._write()
        history = self._history(person.get())
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, history, *values)

    async def load(self, screen: Screen) -> bool:
        """Load a conversation from the history, unless it is open; returns whether it is there."""
        if screen.begun or (kept := await self.run(History.find, screen.id)) is None:
            return False
        screen.restore(await self.run(History.items, screen.id), kept.choices)
        return True

    def store(self, screen: Screen) -> None:
        """Write what has changed on a screen, without waiting for it: soon, with what changes on others."""
        if screen.kept and screen.begun:
            if not self._changed:
                asyncio.get_running_loop().call_later(GATHER_SECONDS, self._write)
            self._changed.append((screen, screen.changes(), screen.choices))

    def _write(self) -> None:
        """Have the thread write what has changed, in one transaction for each person."""
        changed, self._changed = self._changed, []
        by_person = defaultdict[str, list[Change]](list)
        for change in changed:
            by_person[change[0].person].append(change)
        for name, changes in by_person.items():
            self._thread.submit(_write_all, self._history(name), changes)

    async def notice(self) -> str:
        """Return what is wrong with the history, once."""
        await self.run(lambda history: history.latest(most=1))
        history = self._history(person.get())
        notice, history.notice = history.notice, ""
        return notice

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> "PaginatedResponse[ThreadDict]":
        """List conversations, the latest first."""
        most = pagination.first
        found = await self.run(History.latest, filters.search or "", pagination.cursor, most + 1)
        page = PageInfo(len(found) > most, pagination.cursor, found[:most][-1].id if found else None)
        return PaginatedResponse(page, [_thread(kept) for kept in found[:most]])

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Find a conversation, open or kept, without what it holds."""
        kept, screen = await self.run(History.find, thread_id), Screen.find(thread_id)
        if kept is None and screen is not None and screen.begun and not screen.listed:
            kept = Kept(thread_id, "", time.time(), {})
        return _thread(kept) if kept is not None else None

    async def get_thread_author(self, thread_id: str) -> str:
        """Return the name of whoever asks if they have such a conversation."""
        return _user() if await self.get_thread(thread_id) is not None else ""

    async def update_thread(self, thread_id: str, name: str | None = None, *_: Any, **__: Any) -> None:
        """Begin a conversation, titled by its first question, or rename it; Chainlit's metadata is not kept."""
        screen = Screen.find(thread_id)
        if screen is not None and name is not None:
            screen.begun = True
        if name is not None and (screen is None or screen.kept):
            await self.run(History.title, thread_id, name)
            if screen is not None:
                screen.listed = True

    async def begin(self, screen: Screen, question: str) -> None:
        """Begin a conversation for which Chainlit does not, as it has asked a question before."""
        await self.update_thread(screen.id, question)
        await _list_anew(screen, question)

    async def is_gone(self, screen: Screen) -> bool:
        """Return whether a conversation was deleted by another process, as by `escalator history --wipe`."""
        return screen.listed and await self.run(History.find, screen.id) is None

    async def retitle(self, screen: Screen, question: dict[str, Any], text: str) -> None:
        """Name a conversation by the other wording of its first question, unless it was renamed."""
        kept = await self.run(History.find, screen.id) if screen.kept else None
        asked = (row for row in screen.rows.values() if row["type"] == "user_message")
        if kept is not None and kept.title == titled(question["output"]) and next(asked) is question:
            await self.run(History.title, screen.id, text)
            await _list_anew(screen, text)

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a conversation; a tab in which it is open goes on without."""
        if (screen := Screen.find(thread_id)) is not None:
            screen.kept = screen.listed = screen.begun = False
        await self.run(History.delete, thread_id)

    async def get_element(self, thread_id: str, element_id: str) -> Any:
        """Find an element that is opened as a page of its own."""
        screen = Screen.of(thread_id)
        await self.load(screen)
        return screen.elements.get(element_id)

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Note a thumb with its comment."""
        await self._note(feedback.threadId or "", feedback.forId, feedback.value, feedback.comment)
        return feedback.forId

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Take a thumb back."""
        own = (screen for (name, _thread), screen in Screen.open.items() if name == person.get())
        thread = next((screen.id for screen in own if feedback_id in screen.rows), "")
        await self._note(thread, feedback_id, None, None)
        return True

    async def _note(self, thread: str, run: str, value: int | None, comment: str | None) -> None:
        screen = Screen.find(thread)
        if screen is None or not screen.kept or await self.is_gone(screen):
            raise InputError("Nothing of this conversation is kept, so this is not noted.")
        feedback = None if value is None else {"id": run, "forId": run, "value": value, "comment": comment}
        screen.take("update_message", {"id": run, "feedback": feedback})
        answers = [remembered(row) for row in reversed(screen.rows.values()) if row.get("parentId") == run]
        about: dict[str, Any] = next(filter(None, answers), {})
        await self.run(History.note, {"id": run, "time": _now(), "value": value, "comment": comment, **about})

    async def note_preference(self, screen: Screen, row: str) -> None:
        """Note which answer in this row was preferred, if the conversation is kept."""
        about = remembered(screen.rows[row])
        if screen.kept and about.get("preferred") is not None:
            await self.run(History.note, {"id": row, "time": _now(), "kind": PREFERENCE, "value": None, **about})

    async def close(self) -> None:
        """Write everything that is open, and close the history."""
        for screen in [*Screen.open.values()]:
            screen.flush()
        await self.run(History.close)  # those of others end with the process

    async def get_user(self, identifier: str) -> PersistedUser:
        """Return whoever has proved that this is their name."""
        return PersistedUser(id=identifier, createdAt="", identifier=identifier)

    async def _ignore(self, *_: Any, **__: Any) -> Any:
        """Do nothing: screens keep their own rows and elements, people are no records, and there are no favourites."""

    create_step = update_step = delete_step = create_element = delete_element = _ignore
    create_user = build_debug_url = get_favorite_steps = _ignore


def _write_all(history: History, changes: list[Change]) -> None:
    try:
        deleted = history.write([(screen.id, items, choices) for screen, items, choices in changes])
    except sqlite3.Error as error:
        log.warning("%d conversations could not be kept: %s", len(changes), error)
        return
    for screen, *_rest in changes:
        screen.kept = screen.kept and screen.id not in deleted


async def _list_anew(screen: Screen, title: str) -> None:
    """Have the pages list conversations anew."""
    await screen.emit("first_interaction", {"interaction": title, "thread_id": screen.id})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    return person.get() or HERE


def _thread(kept: Kept) -> ThreadDict:
    created = datetime.fromtimestamp(kept.changed, UTC).isoformat()  # by which the page sorts
    known = {"id": kept.id, "createdAt": created, "name": kept.title, "userId": _user(), "userIdentifier": _user()}
    return cast("ThreadDict", {**known, "tags": [], "metadata": {}, "steps": [], "elements": []})


def install() -> None:
    """Have Chainlit use the emitter of this module, hold up nothing, and on loopback or in a room use the history.

    On loopback the one user is whoever passes the guard, by a secret that ends with the process.

    Raises SettingsError, which Chainlit reports when it reads a changed file again.
    """
    chainlit.emitter.ChainlitEmitter = Emitter  # type: ignore[misc]
    cl.Action.to_dict = lambda self, **_: dict(vars(self))  # type: ignore[method-assign]  # Chainlit's takes long
    for module in ("step", "message"):  # each of which would have all answers wait for a millisecond
        vars(import_module(f"chainlit.{module}"))["time"] = SimpleNamespace(
            **{**vars(time), "sleep": lambda seconds: None}
        )
    if (room := Room.current) or is_local():
        settings = load()
        cl.data_layer(lambda: Keeper(settings))
        for name in ("step", "message", "element"):  # they would begin a task for each change, which does nothing
            vars(import_module(f"chainlit.{name}"))["get_data_layer"] = lambda: None
        if upload := config.features.spontaneous_file_upload:
            upload.max_size_mb = settings.max_file_mb
        config.ui.default_sidebar_state = config.ui.default_sidebar_state if settings.history else "hidden"
        os.environ["CHAINLIT_CUSTOM_AUTH"] = "true"
        os.environ["CHAINLIT_AUTH_SECRET"] = room.signing_key() if room else secrets.token_hex(32)
        if room:  # Chainlit's decorator would swallow the reason of a refusal
            config.code.password_auth_callback = partial(log_in, room)
