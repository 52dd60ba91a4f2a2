"""A Python that fits a kit, and its packages in a virtual environment. Runs before anything is installed."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

from app.kit.bundle import Kit
from app.kit.carry import SCAN, WINDOWS, Problem, say

SCAN_AFTER = 30.0
"""Seconds after which it is said why a program may take so long."""
LONGEST = 259
"""Characters in a path that every program on Windows can open."""
ASK = (
    "import json, platform, sys, sysconfig; from importlib.util import find_spec; "
    "print(json.dumps([sys.executable, '%d.%d' % sys.version_info[:2], sysconfig.get_platform(), platform.machine(),"
    " bool(find_spec('ensurepip') and find_spec('venv'))]))"
)


def named(system: str, machine: str) -> str:
    """A platform as kits name it, from what a Python says it was built for; an x64 Python on Windows Arm is x64."""
    kind = "windows" if system.startswith("win") else "macos" if system.startswith("macosx") else "linux"
    arm = system.endswith("arm64") if kind == "windows" else machine.lower() in ("arm64", "aarch64")
    return f"{kind}-{'arm64' if arm else 'x64'}"


def here() -> tuple[str, str]:
    """The platform and the version of the Python that runs this."""
    return named(sysconfig.get_platform(), platform.machine()), f"{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter(kit: Kit) -> tuple[str, str]:
    """A Python for which the kit has the packages, and the kit's name for these; its own Python if that fits."""
    wanted, met = kit.data["wheels"], []
    versions = sorted({name.split()[1] for name in wanted})
    launched = [["py", f"-{version}{bits}"] for bits in ("", "-64") for version in versions] if WINDOWS else []
    for command in ([sys.executable], *launched, *([f"python{version}"] for version in (*versions, "3", ""))):
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            asked = subprocess.run([*command, "-c", ASK], capture_output=True, timeout=60, check=True)  # noqa: S603
            path, version, system, machine, complete = json.loads(asked.stdout)
            name = f"{named(system, machine)} {version}"
            if name in wanted and complete:
                return path, name
            met.append(f"{name}{'' if complete else ' without venv'} ({path})")
    extras = ", ".join(kit.source(path) for path in kit.below("extras").values())
    raise Problem(
        f"No Python that this kit is for was found. It has packages for {', '.join(wanted)}; here there is "
        f"{', '.join(dict.fromkeys(met)) or 'none'}. Install a Python that fits{extras and f' ({extras})'}, then run "
        "this again. On Debian and Ubuntu python3-venv is needed too; on Windows Arm a Python for x64 works."
    )


def run(command: list[str], what: str, folder: Path) -> None:
    """Run a program to its end, and say why it takes long; a failure ends with what it said last."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("PIP_", "PYTHON"))}
    kept |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONUTF8": "1"}
    patience = threading.Timer(SCAN_AFTER, say, [f"{what} is still running. {SCAN}"])
    patience.start()
    try:
        done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, check=False)  # noqa: S603
    finally:
        patience.cancel()
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-5:])
        raise Problem(f"{what} failed:\n{last}\nRun this again; what is done is not done twice.")


def python_of(folder: Path) -> Path:
    """The Python of a folder's virtual environment."""
    return folder / ".venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def too_long(folder: str, longest: int) -> bool:
    """Whether a package's files would have longer names than every program on Windows can open."""
    return len(folder) + len("\\.venv\\Lib\\site-packages\\") + longest > LONGEST


def install(kit: Kit, python: str, name: str, folder: Path) -> None:
    """Make the virtual environment, with the packages for `name` and the project itself, as it may be edited."""
    wheels = folder / ".kit" / "wheels"
    files = {Path(path).name: path for path in kit.data["wheels"][name]}
    kit.bring(files, wheels)
    say("Installing the packages ...")
    run([python, "-m", "venv", "--clear", str(folder / ".venv")], "Making the virtual environment", folder)
    options = "-m pip --disable-pip-version-check install --quiet --no-index --no-deps"
    pip = [str(python_of(folder)), *options.split()]
    # Python compiles what is used when it is; to compile all takes longer, and twice as many files to be checked.
    run([*pip, "--no-compile", *files], "Installing the packages", wheels)
    run([*pip, "--no-build-isolation", "--editable", "."], "Installing Escalator", folder)
    shutil.rmtree(wheels, ignore_errors=True)
