"""What a conversation shows, in all of its tabs, and how events get there.

Chainlit sends the events of a turn to the tab that asked, and stores rows one by one. Here each event goes to every tab
of the conversation and into its `Screen`, which a tab gets whole when it opens the conversation, also in mid-answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, takewhile
from typing import Any, ClassVar, cast
from weakref import WeakValueDictionary

import chainlit as cl
from chainlit.emitter import ChainlitEmitter
from chainlit.server import sio
from chainlit.session import WebsocketSession, ws_sessions_id
from chainlit.types import FileDict, MessagePayload, ThreadDict

from app.history import Item, Kind, remembered
from app.room import person
from app.translation import _, choose
from app.ui.server_guard import name_of

KEEP_SECONDS = 0.5
"""Between two writes to the history; an answer that is being written is kept as far as it is."""

BUTTONS = 12
"""As many of the latest buttons come with a conversation that is opened: a browser draws all of it for each one."""

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml")
"""What browsers show; of other pictures that are dropped, such as a telephone's, the name is shown."""


class Screen:
    """The rows, elements and buttons of a conversation, as Chainlit sends them, by their ids."""

    open: ClassVar[WeakValueDictionary[tuple[str, str], "Screen"]] = WeakValueDictionary()
    """By the person and the id of the conversation: no id leads to the conversation of somebody else."""
    stores: ClassVar[list[Callable[["Screen"], None]]] = []
    """What stores a screen that has changed: the history, where there is one."""

    def __init__(self, thread: str) -> None:
        self.id = thread
        self.person = person.get()
        self.kept = False  # in the history
        self.listed = False  # has been in the history: if it is not there, it was deleted
        self.choices: dict[str, Any] = {}
        self.begun = False
        self.busy = False
        self.rows: dict[str, dict[str, Any]] = {}
        self.elements: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, dict[str, Any]] = {}
        self.dropped: dict[str, dict[str, Any]] = {}
        """The dropped files: `key` is that of an element, `message` is what they came with, and `document` the name in
        answers, "" if they are not read, or are part of the corpus."""
        self.actions: dict[str, dict[str, Any]] = {}
        self._positions: dict[str, int] = {}
        self._numbers = count(1)
        self._changed: dict[str, Kind] = {}
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, thread: str) -> "Screen":
        """Return the screen of a conversation; whoever needs it to stay keeps it."""
        screen = cls.find(thread)
        if screen is None:
            screen = cls.open[person.get(), thread] = cls(thread)
        return screen

    @classmethod
    def find(cls, thread: str) -> "Screen | None":
        """Return the screen of a conversation that is open."""
        return cls.open.get((person.get(), thread))

    @property
    def files(self) -> dict[str, FileDict]:
        """The dropped files as Chainlit knows them, by the key of their element."""
        return {each["key"]: cast("FileDict", {**each, "id": each["key"]}) for each in self.dropped.values()}

    @property
    def tabs(self) -> list[WebsocketSession]:
        """The tabs in which the conversation is open."""
        tabs = [tab for tab in ws_sessions_id.values() if tab.thread_id == self.id]
        return [tab for tab in tabs if name_of(tab.user) == self.person]

    async def emit(self, event: str, data: Any, but: object = None) -> None:
        """Send an event to all tabs but one."""
        for tab in self.tabs:
            if tab is not but:
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
                self._forget("page", _page_of(self.elements.get(data["id"], {})))
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
        return await self._remove(rows[rows.index(row) + 1 :])

    async def clear(self, until: str) -> None:
        """Remove what stands above a row, or all, with the documents behind it."""
        await self._remove([*takewhile(lambda each: each != until, [*self.rows])])
        for page in [*self.pages]:
            self._forget("page", page)
        for file in [key for key, each in self.dropped.items() if each["message"] != until]:
            self._forget("file", file)

    async def _remove(self, gone: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        elements = [each for each in self.elements.values() if each["forId"] in gone]
        actions = [each for each in self.actions.values() if each["forId"] in gone]
        shown = [("page", self.pages[key]) for each in elements if (key := _page_of(each)) in self.pages]
        shown += [("new_message", self.rows[each]) for each in gone]
        shown += [("element", each) for each in elements] + [("action", each) for each in actions]
        removed = [("remove_action", each) for each in actions] + [("remove_element", each) for each in elements]
        await self.apply([*removed, *(("delete_message", self.rows[each]) for each in gone)])
        return shown

    async def apply(self, happened: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Note events, and send them to all tabs; a page is asked for."""
        for event, data in happened:
            self.take(event, data)
            if event != "page":
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

    def restore(self, items: Sequence[Item], choices: dict[str, Any]) -> None:
        """Show what the history has of the conversation."""
        for item in items:
            self._shelf(item.kind)[item.id] = item.data or {}
            self._positions[item.id] = item.position
        moved = {each["was"]: each["path"] for each in self.dropped.values()}
        for page in self.pages.values():
            page["path"] = moved.get(page["path"], page["path"])
        self._numbers = count(max(self._positions.values(), default=0) + 1)
        self.choices, self.begun, self.listed = choices, True, True

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
        """Have what has changed stored."""
        self._timer = None
        for store in self.stores:
            store(self)

    def changes(self) -> list[Item]:
        """Return what has changed since the last call."""
        changed = [*self._changed.items()]
        self._changed.clear()
        return [self._item(name, kind) for name, kind in changed]

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
        if self._shelf(kind).pop(name, None) is not None and name in self._positions:  # else it was never to be kept
            self._later(kind, name)

    def _later(self, kind: Kind, name: str) -> None:
        self._changed[name] = kind
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEEP_SECONDS, self.flush)


def _page_of(element: Mapping[str, Any]) -> str:
    """Return the key of the page that a source opens; "" if an element is no source."""
    return (element.get("props") or {}).get("page") or ""


async def send(tab: WebsocketSession, event: str, data: Any) -> None:
    """Send an event to one tab; nothing happens if it is gone.

    `emit` of Socket.IO starts a task for the recipient and waits for its end. Each token of each answer comes here, so
    with a hundred people that is a twentieth of all work.
    """
    if (socket := sio.manager.eio_sid_from_sid(tab.socket_id, "/")) is not None:
        await sio._send_packet(socket, sio.packet_class(namespace="/", data=[event, data]))


class Emitter(ChainlitEmitter):
    """Sends what changes the screen to all tabs of the conversation, and everything else to the tab of its session."""

    _asked = False

    def __init__(self, session: WebsocketSession) -> None:
        super().__init__(session)
        choose(session.language)  # each event of a tab makes an emitter, in the task that handles it
        person.set(name_of(session.user))

    async def emit(self, event: str, data: Any) -> None:
        """Send an event."""
        screen = Screen.of(self.session.thread_id)
        if event == "element" and data["type"] == "image" and data["mime"] not in PICTURES:
            data = {**data, "type": "file"}
        if event == "resume_thread":
            await screen.show(data, self.session)
        elif screen.take(event, data):
            await screen.emit(event, data)
        else:
            await send(self.session, event, data)

    async def process_message(self, payload: MessagePayload) -> cl.Message:
        """Take a question, which the other tabs have not seen."""
        self._asked = True
        message: cl.Message = await super().process_message(payload)
        screen, question = Screen.of(self.session.thread_id), {**message.to_dict()}
        screen.take("new_message", question)
        await screen.emit("new_message", question, but=self.session)
        self.session.thread_id_to_resume = self.session.thread_id  # a lost connection shows what it missed
        return message

    async def init_thread(self, interaction: str) -> None:
        """Begin a conversation with its first question; a button that was pressed before, as in a panel, is none."""
        if self._asked:
            await super().init_thread(interaction)
            await self.send_window_message({"about": "conversation", "id": self.session.thread_id})
        else:
            self.session.has_first_interaction = False
