"""Office files, which are a zip of XML parts; it knows no format, and leaves limits to the process that reads them."""

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
    """What one part says of another: the last word of the kind of relation, and the other's name."""

    kind: str
    target: str


@contextmanager
def opened(data: bytes, suffix: str) -> Iterator["Package"]:
    """The parts of a file whose name ends in `suffix`; raises UnreadableFile for a password and for old formats."""
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise UnreadableFile("it is protected with a password; save it without one")
        old = "it is in an old format of Office under a new name"
        raise UnreadableFile(f"{old}; open it there and save it as {suffix}")
    with ZipFile(BytesIO(data)) as archive:
        yield Package(archive)


class Package:
    """The parts of one file."""

    def __init__(self, archive: ZipFile):
        self._archive = archive
        self.names = frozenset(archive.namelist())

    def main(self) -> str:
        """The name of the part that all others hang on."""
        return self.one("", "officeDocument") or "it has none"

    def one(self, name: str, kind: str) -> str | None:
        """The part that another one names for a purpose, such as "styles"."""
        return next((found.target for found in self.related(name).values() if found.kind == kind), None)

    def related(self, name: str) -> dict[str, Relation]:
        """The parts that a part names, by the ids it has for them."""
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
        """A part as it is stored."""
        return self._archive.read(name)

    def tree(self, name: str) -> Element:
        """The root of a part; names are without namespaces, but "r:id" stays apart from "id"."""
        root = fromstring(self.part(name))  # noqa: S314 - it loads nothing, and expat refuses what entities blow up
        local = _Local()
        for element in root.iter():
            element.tag = local[element.tag]
            if attributes := element.items():
                element.attrib = {local[key]: value for key, value in attributes}
        return root


class _Local(dict[str, str]):
    """Names by the names that have a namespace."""

    def __missing__(self, name: str) -> str:
        space, _, local = name.rpartition("}")
        self[name] = f"r:{local}" if space.endswith("relationships") and local == "id" else local
        return self[name]
