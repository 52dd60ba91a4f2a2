"""A kit as it is used: what it says of itself, and where its files are. Runs before anything is installed."""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.parse
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.kit.carry import Damaged, Problem, allowed, bring, digest, mb, opened, say

FORMAT = 1


class Kit:
    """What a kit says of itself, and where its files are: a folder, a share, or an address."""

    def __init__(self, where: str, check: str | None = None):
        self.web = where.startswith(("http://", "https://"))
        self.base = where.rstrip("/") if self.web else str(Path(where).absolute())
        self.damaged: list[str] = []
        self.total = self._done = 0
        self._said = time.monotonic()
        try:
            with opened(self.source("kit.json"), 0)[0] as file:
                raw = file.read()
            self.data: dict[str, Any] = json.loads(raw)
            self.files: dict[str, dict[str, Any]] = self.data["files"]
            bad = [path for path in self.files if not allowed(path)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Problem(
                f"There is no kit at {where} that can be read ({error}). Name its folder or address."
            ) from None
        self.sum = hashlib.sha256(raw).hexdigest()
        if check and not self.sum.startswith(check.lower()):
            raise Problem(f"The kit at {where} has the sum {self.sum}, not {check}. Ask who gave you the sum.")
        if self.data.get("unfinished"):
            raise Problem(f"The kit at {where} is unfinished. Run `escalator kit make` again; it goes on there.")
        if self.data.get("format") != FORMAT or bad:
            raise Problem(f"The kit at {where} was made for another version, or names what it must not: {bad[:3]}.")

    def source(self, path: str) -> str:
        """Where a file of the kit is."""
        return f"{self.base}/{urllib.parse.quote(path)}" if self.web else os.path.join(self.base, *path.split("/"))  # noqa: PTH118

    def below(self, folder: str) -> dict[str, str]:
        """The files of a folder of the kit, by their paths in it."""
        return {path[len(folder) + 1 :]: path for path in self.files if path.startswith(folder + "/")}

    def size(self, paths: Iterable[str]) -> int:
        """The bytes of so many files."""
        return sum(self.files[path]["size"] for path in paths)

    def bring(self, paths: dict[str, str], folder: Path) -> None:
        """Copy files into a folder, by their paths there, unless they are there; all damaged ones are named."""
        for path, source in paths.items():
            about = self.files[source]
            try:
                bring(self.source(source), folder / path, about["size"], about["sha256"], done=self._add)
            except Damaged:
                self.damaged.append(source)
        self._name_damaged()

    def _add(self, new: int) -> None:
        """Say how far a copy is, every five seconds."""
        self._done += new
        if time.monotonic() - self._said >= 5:
            self._said = time.monotonic()
            say(f"  {mb(self._done)} of {mb(self.total)}")

    def checked(self) -> int:
        """Compare every file with its sum, in a folder; how many there are."""
        for path, about in self.files.items():
            with suppress(OSError):
                if digest(Path(self.source(path))) == about["sha256"]:
                    continue
            self.damaged.append(path)
        self._name_damaged()
        return len(self.files)

    def _name_damaged(self) -> None:
        if self.damaged:
            some = ", ".join(self.damaged[:20]) + (f" and {len(self.damaged) - 20} more" if self.damaged[20:] else "")
            raise Problem(
                f"Damaged or missing in the kit at {self.base}: {some}. Copy these anew, then run this again."
            )
