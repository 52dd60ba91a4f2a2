"""The conversations of the person at this machine: an SQLite database in the state folder, and thumbs beside it.

Several processes may use it at a time. What a conversation holds are items: rows of the chat, sources, pages of PDFs,
and the files that were dropped into it, which are copied into a folder beside the database.
A file that cannot be used never costs a chat: it is set aside, or nothing is kept, and `notice` says so.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.files import retry
from app.translation import mark

FILE, THUMBS, DROPPED = "history.sqlite", "feedback.jsonl", "dropped"
_ASIDE = "damaged-"

_TABLES = (
    """create table conversations (id text primary key, title text not null, changed real not null)""",
    """create table items (
        conversation text not null references conversations on delete cascade,
        id text not null,
        kind text not null,
        position integer not null,
        data text not null,
        said text not null,
        primary key (conversation, id)
    )""",
    """create index by_change on conversations (changed)""",
)
_CHANGES = (_TABLES, ("alter table conversations add column choices text not null default '{}'",))
"""The statements that make each version of the tables from the one before; a database knows its version."""

PREFERENCE = "preference"
"""The kind of a note that says which of two answers was preferred; thumbs have none."""

MAX_TITLE = 80
"""Characters of a question that name its conversation."""

_WAIT_SECONDS = 10.0
"""For another process that writes."""

Kind = Literal["row", "element", "page", "file"]


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a conversation, as JSON (None deletes it); `said` is what a search for conversations looks at.

    That of a file has its `path`: to be copied from there, and later where the copy is.
    """

    id: str
    kind: Kind
    position: int
    data: dict[str, Any] | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation in the list: `changed` is Unix time, `choices` are its mode and its dial."""

    id: str
    title: str
    changed: float
    choices: dict[str, Any]


class History:
    """The database; opened at first use, then used by one thread. Methods block, and raise sqlite3.Error."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.thumbs = folder / THUMBS
        self.dropped = folder / DROPPED
        self.notice = ""
        """What is wrong with the database, and what happened to it."""
        self._keeps = True
        self._connection: sqlite3.Connection | None = None

    def title(self, conversation: str, title: str) -> None:
        """Begin a conversation under this title, or rename it."""
        short = titled(title)
        values = (conversation, short, time.time())
        sql = "insert into conversations (id, title, changed) values (?, ?, ?) on conflict do update set title = ?"
        with self._database() as database:
            database.execute(sql, (*values, short))

    def write(self, changes: Sequence[tuple[str, Sequence[Item], dict[str, Any]]]) -> list[str]:
        """Store new and changed items, and the choices, of conversations; returns those that have been deleted."""
        deleted = []
        with self._database() as database:
            for conversation, items, choices in changes:
                gone = [(conversation, item.id) for item in items if item.data is None]
                database.executemany("delete from items where conversation = ? and id = ?", gone)
                try:
                    database.executemany(
                        "insert or replace into items values (?, ?, ?, ?, ?, ?)", _rows(conversation, items)
                    )
                except sqlite3.IntegrityError:
                    deleted.append(conversation)
                sql = "update conversations set changed = ?, choices = ? where id = ?"
                database.execute(sql, (time.time(), json.dumps(choices), conversation))
        for conversation, items, _choices in changes:
            for item in items if conversation not in deleted and self._keeps else ():
                if item.kind == "file" and item.data is not None:
                    _copy(Path(item.data["path"]), self._place(conversation, item))
        return deleted

    def find(self, conversation: str) -> Kept | None:
        """Look up a conversation."""
        with self._database() as database:
            found = database.execute("select * from conversations where id = ?", (conversation,)).fetchone()
        return _kept(found) if found else None

    def items(self, conversation: str) -> list[Item]:
        """Return the items of a conversation in their order."""
        sql = "select id, kind, position, data from items where conversation = ? order by position"
        with self._database() as database:
            found = database.execute(sql, (conversation,)).fetchall()
        items = [Item(name, kind, position, json.loads(data)) for name, kind, position, data in found]
        for item in items:
            if item.kind == "file" and item.data is not None:
                item.data["path"] = str(self._place(conversation, item))
        return [item for item in items if item.kind != "file" or Path((item.data or {})["path"]).exists()]

    def latest(self, wanted: str = "", after: str | None = None, most: int = 20) -> list[Kept]:
        """List conversations, the latest first, beginning after one, whose title or texts contain what is wanted."""
        sql = "select * from conversations as c where 1"
        values: list[Any] = []
        if wanted := " ".join(wanted.split()).casefold():
            sql += " and (instr(fold(title), ?) or"
            sql += " exists (select 1 from items where conversation = c.id and instr(said, ?)))"
            values += [wanted, wanted]
        if after is not None:
            sql += " and (changed, id) < (select changed, id from conversations where id = ?)"
            values.append(after)
        with self._database() as database:
            found = database.execute(f"{sql} order by changed desc, id desc limit ?", (*values, most)).fetchall()
        return [_kept(row) for row in found]

    def delete(self, conversation: str) -> None:
        """Delete a conversation, and overwrite what it held."""
        with self._database() as database:
            database.execute("delete from conversations where id = ?", (conversation,))
        shutil.rmtree(self._folder(conversation), ignore_errors=True)
        self._clean()

    def wipe(self) -> int:
        """Delete all conversations, files and thumbs, and what was set aside; returns the number of conversations."""
        with self._database() as database:
            number = database.execute("delete from conversations").rowcount
        shutil.rmtree(self.dropped, ignore_errors=True)
        self._clean("vacuum")
        for path in (self.thumbs, *self.path.parent.glob(f"{_ASIDE}*-{FILE}*")):
            with suppress(FileNotFoundError):
                retry(path.unlink)
        return number

    def note(self, thumb: dict[str, Any]) -> None:
        """Append a thumb or a preference to the file of thumbs, which its owner alone may read; raises OSError."""
        line = json.dumps(thumb, ensure_ascii=False) + "\n"
        self.thumbs.parent.mkdir(parents=True, exist_ok=True)
        descriptor = retry(lambda: os.open(self.thumbs, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        with os.fdopen(descriptor, "a", encoding="utf-8", newline="\n") as file:
            file.write(line)

    def opinions(self) -> list[dict[str, Any]]:
        """Read the last thumb of each answer, unless it was taken back."""
        return [each for each in self._notes() if "kind" not in each and each["value"] is not None]

    def preferences(self) -> list[dict[str, Any]]:
        """Read which answers were preferred, the last choice of each comparison."""
        return [each for each in self._notes() if each.get("kind") == PREFERENCE]

    def _notes(self) -> list[dict[str, Any]]:
        try:
            lines = self.thumbs.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        last = {}
        for line in lines:
            with suppress(ValueError):  # cut off, by a full disk
                thumb = json.loads(line)
                last[thumb["id"], thumb.get("kind")] = thumb
        return [*last.values()]

    def files(self) -> list[int]:
        """Return the sizes of the dropped files that are kept, in bytes."""
        return [path.stat().st_size for path in self.dropped.glob("*/*")]

    def _folder(self, conversation: str) -> Path:
        """Return the folder for the files of a conversation, whose id comes from a browser and could be any text."""
        return self.dropped / hashlib.sha256(conversation.encode()).hexdigest()[:32]

    def _place(self, conversation: str, item: Item) -> Path:
        """Return where the copy of a file is."""
        return self._folder(conversation) / f"{item.id}{Path((item.data or {})['name']).suffix}"

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Provide the database for one transaction."""
        if self._connection is None:
            self._connection = self._open()
        with self._connection:
            yield self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            return self._ready()
        except (sqlite3.OperationalError, OSError) as error:  # locked, read-only, full, or of a newer version
            reason = mark("{path} cannot be used: {error}").format(path=self.path, error=error)
        except sqlite3.DatabaseError:
            aside = self.path.with_name(f"{_ASIDE}{int(time.time())}-{FILE}")
            try:
                for ending in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        retry(lambda: self.path.with_name(FILE + ending).rename(aside.with_name(aside.name + ending)))  # noqa: B023
                self.notice = mark(
                    "The history of conversations was damaged. It is in {path} now, and a new one was begun."
                ).format(path=aside)
                return self._ready()
            except (OSError, sqlite3.Error) as error:
                reason = mark("{path} is damaged, and cannot be moved: {error}").format(path=self.path, error=error)
        self.notice = mark("Conversations are not kept now: {reason}.").format(reason=reason)
        self._keeps = False
        return _upgraded(_connect(":memory:"))

    def _ready(self) -> sqlite3.Connection:
        """Open the database; it is made, checked and brought to the present version as needed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _connect(self.path)
        try:
            connection.execute("pragma journal_mode = wal")
            if (found := connection.execute("pragma quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            return _upgraded(connection)
        except BaseException:
            connection.close()  # Windows renames no open file
            raise

    def _clean(self, *commands: str) -> None:
        """Leave nothing deleted in the log of changes; another process may make this wait for another time."""
        with suppress(sqlite3.OperationalError), self._database() as database:
            for command in (*commands, "pragma wal_checkpoint(truncate)"):
                database.execute(command)


def _rows(conversation: str, items: Sequence[Item]) -> Iterator[tuple[Any, ...]]:
    for it in items:
        if it.data is not None:
            text = json.dumps(it.data, ensure_ascii=False)
            yield conversation, it.id, it.kind, it.position, text, it.said.casefold()


def _copy(source: Path, copy: Path) -> None:
    """Copy a file for its owner alone, with its time, by which a page of it is known; without it if that fails."""
    with suppress(OSError):
        if source != copy and not copy.exists():
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(source, copy)
            copy.chmod(0o600)


def remembered(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row of the chat remembers of the answer in it; empty for other rows."""
    answer: dict[str, Any] = (row.get("metadata") or {}).get("answer") or {}
    return answer


def titled(text: str) -> str:
    """Make a title of a text: on one line, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_SECONDS)
    for setting in ("foreign_keys = on", "secure_delete = on", "synchronous = normal", "cache_size = -256"):
        connection.execute(f"pragma {setting}")
    connection.create_function("fold", 1, str.casefold, deterministic=True)
    return connection


def _upgraded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Bring the tables to the present version; raises sqlite3.OperationalError for a newer one."""
    with connection:
        connection.execute("begin immediate")
        version = connection.execute("pragma user_version").fetchone()[0]
        if version > len(_CHANGES):
            raise sqlite3.OperationalError("a newer version of Escalator has written it")
        for statement in (each for statements in _CHANGES[version:] for each in statements):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {len(_CHANGES)}")
    return connection


def _kept(row: tuple[Any, ...]) -> Kept:
    name, title, changed, choices = row
    return Kept(name, title, changed, json.loads(choices))
