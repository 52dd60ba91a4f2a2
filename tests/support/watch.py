"""Whom a process speaks to: every address it connects or sends to, with strace where it is installed, else by looks
at its sockets."""

import ipaddress
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CALLS = "trace=connect,sendto,sendmsg,sendmmsg"
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"|sun_path=@?"([^"]*nscd[^"]*)"')

POSSIBLE = Path("/proc/self/net/tcp").exists()
"""Whether this system lets itself be watched."""


def spoken_to(command: list[str], use: Callable[[], None], note: Path, *, strace: bool | None = None) -> set[str]:
    """Addresses that a command spoke to while it was used; it is ended behind that, if it has not ended by itself."""
    traced = shutil.which("strace") is not None if strace is None else strace
    line = ["strace", "-f", "-qq", "-e", CALLS, "-o", str(note), *command] if traced else command
    with subprocess.Popen(line, stdin=subprocess.DEVNULL) as process:
        looks = _Looks(process.pid)
        if not traced:
            looks.start()
        try:
            use()
            process.wait(10)
        finally:
            looks.enough.set()
            process.kill()
    if not traced:
        looks.join()
        return looks.seen
    found = _ADDRESS.findall(note.read_text(encoding="utf-8", errors="replace"))
    return {"".join(groups) for groups in found}


def elsewhere(addresses: set[str]) -> set[str]:
    """Those of the addresses that are not on this machine; a look-up of a name counts."""
    away = set()
    for address in addresses:
        with suppress(ValueError):
            parsed = ipaddress.ip_address(address.split("%")[0])
            mapped = getattr(parsed, "ipv4_mapped", None)
            if (mapped or parsed).is_loopback or parsed.is_unspecified:
                continue
        away.add(address)
    return away


class _Looks(threading.Thread):
    """Looks at the sockets of a process again and again; what lives shorter than a look is missed."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.enough = threading.Event()
        self._proc = Path(f"/proc/{pid}")

    def run(self) -> None:
        while not self.enough.wait(0.001):
            with suppress(OSError):
                self._look()

    def _look(self) -> None:
        inodes = set()
        for link in (self._proc / "fd").iterdir():
            with suppress(OSError):
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        for kind in ("tcp", "tcp6", "udp", "udp6"):
            for line in (self._proc / "net" / kind).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[9] in inodes:
                    self.seen.add(_address(fields[2].partition(":")[0]))


def _address(digits: str) -> str:
    """An address as the kernel lists it: words of four bytes, each in this machine's order."""
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
