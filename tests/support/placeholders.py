"""Files that lie in a cloud and are fetched when they are opened, as OneDrive and iCloud leave them in a folder."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

RECALL_ON_ACCESS = 0x400000
"""FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS of Windows."""


def put_away(patch: pytest.MonkeyPatch, name: str, **attributes: int) -> None:
    """Have the system say so of the files of this name, by default as Windows does; to open one fails."""
    stat, opened = os.stat, Path.open
    attributes = attributes or {"st_file_attributes": RECALL_ON_ACCESS}

    def described(path: Any, **given: Any) -> Any:
        status = stat(path, **given)
        if not isinstance(path, (str, os.PathLike)) or Path(path).name != name:
            return status
        kept = {key: getattr(status, key) for key in dir(status) if key.startswith("st_")}
        return SimpleNamespace(**kept | attributes)

    def refused(self: Path, *given: Any, **named: Any) -> Any:
        assert self.name != name, "it was opened, which fetches it"
        return opened(self, *given, **named)

    patch.setattr(os, "stat", described)
    patch.setattr(Path, "open", refused)
