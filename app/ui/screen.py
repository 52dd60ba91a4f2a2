"""What a conversation shows, in all of its tabs: they get the same events, and what is shown is kept in the history.

Chainlit sends the events of a turn to the tab that asked, and stores rows one by one. Here each event goes to every tab
of the conversation and into its `Screen`, which a tab gets whole when it opens the conversation, also in mid-answer.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakValueDictionary

from chainlit.data import get_data_layer
from chainlit.data.base import BaseDataLayer
from chainlit.session import WebsocketSession, ws_sessions_id
from chainlit.types import (
    Feedback,
    FileDict,
    PageInfo,
    PaginatedResponse,
    Pagination,
    ThreadDict,
    ThreadFilter,
)
from chainlit.user import PersistedUser

from app.errors import InputError
from app.history import PREFERENCE, History, Item, Kept, Kind, remembered
from app.settings import Settings
from app.translation import _
from app.ui.server_guard import USER

log = logging.getLogger(__name__)

KEEP_SECONDS = 0.5
"""Between two writes to the history; an answer that is being written is kept as far as it is."""

BUTTONS = 12
"""As many of the latest buttons come with a conversation that is opened: a browser draws all of it for each one."""

T = TypeVar("T")


class Screen:
    """The rows, elements and buttons of a conversation, as Chainlit sends them, by their ids."""

    _open: ClassVar[WeakValueDictionary[str, "Screen"]] = WeakValueDictionary()

    def __init__(self, thread: str) -> None:
        self.id = thread
        self.kept = False  # in the history
        self.choices: dict[str, Any] = {}
        self.begun = False
        self.busy = False
        self.rows: dict[str, dict[str, Any]] = {}
        self.elements: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, dict[str, Any]] = {}
        self.dropped: dict[str, dict[str, Any]] = {}
        """The dropped files: `key` is that of an element; `document` is the name in answers, or ""."""
        self.actions: dict[str, dict[str, Any]] = {}
        self._positions: dict[str, int] = {}
        self._numbers = count(1)
        self._changed: dict[str, Kind] = {}
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, thread: str) -> "Screen":
        """Return the screen of a conversation; whoever needs it to stay keeps it."""
        screen = cls._open.get(thread)
        if screen is None:
            screen = cls._open[thread] = cls(thread)
        return screen

    @classmethod
    def find(cls, thread: str) -> "Screen | None":
        """Return the screen of a conversation that is open."""
        return cls._open.get(thread)

    @property
    def files(self) -> dict[str, FileDict]:
        """The dropped files as Chainlit knows them, by the key of their element."""
        return {each["key"]: cast("FileDict", {**each, "id": each["key"]}) for each in self.dropped.values()}

    async def emit(self, event: str, data: Any, but: object = None) -> None:
        """Send an event to all tabs but one."""
        for tab in [tab for tab in ws_sessions_id.values() if tab.thread_id == self.id and tab is not but]:
            await send(tab, event, data)

    def take(self, event: str, data: dict[str, Any]) -> bool:
        """Note what an event changes; returns whether it is of a kind that changes the screen."""
        match event:
            case "new_message" | "update_message" | "stream_start":
                self._change("row", {**self.rows.get(data["id"], {}), **data})
            case "stream_token" if (row := self.rows.get(data["id"])) is not None:
                before = "" if data["isSequence"] else row["output"]
                self._change("row", {**row, "output": before + data["token"]})
            case "delete_message":
                self._forget("row", data["id"])
            case "element" if data["forId"]:  # a panel belongs to no row, and to one tab
                self._change("element", data)
            case "page" | "file":  # of a document, which the viewer may ask for by its id
                self._change(event, data)
            case "remove_element":
                self._forget("element", data["id"])
            case "action":
                self.actions[data["id"]] = data
            case "remove_action":
                self.actions.pop(data["id"], None)
            case _:
                return False
        return True

    async def cut(self, row: str) -> list[tuple[str, dict[str, Any]]]:
        """Remove what stands below a row, in all tabs; returns the events that bring it back."""
        rows = [*self.rows]
        gone = set(rows[rows.index(row) + 1 :])
        elements = [each for each in self.elements.values() if each["forId"] in gone]
        actions = [each for each in self.actions.values() if each["forId"] in gone]
        shown = [("new_message", self.rows[each]) for each in rows if each in gone]
        shown += [("element", each) for each in elements] + [("action", each) for each in actions]
        removed = [("remove_action", each) for each in actions] + [("remove_element", each) for each in elements]
        await self.apply([*removed, *(("delete_message", self.rows[each]) for each in rows if each in gone)])
        return shown

    async def apply(self, happened: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Note events, and send them to all tabs."""
        for event, data in happened:
            self.take(event, data)
            await self.emit(event, data)

    def question_of(self, answer: str) -> dict[str, Any] | None:
        """Return the row of the question that stands last above a row."""
        rows = [*self.rows]
        above = rows[: rows.index(answer)] if answer in self.rows else []
        return next((self.rows[each] for each in reversed(above) if self.rows[each]["type"] == "user_message"), None)

    def said(self, until: str = "") -> list[dict[str, Any]]:
        """Return what is remembered of the answers that stand above a row, or of all."""
        above = takewhile(lambda each: each != until, [*self.rows])
        return [record for each in above if (record := remembered(self.rows[each]))]

    async def load(self, keeper: "Keeper") -> bool:
        """Load a conversation from the history, unless it is open; returns whether it is there."""
        if self.begun or (kept := await keeper.run(History.find, self.id)) is None:
            return False
        for item in await keeper.run(History.items, self.id):
            self._shelf(item.kind)[item.id] = item.data or {}
            self._positions[item.id] = item.position
        moved = {each["was"]: each["path"] for each in self.dropped.values()}
        for page in self.pages.values():
            page["path"] = moved.get(page["path"], page["path"])
        self._numbers = count(max(self._positions.values(), default=0) + 1)
        self.choices, self.begun = kept.choices, True
        return True

    async def show(self, thread: ThreadDict, tab: WebsocketSession) -> None:
        """Show everything to a tab that opens the conversation, in place of the steps of a thread."""
        tab.files.update(self.files)
        shown = {"steps": [*self.rows.values()], "elements": [self._linked(it, tab) for it in self.elements.values()]}
        await send(tab, "resume_thread", {**thread, **shown})
        for action in [*self.actions.values()][-BUTTONS:]:
            await send(tab, "action", action)
        if self.busy:
            await send(tab, "task_start", {})

    def _linked(self, element: dict[str, Any], tab: WebsocketSession) -> dict[str, Any]:
        """Return an element as a tab shows it, which gets files by its own session; those from before are gone."""
        if element["url"]:
            return element
        if (key := element["chainlitKey"]) in self.files:
            return {**element, "url": f"/project/file/{key}?session_id={tab.id}"}
        name = _("{file} (not kept: drop it again to ask about it)", file=element["name"])
        return {**element, "type": "file", "url": "#", "name": name}

    def flush(self) -> None:
        """Write what has changed to the history."""
        self._timer = None
        keeper, changed = Keeper.current(), [*self._changed.items()]
        if keeper is None or not (self.kept and self.begun):
            return
        self._changed.clear()
        items = [self._item(name, kind) for name, kind in changed]
        keeper.submit(self, History.write, self.id, items, self.choices)

    def _item(self, name: str, kind: Kind) -> Item:
        data = self._shelf(kind).get(name)
        said = data is not None and data.get("type") in ("user_message", "assistant_message")
        return Item(name, kind, self._positions[name], data, data["output"] if data and said else "")

    def _shelf(self, kind: Kind) -> dict[str, dict[str, Any]]:
        return {"row": self.rows, "element": self.elements, "page": self.pages, "file": self.dropped}[kind]

    def _change(self, kind: Kind, data: dict[str, Any]) -> None:
        self._shelf(kind)[data["id"]] = dict(data)
        self._positions.setdefault(data["id"], next(self._numbers))
        self._later(kind, data["id"])

    def _forget(self, kind: Kind, name: str) -> None:
        if self._shelf(kind).pop(name, None) is not None:
            self._later(kind, name)

    def _later(self, kind: Kind, name: str) -> None:
        self._changed[name] = kind
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEP_SECONDS, self.flush)


