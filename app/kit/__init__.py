"""The trainer's kit, in a folder, on a share or on the network: its server, and whole, checked, resumable copies.

`use.py` runs this before anything is installed: it needs the standard library alone, but for the server.
"""

import errno
import hashlib
import http.client
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import quote
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from app import files
from app.errors import EscalatorError
from app.translation import size as in_words

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORMAT = 2
VOCABULARY = "tiktoken"
"""The folder of the vocabulary for counting tokens, in a kit and in a state folder."""
CHUNK = 1 << 20
ANTIVIRUS = "An antivirus program may be checking the new files; this can take a minute the first time."
HELD_SECONDS = 60.0
"""How long a file may be held by another program."""
PAUSES = (1, 2, 4, 8)
"""Seconds before further attempts to reach a kit on the network."""
DIRECT = build_opener(ProxyHandler({}))
"""Ignores proxies: a kit is in the room."""

T = TypeVar("T")


class KitError(EscalatorError):
    """A kit cannot be made, read or used; the message says what to do."""


class Damaged(KitError):
    """A file is missing, or its checksum is wrong."""


def say(text: str) -> None:
    """Print a line for the person who waits."""
    print(text, flush=True)  # noqa: T201


def patiently(action: Callable[[], T]) -> T:
    """Do what Windows may refuse for a while, and say why it takes long."""
    return files.retry(action, HELD_SECONDS, lambda: say(ANTIVIRUS))


def check_room(folder: Path, need: int) -> None:
    """Raise KitError if the disk of a folder, which need not exist, has fewer than `need` bytes free."""
    free = shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists())).free
    if need > free:
        raise KitError(
            f"The disk of {folder} has {in_words(free)} free, and {in_words(need)} are needed. Free some room."
        )


def is_whole(path: Path, size: int, sha256: str) -> bool:
    """Whether a file is there and has this size and this checksum."""
    with suppress(OSError):
        return path.stat().st_size == size and patiently(lambda: files.sha256(path)) == sha256
    return False


def copy(
    source: str,
    target: Path,
    size: int,
    sha256: str,
    opener: OpenerDirector = DIRECT,
    progress: Callable[[int], None] = lambda new: None,
) -> None:
    """Copy a file or address unless it is there, continuing an interrupted copy; raises Damaged, KitError."""
    target = files.long(target)
    part = target.with_name(target.name + ".part")
    if is_whole(target, size, sha256):
        progress(size)
        return
    for pause in (*PAUSES, None) if "://" in source else (None,):
        resumed = part.exists()
        try:
            patiently(lambda: _append(source, part, size, opener, progress))
            break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, FileNotFoundError) or 400 <= getattr(error, "code", 0) < 500:
                raise Damaged(f"{source} is missing: {error}") from None
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG):
                fat = " (or it is FAT32, which holds no file of 4 GB: use exFAT)" if size >> 32 else ""
                raise KitError(f"The disk of {target.parent} is full{fat}. Free some room, run this again.") from None
            if pause is None:
                raise KitError(f"{source} cannot be copied here: {error}. Run this again to continue.") from None
            time.sleep(pause)
    if is_whole(part, size, sha256):
        patiently(lambda: part.replace(target))
        return
    patiently(part.unlink)
    if not resumed:
        raise Damaged(f"{source} is damaged: its checksum is not {sha256}.")
    copy(source, target, size, sha256, opener, progress)  # what was there was part of something else


def open_from(source: str, start: int, opener: OpenerDirector = DIRECT) -> BinaryIO:
    """Open a file, or an address on a server that knows ranges, at byte `start`."""
    if "://" in source:
        headers = {"Range": f"bytes={start}-"} if start else {}
        return cast("BinaryIO", opener.open(Request(source, headers=headers), timeout=30))  # noqa: S310
    file = files.long(Path(source)).open("rb")
    file.seek(start)
    return file


def _append(source: str, part: Path, size: int, opener: OpenerDirector, progress: Callable[[int], None]) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    progress(have)
    if have >= size > 0:
        return
    with open_from(source, have, opener) as stream, part.open("ab") as file:
        while data := stream.read(CHUNK):
            file.write(data)
            progress(len(data))
        if "://" in source and file.tell() < size:
            raise ConnectionError("it ended too early")


