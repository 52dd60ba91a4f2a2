"""All errors that a person can meet, in one tree; a message is a sentence that names the thing and the remedy.

EscalatorError
├── InputError            the question itself cannot be answered
├── SettingsError         a setting has a value that is not allowed
├── CorpusError           the corpus folder
│   ├── UnreadableFile    one file of it; the others are read
│   ├── DamagedIndex      its index; it is rebuilt
│   └── IndexAway         its index in PostgreSQL; it is tried again
└── ModelError            no answer from a model
    ├── StaysHere         what would be sent is private, and the model is on another machine
    ├── NoModel           none could be found or loaded
    ├── DownloadFailed    a model did not arrive; what has arrived is kept
    │   ├── UnknownModel      no catalogue names it
    │   ├── CatalogueBlocked  the public catalogue, or its store, is out of reach
    │   ├── DiskFull          before or during the download
    │   └── DamagedModel      it arrived and cannot be used; it was removed
    └── AnswerFailed      a request was sent and did not end well
        ├── ContextOverflow
        ├── ModelGone     the server no longer has the model loaded; loading it again may help
        └── ServerError   worth another try: unavailable, connection refused or lost
            └── ServerBusy
                └── TooManyTurns  of one person, here
"""

from pathlib import Path

from app.translation import _, gigabytes


class EscalatorError(Exception):
    """Base of all errors that are shown to a person as they are, in the language that is chosen where they are shown.

    The first argument is the English text, with its values in braces.
    """

    def __init__(self, text: str, /, **values: object) -> None:
        super().__init__(text)
        self._text, self._values = text, values

    def __str__(self) -> str:
        return _(self._text, **self._values)

    @property
    def english(self) -> str:
        """The English message, to be kept."""
        return self._text.format(**self._values) if self._values else self._text


class InputError(EscalatorError):
    """The question is empty or too long."""


class SettingsError(EscalatorError):
    """A setting has a value that is not allowed; the message names the setting, the value and what is allowed."""


class CorpusError(EscalatorError):
    """The corpus folder is missing or cannot be listed."""


class UnreadableFile(CorpusError):
    """One file of the corpus cannot be read; the message is the reason, without the file's name."""


class DamagedIndex(CorpusError):
    """A file of the index of the corpus is damaged."""

    def __init__(self, path: Path):
        super().__init__("The index file {path} is damaged. Delete its folder; the index is then made anew.", path=path)


class IndexAway(CorpusError):
    """The index in PostgreSQL is out of reach, or was changed while it was read."""


class ModelError(EscalatorError):
    """There is no answer from a model."""


class StaysHere(ModelError):
    """What a model would be sent rests on something private, and the model is on another machine."""

    def __init__(self, rule: str):
        super().__init__("Kept on this computer: {rule}", rule=rule)


class NoModel(ModelError):
    """No model could be found or loaded."""


class DownloadFailed(ModelError):
    """A download did not finish; what has arrived is kept, and another try continues there."""


class UnknownModel(DownloadFailed):
    """No model of this name is in the catalogue."""


class CatalogueBlocked(DownloadFailed):
    """The public catalogue of models, or the store of its models, is out of reach from here."""

    def __init__(self, why: str):
        super().__init__(
            "The public catalogue of models cannot be reached: {why}. A company's network may not let it through: try "
            "another network, or use a trainer's kit (`escalator kit use`), which needs none. Where a proxy must be "
            "used, set HTTPS_PROXY to its address, and SSL_CERT_FILE to its certificate if it inspects encrypted "
            "traffic.",
            why=why,
        )


class DiskFull(DownloadFailed):
    """The disk lacks room for a model; sizes in megabytes."""

    def __init__(self, name: str, need_mb: float, free_mb: float, folder: Path):
        super().__init__(
            "{name} needs {need} more on the disk of {folder}, where {free} are free. Make room there, or have "
            "ESCALATOR_MODEL_CACHE name a folder on another disk, and try again.",
            name=name,
            need=gigabytes(need_mb),
            free=gigabytes(free_mb),
            folder=folder,
        )


class DamagedModel(DownloadFailed):
    """A model arrived and cannot be loaded; its files have been removed."""


class AnswerFailed(ModelError):
    """A request to a model did not end with an answer."""


class ServerError(AnswerFailed):
    """The model's server was busy, unavailable or out of reach; another try may succeed."""


class ModelGone(AnswerFailed):
    """The server no longer has the model, or never knew it."""


class ServerBusy(ServerError):
    """The server asks for a pause of some seconds."""

    def __init__(self, text: str, seconds: float, **values: object):
        super().__init__(text, **values)
        self.seconds = seconds


class TooManyTurns(ServerBusy):
    """A person has as many questions in line or being answered as are allowed."""


class ContextOverflow(AnswerFailed):
    """Prompt and answer do not fit the model's context; sizes in tokens, None where the server did not say."""

    def __init__(self, text: str, *, prompt: int | None = None, limit: int | None = None, **values: object):
        super().__init__(text, **values)
        self.prompt = prompt
        self.limit = limit