async def send(tab: WebsocketSession, event: str, data: Any) -> None:
    """Send an event to one tab; nothing happens if it is gone."""
    sent: Any = tab.emit(event, data)
    await sent


class Keeper(BaseDataLayer):
    """The history as Chainlit sees it: lists, renames, deletes and finds conversations; screens know what they hold."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.state_dir
        self.keeps = settings.history  # anything at all
        self._history = History(self.folder)
        self._thread = ThreadPoolExecutor(1, "history")

    @classmethod
    def current(cls) -> "Keeper | None":
        """Return the history of this process; None where the page is open to other machines."""
        layer = get_data_layer()
        return layer if isinstance(layer, cls) else None

    async def run(self, work: Callable[..., T], *values: Any) -> T:
        """Have the history do something, after all that was submitted before; raises sqlite3.Error."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._history, *values)

    def submit(self, screen: Screen, work: Callable[..., None], *values: Any) -> None:
        """Have the history store something of a screen, without waiting for it."""

        def store() -> None:
            try:
                work(self._history, *values)
            except sqlite3.IntegrityError:  # deleted elsewhere
                screen.kept = False
            except sqlite3.Error as error:
                log.warning("a conversation could not be kept: %s", error)

        self._thread.submit(store)

    async def notice(self) -> str:
        """Return what is wrong with the history, once."""
        await self.run(lambda history: history.latest(most=1))
        notice, self._history.notice = self._history.notice, ""
        return notice

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> "PaginatedResponse[ThreadDict]":
        """List conversations, the latest first."""
        most = pagination.first
        found = await self.run(History.latest, filters.search or "", pagination.cursor, most + 1)
        page = PageInfo(len(found) > most, pagination.cursor, found[:most][-1].id if found else None)
        return PaginatedResponse(page, [_thread(kept) for kept in found[:most]])

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """Find a conversation, open or kept, without what it holds."""
        kept = await self.run(History.find, thread_id)
        if kept is None and (screen := Screen.find(thread_id)) is not None and screen.begun:
            kept = Kept(thread_id, "", time.time(), {})
        return _thread(kept) if kept is not None else None

    async def get_thread_author(self, thread_id: str) -> str:
        """Return the user's name if there is such a conversation."""
        return USER if await self.get_thread(thread_id) is not None else ""

    async def update_thread(self, thread_id: str, name: str | None = None, *_: Any, **__: Any) -> None:
        """Begin a conversation, titled by its first question, or rename it; Chainlit's metadata is not kept."""
        screen = Screen.find(thread_id)
        if screen is not None and name is not None:
            screen.begun = True
        if name is not None and (screen is None or screen.kept):
            await self.run(History.title, thread_id, name)

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a conversation; a tab in which it is open goes on without."""
        if (screen := Screen.find(thread_id)) is not None:
            screen.kept = screen.begun = False
        await self.run(History.delete, thread_id)

    async def get_element(self, thread_id: str, element_id: str) -> Any:
        """Find an element that is opened as a page of its own."""
        screen = Screen.of(thread_id)
        await screen.load(self)
        return screen.elements.get(element_id)

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Note a thumb with its comment."""
        await self._note(feedback.threadId or "", feedback.forId, feedback.value, feedback.comment)
        return feedback.forId

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Take a thumb back."""
        thread = next((screen.id for screen in Screen._open.values() if feedback_id in screen.rows), "")
        await self._note(thread, feedback_id, None, None)
        return True

    async def _note(self, thread: str, run: str, value: int | None, comment: str | None) -> None:
        screen = Screen.find(thread)
        if screen is None or not screen.kept:
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
        for screen in [*Screen._open.values()]:
            screen.flush()
        await self.run(History.close)

    async def get_user(self, identifier: str) -> PersistedUser:
        """Return the one user."""
        return PersistedUser(id=USER, createdAt="", identifier=USER)

    async def _ignore(self, *_: Any, **__: Any) -> Any:
        """Do nothing: screens keep their own rows and elements, there is one user, and there are no favourites."""

    create_step = update_step = delete_step = create_element = delete_element = _ignore
    create_user = build_debug_url = get_favorite_steps = _ignore


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _thread(kept: Kept) -> ThreadDict:
    created = datetime.fromtimestamp(kept.changed, UTC).isoformat()  # by which the page sorts
    known = {"id": kept.id, "createdAt": created, "name": kept.title, "userId": USER, "userIdentifier": USER}
    return cast("ThreadDict", {**known, "tags": [], "metadata": {}, "steps": [], "elements": []})