class Kit:
    """A kit as its `kit.json` describes it: in a folder, on a share, or at an address."""

    def __init__(self, where: str, digest: str = ""):
        """Read kit.json, whose SHA-256 must begin with `digest`; raises KitError."""
        self.web = where.startswith(("http://", "https://"))
        self.base = where.rstrip("/") if self.web else str(Path(where).absolute())
        self.total = self._done = 0
        self._reported = time.monotonic()
        try:
            with open_from(self.source("kit.json"), 0) as file:
                raw = file.read()
            self.data: dict[str, Any] = json.loads(raw)
            self.files: dict[str, dict[str, Any]] = self.data["files"]
            bad = [path for path in self.files if not files.is_portable(path)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KitError(f"There is no readable kit at {where} ({error}). Name its folder or address.") from None
        self.digest = hashlib.sha256(raw).hexdigest()
        if not self.digest.startswith(digest.lower()):
            raise KitError(
                f"The kit at {where} has the checksum {self.digest}, not {digest}. Ask whoever gave you that."
            )
        if self.data.get("unfinished"):
            raise KitError(f"The kit at {where} is unfinished. Run `escalator kit make` again; it continues there.")
        if self.data.get("format") != FORMAT or bad:
            raise KitError(f"The kit at {where} is for another version, or names forbidden files: {bad[:3]}.")

    def source(self, path: str) -> str:
        """Name a file of the kit by its path on this machine or its address."""
        return f"{self.base}/{quote(path)}" if self.web else str(Path(self.base, path))

    def below(self, folder: str) -> dict[str, str]:
        """List the files of a folder of the kit, by their paths in that folder."""
        return {path[len(folder) + 1 :]: path for path in self.files if path.startswith(folder + "/")}

    def size(self, paths: Iterable[str]) -> int:
        """Add up the bytes of some files."""
        return sum(self.files[path]["size"] for path in paths)

    def copy(self, paths: dict[str, str], folder: Path) -> None:
        """Copy files into a folder, by their paths there; raises KitError that names all damaged ones."""
        damaged = []
        for path, source in paths.items():
            try:
                copy(self.source(source), folder / path, **self.files[source], progress=self._report)
            except Damaged:
                damaged.append(source)
        self._refuse(damaged)

    def check(self) -> int:
        """Compare every file of a kit in a folder with its checksum and count them; raises KitError."""
        self._refuse([path for path in self.files if not is_whole(Path(self.source(path)), **self.files[path])])
        return len(self.files)

    def _refuse(self, damaged: list[str]) -> None:
        if damaged:
            more = f" and {len(damaged) - 20} more" if damaged[20:] else ""
            raise KitError(
                f"Damaged or missing in the kit at {self.base}: {', '.join(damaged[:20])}{more}. Copy these anew, then "
                "run this again."
            )

    def _report(self, new: int) -> None:
        """Say every five seconds how far copying has come."""
        self._done += new
        if time.monotonic() - self._reported >= 5:
            self._reported = time.monotonic()
            say(f"  {in_words(self._done)} of {in_words(self.total)}")


CODE = (
    "import runpy,urllib.request as u;open('use.pyz','wb').write(u.build_opener(u.ProxyHandler({{}}))"
    ".open('http://{host}/use.pyz').read());runpy.run_path('use.pyz',run_name='__main__')"
)


class Traffic:
    """Counts the bytes that each machine has received, and reports them every five seconds."""

    def __init__(self, app: "ASGIApp", tell: Callable[[str], Any]):
        self._app, self._tell = app, tell
        self.bytes: Counter[str] = Counter()
        self._told = 0.0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def counted(message: "Message") -> None:
            await send(message)
            self.bytes[(scope.get("client") or ["?"])[0]] += len(message.get("body", b""))
            if time.monotonic() - self._told > 5:
                self._told = time.monotonic()
                self._tell(", ".join(f"{host}: {in_words(got)}" for host, got in self.bytes.items()))

        await self._app(scope, receive, counted if scope["type"] == "http" else send)


def application(folder: Path) -> tuple["Starlette", str]:
    """Make the server of a kit, and the SHA-256 of its kit.json; it offers no file that kit.json does not list."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request as Asked
    from starlette.responses import FileResponse, HTMLResponse, Response
    from starlette.routing import Route

    from app.export import filled

    kit = Kit(str(folder))

    def index(request: Asked) -> Response:
        host = request.headers.get("host", "")
        return HTMLResponse(filled("kit/page.html", code=CODE.format(host=host), host=host, sum=kit.digest))

    def file(request: Asked) -> Response:
        name = request.path_params["path"]
        if (name not in kit.files and name != "kit.json") or not (folder / name).is_file():
            raise HTTPException(404)
        return FileResponse(folder / name)

    return Starlette(routes=[Route("/", index), Route("/{path:path}", file)]), kit.digest


def addresses(host: str, port: int) -> list[str]:
    """List the addresses of a server that listens at `host`."""
    from app.room import own_addresses

    return [f"http://{each}:{port}" for each in (own_addresses() if host == "0.0.0.0" else [host])]  # noqa: S104
