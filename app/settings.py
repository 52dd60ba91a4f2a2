"""All settings: names, defaults, meanings, and where a value came from.

`python tasks.py settings` makes the table of docs/settings.md from this file, and a test keeps them equal.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import SettingsError
from app.files import ROOT as ROOT
from app.translation import _, mark

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Origin = Literal["environment", ".env", "default"]

Dial = Literal["never", "when needed", "often", "always"]

TASKS = mark("one or more of code, summary, translation and general, each with =small, =large or =auto")
"""What the setting of kinds of questions may be."""

RouteName = Literal["local-first", "cloud-first", "task"]

TaskKind = Literal["code", "summary", "translation", "general"]

Answerer = Literal["small", "large", "auto"]
"""Who answers questions of a kind: a model, or the small one first."""


def _field(default: Any, *names: str, **limits: Any) -> Any:
    """Describe a setting, whose docstring says what it means; without `names` it is ESCALATOR_ and the field's name."""
    return Field(default, validation_alias=AliasChoices(*names) if names else None, **limits)


class Settings(BaseSettings):
    """The settings of one process, read once from the environment and a `.env` in the working folder."""

    model_config = SettingsConfigDict(
        alias_generator=lambda field: f"ESCALATOR_{field.upper()}",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    endpoint: str | None = _field(None, "FOUNDRY_LOCAL_ENDPOINT", "BASE_URL")
    """Address of a model server, with or without `/v1`. If unset, Foundry Local is found or started."""
    small: str = _field("phi-4-mini", "SLM_ALIAS", "FOUNDRY_LOCAL_ALIAS", "MODEL", min_length=1)
    """Alias or id of the small model."""
    large: str = _field("gpt-oss-20b", "LLM_ALIAS", min_length=1)
    """Alias or id of the large model."""
    api_key: SecretStr = _field(SecretStr(""), "API_KEY")
    """Key for the model server; Foundry Local needs none."""
    small_endpoint: str = _field("", "SLM_ENDPOINT")
    """Where the small model is: one address or several, with commas."""
    small_key: SecretStr = _field(SecretStr(""), "SLM_API_KEY")
    """Key for `SLM_ENDPOINT`."""
    large_endpoint: str = _field("", "LLM_ENDPOINT")
    """Where the large model is: one address or several, with commas."""
    large_key: SecretStr = _field(SecretStr(""), "LLM_API_KEY")
    """Key for `LLM_ENDPOINT`."""
    corpus: Path = _field(Path("corpus"), "CORPUS_DIR")
    """The folder of documents."""
    index: SecretStr | None = None
    """Where the index is kept: `postgresql://user:password@host:5432/database`, several with commas
    ([docs/postgresql.md](postgresql.md)). If unset, in the state folder."""
    private: str = ""
    """Documents that no model on another machine may be sent, as in folders named `private`: `hr/*, *.xlsx`."""
    show_usage: bool = _field(True, "SHOW_USAGE")
    """Show tokens and times with every answer."""
    retries: int = _field(1, "RETRY_ON_FAIL", ge=0, le=5)
    """Retries when the server is busy or out of reach, before the first token."""
    retry_backoff: float = _field(1.0, "RETRY_BACKOFF", ge=0, le=60)
    """Seconds before the first retry, doubled for each further one."""
    short_chars: int = _field(150, ge=0, le=100_000)
    """Answers with fewer characters are too short for a list, an explanation or a how-to; 0 switches this off."""
    escalate: Dial = "when needed"
    """How readily the large model is asked: the dial."""
    route: RouteName = "local-first"
    """Whom *Auto* asks first: the small model; the large one at `LLM_ENDPOINT`; or by `ESCALATOR_TASKS`."""
    tasks: Annotated[Mapping[TaskKind, Answerer], NoDecode] = _field(
        "code=large, summary=small, translation=small, general=auto"
    )
    """Who answers which kind on the route `task`; only `auto` escalates. A kind left out keeps its default."""
    cloud_seconds: float = _field(6.0, gt=0)
    """The longest wait from request to first token on the route `cloud-first`."""
    threshold: float | None = _field(None, ge=0, le=1)
    """The soft score from which a draft is escalated; `escalator eval threshold` finds it. If unset, the dial says
    how many drafts are."""
    prices: str = _field("2025-08-05 0.075/0.30 0.10/0.50", pattern=r"^\d{4}-\d\d-\d\d( \d+(\.\d+)?/\d+(\.\d+)?){2}$")
    """Hypothetical cloud prices: date, then US dollars per million tokens of prompt/answer for the small and the
    large model. Enter what you would pay."""
    ask_confidence: bool = False
    """Ask the small model to end with `CONFIDENCE: low` or `high`; only `low` counts."""
    evidence_tokens: int = _field(600, ge=64, le=100_000)
    """Tokens of evidence in a prompt."""
    max_tokens: int = _field(640, ge=16)
    """The longest answer of the small model, in tokens."""
    large_max_tokens: int = _field(2048, ge=16)
    """The longest answer of the large model, its reasoning included."""
    first_token_seconds: float = _field(300.0, gt=0)
    """The longest wait for the first token."""
    stall_seconds: float = _field(60.0, gt=0)
    """The longest silence within an answer."""
    parallel: int = _field(1, ge=1, le=1024)
    """Answers that one model writes at a time; others wait."""
    per_person: int = _field(3, ge=0)
    """Questions of one person of a room at a time, waiting ones too; 0: no limit."""
    metrics: bool = False
    """Offer figures for Prometheus at `/metrics`."""
    log: Literal["text", "json"] = "text"
    """The form of the log, with a line for each question without its text."""
    max_file_mb: int = _field(40, ge=1)
    """Larger files are not read, but reported."""
    read_seconds: int = _field(30, ge=1, le=86_400)
    """Files that take longer to read are skipped and reported."""
    read_mb: int = _field(1000, ge=200, le=1_000_000)
    """Files that need more memory to read, in megabytes, are skipped and reported."""
    allow_remote: bool = False
    """Allow `BASE_URL` to name another machine, which then receives questions and passages."""
    mcp: bool = False
    """Answer clients of the Model Context Protocol at `/mcp` of the chat and of `serve`."""
    gateway_key: SecretStr = SecretStr("")
    """The key that other programs must send to `/v1` and `/mcp`; none if empty."""
    password: SecretStr = SecretStr("")
    """The password of `escalator serve --lan`, instead of a code."""
    proxy: str = ""
    """Addresses or networks of trusted proxies before `escalator serve --lan`, with commas."""
    bare_models: bool = False
    """Offer the two models to other programs also without the documents, under their own names."""
    state_dir: Path = Path(platformdirs.user_state_dir("escalator", appauthor=False))
    """Folder for state and caches."""
    history: bool = True
    """Keep conversations, in the state folder; `off` keeps nothing."""
    model_cache: Path = _field(None)
    """Folder of downloaded models. If unset, `~/.foundry/cache/models` if it exists."""

    compare_prompt: str = _field("List 5 benefits of local AI inference.", "COMPARE_PROMPT")
    """Prompt of `escalator compare` if none is given."""
    compare_retries: int = _field(2, "COMPARE_RETRIES", ge=0, le=5)
    """Retries of a failed request of `escalator compare`."""
    judge: str = ""
    """The model that rates answers for `escalator eval rubric`; none if empty."""
    bench_models: str = _field("", "BENCH_MODELS")
    """Models for `escalator compare` (else the small and the large one) and `escalator bench chat` (else the small
    one), separated by commas, the smallest first."""
    bench_rounds: int = _field(20, "BENCH_ROUNDS", ge=1, le=1000)
    """Rounds of `escalator bench chat`; if set, of `escalator compare` (else 1)."""
    bench_prompt: str = _field("What is BM25?", "BENCH_PROMPT")
    """The question of `escalator bench chat`."""
    bench_stream: bool = _field(True, "BENCH_STREAM")
    """Whether `escalator compare` and `escalator bench chat` report the first token."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _table(cls, given: str) -> dict[str, str]:
        table: dict[str, str] = {}
        for entry in filter(str.strip, f"{cls.model_fields['tasks'].default},{given}".split(",")):
            kind, __, who = map(str.strip, entry.partition("="))
            if kind not in get_args(TaskKind) or who not in get_args(Answerer):
                raise ValueError(f"it must be {TASKS}")
            table[kind] = who
        return table

    def addresses(self, role: str) -> tuple[str, ...]:
        """Return the addresses of a role that has an endpoint, without `/v1`."""
        given = map(root_of, getattr(self, f"{role}_endpoint").split(","))
        return tuple(dict.fromkeys(filter(None, given)))

    def hidden(self, text: str) -> str:
        """Return a text without the keys, which nothing may show."""
        given = (getattr(self, field) for field in type(self).model_fields)
        keys = {it.get_secret_value() for it in given if isinstance(it, SecretStr)} - {"", "none"}
        return re.sub("|".join(map(re.escape, sorted(keys, key=len, reverse=True))), "hidden", text) if keys else text

    @field_validator("corpus", "state_dir", "model_cache")
    @classmethod
    def _expanded(cls, given: Path) -> Path:
        try:
            return given.expanduser()
        except RuntimeError:
            raise ValueError("it must be " + mark("a folder, and there is no such user's home folder")) from None

    @field_validator("index")
    @classmethod
    def _address(cls, given: SecretStr | None) -> SecretStr | None:
        addresses = re.split(",(?=postgres)", given.get_secret_value()) if given else []
        if not all(re.fullmatch("postgres(ql)?://[^@]*@?[^@]*", each) for each in addresses):  # @ in a password: %40
            raise ValueError("it must be " + mark("an address such as postgresql://user:password@host:5432/database"))
        return given

    @field_validator("endpoint")
    @classmethod
    def _server(cls, given: str | None) -> str | None:
        if given is not None and not _is_address(given):
            raise ValueError("it must be " + mark("an address such as http://127.0.0.1:5273"))
        return given

    @field_validator("proxy")
    @classmethod
    def _networks(cls, given: str) -> str:
        try:
            return ",".join(str(ip_network(each.strip(), strict=False)) for each in filter(None, given.split(",")))
        except ValueError:
            raise ValueError("it must be " + mark("addresses or networks such as 127.0.0.1, 10.0.0.0/8")) from None

    @field_validator("corpus")
    @classmethod
    def _absolute(cls, given: Path) -> Path:
        """Resolve against the working folder, else against the project; done once, because it asks the disk."""
        here = given.absolute()
        return here if here.exists() or not (ROOT / given).exists() else ROOT / given

    @field_validator("model_cache", mode="before")
    @classmethod
    def _shared(cls, given: Path | str | None, info: ValidationInfo) -> Path | str:
        shared = Path.home() / ".foundry" / "cache" / "models"
        state = info.data.get("state_dir", shared)  # absent if it is wrong itself, which is then reported
        return given or (shared if shared.is_dir() else state / "models")


def load(**given: Any) -> Settings:
    """Read the settings, overridden by `given` (by field name); raises SettingsError for a bad value."""
    names = {name: names_of(name)[0] for name in given}
    try:
        settings = Settings(**{names[name]: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    except UnicodeDecodeError:
        raise SettingsError("The file .env is not UTF-8, so that no setting can be read. Save it as UTF-8.") from None
    away = settings.endpoint is not None and not is_loopback(settings.endpoint)
    if away and origin("endpoint")[0] == "BASE_URL" and not settings.allow_remote:
        raise SettingsError(
            "The setting BASE_URL is {value}, which is another machine. Question and passages would be sent there; set "
            "ESCALATOR_ALLOW_REMOTE=true if that is wanted, or unset BASE_URL.",
            value=repr(settings.endpoint),
        )
    for role, name in ("small", "SLM"), ("large", "LLM"):
        if not all(_is_address(url) and not set("@?#") & set(url) for url in settings.addresses(role)):
            raise SettingsError(
                "The setting {name}_ENDPOINT must be an address such as https://models.example.org/v1, or several with "
                "commas. The key has a setting of its own, {name}_API_KEY.",
                name=name,
            )
    return settings


def root_of(url: str) -> str:
    """Strip trailing slashes and `/v1` from an address."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether an address belongs to this machine."""
    return (urlsplit(url).hostname or "") in LOOPBACK


def origin(field: str) -> tuple[str, Origin]:
    """Find the name under which a setting was given (its main name if it was not), and where."""
    files = dotenv_values(".env", encoding="utf-8") if Path(".env").is_file() else {}
    for name in names_of(field):
        if os.environ.get(name):
            return name, ".env" if files.get(name) == os.environ[name] else "environment"
        if files.get(name):
            return name, ".env"
    return names_of(field)[0], "default"


def names_of(field: str) -> list[str]:
    """Return the names under which a setting may be given, its main one first."""
    alias = Settings.model_fields[field].validation_alias
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def _sentence(error: ValidationError) -> str:
    parts = []
    for problem in error.errors():
        field = next(field for field in Settings.model_fields if problem["loc"][0] in names_of(field))
        name, source = origin(field)
        secret = SecretStr in get_args(Settings.model_fields[field].annotation)
        given = {"name": name, "value": "…" if secret else repr(str(problem["input"]))}
        reason = problem["msg"].removeprefix("Value error, it must be ")
        given["allowed"] = _(reason) if problem["type"] == "value_error" else _allowed(field) or reason
        if source == ".env":
            parts.append(_("The setting {name} is {value} in .env; it must be {allowed}.", **given))
        else:
            parts.append(_("The setting {name} is {value}; it must be {allowed}.", **given))
    return " ".join(parts)


def _allowed(field: str) -> str:
    """Describe the values of a setting: "a whole number from 1 to 64"; empty for a folder."""
    described = Settings.model_fields[field]
    kind_of, choices = described.annotation, get_args(described.annotation)
    if type(None) in choices:
        kind_of, choices = choices[0], ()
    if get_origin(kind_of) is Literal:
        return _("one of: {values}", values=", ".join(map(str, choices)))
    kind: dict[Any, str] = {
        bool: _("true or false"),
        int: _("a whole number"),
        float: _("a number"),
        str: _("a value such as {value}", value=described.default),
    }
    limits = {
        name: getattr(rule, name) for rule in described.metadata for name in ("ge", "gt", "le") if hasattr(rule, name)
    }
    what = kind.get(kind_of, "")
    match limits:
        case {"ge": least, "le": most} if what:
            return _("{what} from {least} to {most}", what=what, least=least, most=most)
        case {"ge": least} if what:
            return _("{what} of at least {least}", what=what, least=least)
        case {"gt": above} if what:
            return _("{what} greater than {least}", what=what, least=above)
    return what


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    try:
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # the port is not a number
        return False
