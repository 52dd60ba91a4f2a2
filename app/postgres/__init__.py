"""The corpus whose index is in PostgreSQL, while the server answers; else the local index, if there is one here."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.documents.folder import Difference, Folder
from app.errors import CorpusError, IndexAway
from app.retrieval.corpus import Corpus, Progress, corpus_id
from app.retrieval.search import Exchange, SearchResult
from app.retrieval.snapshot import Snapshot
from app.retrieval.store import IndexStore
from app.settings import Settings

if TYPE_CHECKING:
    from app.postgres.writing import PostgresStore


def corpus_of(settings: Settings) -> Corpus:
    """Return the corpus of the settings, whose index is where they say."""
    folder, address = Folder.of(settings), settings.index
    if address is None:
        return Corpus(folder, settings.state_dir)
    return SharedCorpus(folder, settings.state_dir, address.get_secret_value())


class SharedCorpus(Corpus):
    """A corpus that several processes search by one index; one of them follows the folder, and others need none."""

    def __init__(self, folder: Folder, state_dir: Path | None, address: str):
        super().__init__(folder, state_dir)
        self._address = address

    @cached_property
    def _store(self) -> IndexStore:
        return self.shared

    @cached_property
    def shared(self) -> "PostgresStore":
        """The index in PostgreSQL; raises IndexAway if the package for it is missing."""
        try:
            from app.postgres.writing import PostgresStore
        except ImportError as error:
            raise IndexAway(
                'ESCALATOR_INDEX needs a package that is not installed ({reason}). Run: pip install -e ".[postgres]"',
                reason=error,
            ) from None
        return PostgresStore(self._address, corpus_id(self.folder.path), self._local.limits)

    def search(self, question: str, history: Sequence[Exchange] = (), k: int = 10) -> SearchResult:
        try:
            return super().search(question, history, k)
        except IndexAway:  # the index was changed, or its server vanished, in the middle
            return super().search(question, history, k)

    def described(self) -> str:
        return super().described() if self.notice else self.shared.described()

    def _sound(self, progress: Progress | None) -> Snapshot:
        try:
            self._store = self.shared
            self.shared.follows = self.follows
            snapshot = super()._sound(progress)
            self.notice = None
        except IndexAway as error:
            self._store = self._local
            if not self._local.path.exists():
                raise
            self.notice = CorpusError("Answered from the index on this machine. {problem}", problem=error)
            snapshot = super()._sound(progress)
        return snapshot

    def _difference(self, snapshot: Snapshot) -> Difference | None:
        try:
            return super()._difference(snapshot)
        except CorpusError:
            if self._store is self._local or not snapshot.documents:
                raise
            return None  # without the folder, this process only reads
