"""Builds the elements of an XML file that nobody vouches for; it expands no entities and keeps limits."""

from xml.etree.ElementTree import Element, TreeBuilder

from app.errors import UnreadableFile

MAX_ELEMENTS = 4_000_000
MAX_DEPTH = 200


class Builder(TreeBuilder):
    """The target of a parser: elements under their names without namespaces, of which "r:id" stays apart from "id".

    `ready` gets the elements whose names are wanted when they end; `left` is how many more may follow.
    """

    def __init__(self, wanted: tuple[str, ...], left: int):
        super().__init__()
        self.ready: list[Element] = []
        self.left = left
        self._wanted = wanted
        self._depth = 0
        self._local = _Local()

    def doctype(self, *_: object) -> None:
        """Office writes none, and without one there are no entities to expand."""
        raise UnreadableFile("it declares entities, which no Office file does; save it again")

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        """Begins an element."""
        self._depth += 1
        self.left -= 1
        if self._depth > MAX_DEPTH or self.left < 0:
            raise UnreadableFile("it is nested too deeply or holds too much; split it into several, or save it again")
        local = self._local
        return TreeBuilder.start(self, local[tag], {local[key]: attrs[key] for key in attrs} if attrs else attrs)

    def end(self, tag: str) -> Element:
        """Ends an element."""
        self._depth -= 1
        element = TreeBuilder.end(self, self._local[tag])
        if element.tag in self._wanted:
            self.ready.append(element)
        return element


class _Local(dict[str, str]):
    """Names by the names that have a namespace."""

    def __missing__(self, name: str) -> str:
        space, _, local = name.rpartition("}")
        self[name] = f"r:{local}" if space.endswith("relationships") and local == "id" else local
        return self[name]
