"""Office files as zip archives of XML parts (ECMA-376, part 2); it knows no format, and sets no limits of its own."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple
from xml.etree.ElementTree import Element, fromstring
from zipfile import ZipFile

from app.errors import UnreadableFile

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


class Relation(NamedTuple):
    """A reference from one part to another: the last word of its type, and the name of the other part."""

    kind: str
    target: str


@contextmanager
def opened(data: bytes, suffix: str) -> Iterator["Package"]:
    """Open a file whose name ends in `suffix`; raises UnreadableFile for a password and for old formats."""
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise UnreadableFile("it is protected with a password; save it without one")
        old = "it is in an old format of Office under a new name"
        raise UnreadableFile(f"{old}; open it there and save it as {suffix}")
    with ZipFile(BytesIO(data)) as archive:
        yield Package(archive)


class Package:
    """The archive of one file."""

    def __init__(self, archive: ZipFile):
        self._archive = archive
        self.names = frozenset(archive.namelist())

    def main(self) -> str:
        """Return the name of the part that refers to all others."""
        return self.one("", "officeDocument") or "it has none"

    def one(self, name: str, kind: str) -> str | None:
        """The part that another one names for a purpose, such as "styles"."""
        return next((found.target for found in self.related(name).values() if found.kind == kind), None)

    def related(self, name: str) -> dict[str, Relation]:
        """Return the references of a part, by their ids."""
        folder, file = posixpath.split(name)
        relations = f"{folder}/_rels/{file}.rels".lstrip("/")
        if relations not in self.names:
            return {}
        found = {}
        for item in self.tree(relations):
            if item.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, item.get("Target", ""))).lstrip("/")
                found[item.get("Id", "")] = Relation(item.get("Type", "").rpartition("/")[2], target)
        return found

    def part(self, name: str) -> bytes:
        """Return the bytes of a part."""
        return self._archive.read(name)

    def tree(self, name: str) -> Element:
        """Parse a part; names lose their namespaces, but "r:id" stays different from "id"."""
        root = fromstring(self.part(name))  # noqa: S314 - it loads nothing, and expat stops entities that grow
        local = _Local()
        for element in root.iter():
            element.tag = local[element.tag]
            if attributes := element.items():
                element.attrib = {local[key]: value for key, value in attributes}
        return root


class _Local(dict[str, str]):
    """Local names, by the names with a namespace."""

    def __missing__(self, name: str) -> str:
        space, _, local = name.rpartition("}")
        self[name] = f"r:{local}" if space.endswith("relationships") and local == "id" else local
        return self[name]
