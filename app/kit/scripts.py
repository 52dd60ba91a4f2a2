"""What lies open in a kit: the scripts that start it, the program they start, and a list of what is in it."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

from app.kit.carry import mb
from app.settings import ROOT

MODULES = ("__init__", "errors", "kit/__init__", "kit/carry", "kit/bundle", "kit/environment", "kit/use")
MAIN = """import sys
if sys.version_info < (3, 9):
    sys.exit("This is Python %d.%d. Escalator needs 3.11, 3.12 or 3.13: install one, then run this again." %
             sys.version_info[:2])
from app.kit.use import main
main()
"""


def text(name: str) -> str:
    """A text of the folder `texts`."""
    return (Path(__file__).parent / "texts" / name).read_text(encoding="utf-8")


def program() -> bytes:
    """`use.pyz`: the modules that bring a laptop up, the same bytes whenever it is packed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MODULES:
            archive.writestr(zipfile.ZipInfo(f"app/{name}.py"), (ROOT / "app" / f"{name}.py").read_bytes())
        archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN)
    return packed.getvalue()


def scripts() -> dict[str, bytes]:
    """The files that lie open, by their names."""
    shell, cmd = text("start.sh").encode(), text("start.cmd").replace("\n", "\r\n").encode()
    return {"start.sh": shell, "start.command": shell, "start.cmd": cmd, "use.pyz": program()}


def contents(kit: dict[str, Any]) -> str:
    """CONTENTS.md: what the kit holds, how it is used, and under which licences."""
    models = [(each["id"], each["device"], mb(each["size"]), each["licence"]) for each in kit["models"]]
    return Template(text("CONTENTS.md")).substitute(
        version=kit["version"],
        made=kit["made"],
        count=len(kit["files"]) + 1,
        size=mb(sum(file["size"] for file in kit["files"].values())),
        wheels=", ".join(kit["wheels"]),
        models=_rows(models or [("none", "", "", "")]),
        packages=_rows(each.values() for each in kit["packages"]),
    )


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
