"""Every error a person can meet, in one tree; each message is a sentence that names the thing and the remedy.

EscalatorError
├── InputError            the question itself cannot be answered
├── SettingsError         a setting has a value that is not allowed
├── CorpusError           the corpus folder
│   ├── UnreadableFile    one file of it; the others go on
│   └── DamagedIndex      what was kept of it; it is made anew
└── ModelError            no answer from a model
    ├── NoModel           none could be found or loaded
    └── AnswerFailed      a request was sent and did not end well
        ├── ContextOverflow
        ├── ModelGone     the server no longer has the model loaded; loading it again may help
        └── ServerError   worth another try: unavailable, connection refused or lost
            └── ServerBusy
"""

from pathlib import Path


class EscalatorError(Exception):
    """Base of all errors that are shown to a person as they are."""


class InputError(EscalatorError):
    """The question is empty or too long."""


class SettingsError(EscalatorError):
    """A setting has a value that is not allowed; the message names the setting, the value and what is allowed."""


class CorpusError(EscalatorError):
    """The corpus folder is missing or cannot be listed."""


class UnreadableFile(CorpusError):
    """One file of the corpus cannot be read; the message is the reason, without the file's name."""


class DamagedIndex(CorpusError):
    """A file of the index of the corpus does not hold what it should."""

    def __init__(self, path: Path):
        super().__init__(f"The index file {path} is damaged. Delete its folder; the index is then made anew.")


class ModelError(EscalatorError):
    """There is no answer from a model."""


class NoModel(ModelError):
    """No model could be found or loaded."""


class AnswerFailed(ModelError):
    """A request was sent to a model and did not end with an answer."""


class ServerError(AnswerFailed):
    """The model's server was busy, unavailable or out of reach; another try may succeed."""


class ModelGone(AnswerFailed):
    """The server does not know the model, or has unloaded it since it was resolved."""


class ServerBusy(ServerError):
    """The server asks to be left alone for some seconds."""

    def __init__(self, message: str, seconds: float):
        super().__init__(message)
        self.seconds = seconds


class ContextOverflow(AnswerFailed):
    """Prompt and answer do not fit the model's context; sizes in tokens, None where the server did not say."""

    def __init__(self, message: str, *, prompt: int | None = None, output: int | None = None, limit: int | None = None):
        super().__init__(message)
        self.prompt = prompt
        self.output = output
        self.limit = limit
