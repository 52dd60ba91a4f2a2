"""Who asks, also in a room: several people at one server, each under a name that only their own browser has."""

import hashlib
import hmac
import secrets
import time
import unicodedata
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET
from typing import ClassVar

import psutil
from filelock import FileLock
from starlette.exceptions import HTTPException

from app.files import load_json, write_json
from app.settings import LOOPBACK

person: ContextVar[str] = ContextVar("person", default="")
"""Whose event is being handled, also in the tasks that it begins; "" is the one person at this machine."""

organiser: ContextVar[bool] = ContextVar("organiser", default=True)
"""Whether that person may change what all share: the documents and the models."""

request: ContextVar[str] = ContextVar("request", default="")
"""The id of what is being handled, such as a question: errors that people see have it, and the log."""

CODE = "abcdefghjkmnpqrstuvwxyz23456789", 8
"""Characters of codes, none of which is mistaken for another one on a wall, and how many a code has: with the limit of
wrong ones, to guess it takes longer than any room lasts."""

MAX_WRONG, WRONG_SECONDS = 10, 60.0
"""So many wrong codes may come from one address in this time; a room behind a router has one address."""

MAX_NAME, MAX_PEOPLE = 40, 500
"""Characters of a name, which must fit where it is shown; names that a server gives away, each with a folder."""

HERE = "you"
"""The name of the one person at this machine, who never logs in; nobody else can have it."""


@dataclass(frozen=True, slots=True)
class Member:
    """Who has logged in: `proof` tells whose name it is, and `secret` is for the browser that has just taken it."""

    name: str
    proof: str
    organiser: bool = False
    secret: str = ""


def begin_request() -> str:
    """Give what is being handled an id, and return it."""
    request.set(name := secrets.token_hex(3))
    return name


def sits_here() -> bool:
    """Whether the event is of the person at this machine, for whom programs of it may be started."""
    return not person.get() and organiser.get()


class Room:
    """Who may come in: `hosts` are the names of the server, `proxies` are trusted. Its methods block."""

    current: ClassVar["Room | None"] = None
    """The room of which this process is the server; None if it is one person's."""

    def __init__(self, state: Path, hosts: Sequence[str], password: str = "", *, organised: bool = False) -> None:
        self.hosts = tuple(map(str.lower, (*LOOPBACK, *hosts)))
        self.proxies = ""
        self.code = password or _new_code()
        self.organiser_code = _new_code() if organised else ""
        self._form = str.encode if password else _typed
        self._people = state / "people"
        self._people.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._known: dict[str, str] = {}
        self._wrong: dict[str, list[float]] = {}

    def signing_key(self) -> str:
        """Return the key that signs logins: kept, so that a restart logs nobody out, and processes share it."""
        path = self._people / "signing.json"
        with FileLock(self._people / "lock"):
            if not (kept := load_json(path)):
                write_json(path, kept := {"key": secrets.token_hex(32)})
        return str(kept["key"])

    def admit(self, name: str, code: str, cookies: Mapping[str, str], address: str) -> Member:
        """Let somebody in who has the code and a name of their own; raises HTTPException."""
        organises = self._check(code, address)
        name = " ".join(name.split())
        if not (name and name.isprintable() and len(name) <= MAX_NAME):
            raise HTTPException(400)
        with FileLock(self._people / "lock"):
            kept = load_json(path := self._account(name)) or {}
            if _key(name) == _key(HERE) or (kept and kept["proof"] != _hash(cookies.get(cookie(name), ""))):
                raise HTTPException(409)
            if kept:
                return Member(kept["name"], kept["proof"], organises)
            if len([*self._people.iterdir()]) > MAX_PEOPLE:
                raise HTTPException(503)
            secret = secrets.token_urlsafe(32)  # never one that the browser brings: another one could have put it there
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_json(path, {"name": name, "proof": _hash(secret)})
        self._known[name] = _hash(secret)
        return Member(name, _hash(secret), organises, secret)

    def remembers(self, name: str, proof: str) -> bool:
        """Whether a name is known to be the one of whoever logged in with it; asks no disk."""
        return bool(proof) and self._known.get(name) == proof

    def knows(self, name: str, proof: str) -> bool:
        """Whether a name is still the one of whoever logged in with it."""
        if not self.remembers(name, proof):
            self._known[name] = (load_json(self._account(name)) or {}).get("proof", "")
        return self.remembers(name, proof)

    def _account(self, name: str) -> Path:
        return self._people / _key(name) / "account.json"

    def _check(self, code: str, address: str) -> bool:
        """Return whether a code is the organiser's; raises HTTPException for a wrong one, or any after too many."""
        now = time.monotonic()
        self._wrong = {each: times for each, times in self._wrong.items() if now - times[-1] < WRONG_SECONDS}
        if len(times := self._wrong.get(address, [])) >= MAX_WRONG:
            raise HTTPException(429)
        for right, form in ((self.organiser_code, _typed), (self.code, self._form)):
            if right and hmac.compare_digest(form(code), form(right)):
                return right == self.organiser_code
        self._wrong[address] = [*times, now]
        raise HTTPException(401)


def folder_of(state: Path, name: str) -> Path:
    """Return where a person's conversations are; those of the one at this machine are in the state folder itself."""
    return state / "people" / _key(name) if name else state


def folders(state: Path) -> list[Path]:
    """List where conversations are: first those of the one at this machine, then those of each person of a room."""
    return [state, *sorted(path for path in (state / "people").glob("*") if path.is_dir())]


def cookie(name: str) -> str:
    """Return the name of the cookie that keeps a person's secret."""
    return f"escalator_{_key(name)}"


def own_addresses() -> list[str]:
    """List the addresses of this machine in its networks; nothing is sent to find them."""
    return [each.address for card in psutil.net_if_addrs().values() for each in card if each.family == AF_INET]


def _key(name: str) -> str:
    return _hash(unicodedata.normalize("NFKC", name).casefold())[:32]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _new_code() -> str:
    letters = "".join(secrets.choice(CODE[0]) for _ in range(CODE[1]))
    return f"{letters[:4]}-{letters[4:]}"


def _typed(code: str) -> bytes:
    """Return a code without what people add or leave out when they copy it."""
    return "".join(code.replace("-", "").split()).casefold().encode()
