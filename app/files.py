"""Files on every system: names Windows can hold, files other programs hold open, JSON that is replaced whole."""

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder, which holds `app/`."""

HELD = (5, 32, 33)
"""Windows' codes for a file that another program holds: access denied, sharing violation, lock violation."""

PATIENCE = 0.5
"""Seconds for which a held file is tried again; a reader of a small file lets go much sooner."""

NOTICE = 3.0
"""Seconds after which a person is told why something waits."""

FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*\ud800-\udfff]')
"""Characters that some system refuses in the name of a file."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[\d¹²³]) *(?:\.|$)", re.IGNORECASE)

T = TypeVar("T")


def is_reserved(name: str) -> bool:
    """Whether Windows takes the name of a file for one of its devices, whatever the ending: "NUL.txt", "com1"."""
    return _RESERVED.match(name) is not None


def is_portable(path: str) -> bool:
    """Whether a relative path with slashes stays inside its folder and can exist on every system."""
    return all(
        part not in ("", ".", "..")
        and not part.endswith((".", " "))
        and not FORBIDDEN.search(part)
        and not is_reserved(part)
        for part in path.split("/")
    )


def extended(path: str, platform: str = sys.platform) -> str:
    """Prefix an absolute Windows path so that it may exceed 259 characters and hold reserved names; else unchanged."""
    if platform != "win32" or path.startswith("\\\\?\\"):
        return path
    return f"\\\\?\\UNC\\{path[2:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"


def long(path: Path) -> Path:
    """Make a path absolute, and such that the file functions take it however long it is."""
    return Path(extended(str(path.absolute())))


def retry(action: Callable[[], T], patience: float = PATIENCE, notice: Callable[[], object] | None = None) -> T:
    """Repeat an action that Windows refuses while another program holds the file, for `patience` seconds.

    `notice` is called once if that takes longer than `NOTICE` seconds. Raises the last OSError.
    """
    start = time.monotonic()
    while True:
        try:
            return action()
        except OSError as error:
            waited = time.monotonic() - start
            if getattr(error, "winerror", None) not in HELD or waited > patience:
                raise
            if notice is not None and waited >= NOTICE:
                notice()
                notice = None
            time.sleep(min(0.1, patience / 10))


def write_json(path: Path, value: Any, *, shared: bool = False, patience: float = PATIENCE) -> None:
    """Replace a JSON file in one step, so that no reader sees half of it; only its owner can read one not `shared`.

    The folder is created. Raises OSError, and then leaves no draft behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if shared else 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
        retry(lambda: draft.replace(path), patience)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def load_json(path: Path) -> dict[str, Any] | None:
    """Load the object that a JSON file holds; None if there is no file, or no JSON object in it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def remove_json(path: Path, data: dict[str, Any]) -> None:
    """Delete a JSON file if it still holds this object."""
    if load_json(path) == data:
        with suppress(OSError):
            path.unlink()


def launch(path: Path, platform: str = sys.platform) -> bool:
    """Open a file or a folder in the system's program for it, without waiting; returns whether there is one.

    Raises OSError.
    """
    if platform == "win32":
        os.startfile(path)  # type: ignore[attr-defined,unused-ignore] # noqa: S606 - no shell
        return True
    program = shutil.which("open" if platform == "darwin" else "xdg-open")
    if program is None or not (platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ):
        return False
    quiet = subprocess.DEVNULL
    command = [program, str(path.absolute())]
    started = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603
    threading.Thread(target=started.wait, daemon=True).start()  # so that no ended process is left over
    return True


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
