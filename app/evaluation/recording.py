"""From an answer of the product to the record of a comparison: its stages, tokens, price, sources and quality.

Quality means the expected facts that it states, and whether it declines where there is no answer. A statement is
found by its wording. It may stand in a sentence that is wrong otherwise, which only a reader sees.
"""

import os
import platform
import re
import shutil
import subprocess
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.answering import events
from app.answering.lexicon import abstains, bare
from app.answering.pipeline import Assistant
from app.answering.turn import Answer, Attempt, Turn
from app.answering.usage import Price, cost
from app.evaluation.datasets import Question
from app.evaluation.results import CitedSentence, MeasuredAnswer, MeasuredAttempt, Passage
from app.settings import is_loopback

_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-") | dict.fromkeys("*_`", None) | {"’": "'"})

TIMES = ("prompt_ms", "sent_ms", "total_ms", "prompt_tokens", "completion_tokens")
STREAMED = ("first_token_ms", "gap_ms", "tokens_per_s")
"""What is noted of an attempt, and what is only if BENCH_STREAM wants the times of a stream."""


async def asked(assistant: Assistant, turn: Turn) -> tuple[Answer, bool, str]:
    """Have a turn answered as the chat would; return the answer, whether no model was asked, and the turn's error."""
    declined, failure = False, ""
    async with aclosing(assistant.answer(turn)) as stream:
        async for event in stream:
            match event:
                case events.Abstained():
                    declined = True
                case events.Failed(error, _):
                    failure = str(error)
                case events.Finished(answer):
                    return answer, declined, failure
    raise AssertionError("a turn always finishes")


def measured(
    answer: Answer,
    question: Question,
    prices: Mapping[str, Price],
    *,
    declined: bool,
    failure: str,
    streamed: bool,
) -> MeasuredAnswer:
    """Note what is known of an answer; `declined` is whether no model was asked, `failure` the error of its turn.

    A model that wrote nothing has answered, badly: only where one failed is that an error. What the chat quotes in its
    place is not the model's text. Contender, round and energy are for the caller to add.
    """
    attempts = [attempt for attempt in answer.attempts if attempt.role != "extractive"]
    if attempts and all(attempt.failure is None for attempt in attempts):
        failure = ""
    text = answer.text if answer.author else ""
    abstained, decision = declined or is_abstention(text), answer.decision
    citations = answer.citations if answer.author else ()
    return MeasuredAnswer(
        question=question.id,
        contender="",
        round=0,
        retrieval=not answer.turn.unaided,
        text=text,
        rendered=answer.rendered,
        model=answer.author or "",
        attempts=tuple(_attempt(attempt, TIMES + STREAMED if streamed else TIMES) for attempt in attempts),
        retrieve_ms=_rounded(answer.metrics.retrieve_ms),
        prompt_ms=_rounded(answer.metrics.prompt_ms),
        total_ms=_rounded(answer.metrics.total_ms),
        escalated=answer.escalated,
        decision=decision.code if decision else None,
        decision_score=_rounded(decision.score) if decision else None,
        why=decision.why if decision else "",
        evidence=tuple(Passage(it.number, it.file, it.place.label, it.text) for it in answer.evidence),
        citations=tuple(
            CitedSentence(it.sentence, it.number, it.file, it.place.label if it.place else None, it.supported)
            for it in citations
        ),
        facts_found=facts_found(question, text),
        facts_expected=len(question.facts),
        abstained=abstained,
        score=score(question, text, abstained=abstained),
        cost=cost(attempts, lambda it: prices.get(it.model)),
        error=failure,
    )


def _attempt(attempt: Attempt, names: Sequence[str]) -> MeasuredAttempt:
    values: dict[str, Any] = {name: _rounded(getattr(attempt.metrics, name)) for name in names}
    estimated, error = attempt.stopped is not None or attempt.echoed, str(attempt.failure or "")
    said = attempt.role, attempt.model, attempt.finish, attempt.text
    return MeasuredAttempt(*said, **values, estimated=estimated, elsewhere=bool(attempt.sent), error=error)


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if isinstance(value, float) else value


def facts_found(question: Question, text: str) -> tuple[int, ...]:
    """Return the positions of the expected facts that a text states, each in any of its spellings."""
    plain = _plain(bare(text))
    return tuple(n for n, spellings in enumerate(question.facts) if any(_states(plain, each) for each in spellings))


def score(question: Question, text: str, *, abstained: bool) -> float | None:
    """Return the share of the expected facts, or whether it rightly declined; None where nothing is expected."""
    if question.answerable is False:
        return float(abstained)
    return len(facts_found(question, text)) / len(question.facts) if question.facts else None


def is_abstention(text: str) -> bool:
    """Return whether a model's answer declines; one without words says nothing, which is no abstention."""
    return bool(text.strip()) and abstains(text)


def _states(text: str, spelling: str) -> bool:
    """Whether a text has these words, and not as parts of others: "12" neither in "112" nor in "12.5"."""
    wanted = re.escape(_plain(spelling))
    return re.search(rf"(?<!\w)(?<!\d[.,]){wanted}(?!\w)(?![.,]\d)", text) is not None


def _plain(text: str) -> str:
    """Fold case, kinds of blanks and dashes, and drop the marks of Markdown."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_DASHES).casefold().split())


RAPL = Path("/sys/class/powercap")
"""Where Linux has the energy counters of Intel and AMD processors; most systems let only root read them."""

NVIDIA = ("nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits")

NVIDIA_SECONDS = 5.0
"""How long nvidia-smi may take."""


class Memory(NamedTuple):
    """Megabytes that a process holds now, and the most that it ever held."""

    now_mb: float
    peak_mb: float | None


def machine() -> str:
    """Describe this machine without its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def server_memory(url: str) -> Memory | None:
    """Return the memory of the process that listens at an address of this machine; None where it cannot be seen."""
    import psutil

    port = urlsplit(url).port
    if not is_loopback(url) or port is None:
        return None
    with suppress(psutil.Error, OSError, StopIteration):  # macOS tells others' connections to root only
        connections = psutil.net_connections("tcp")
        pid = next(it.pid for it in connections if it.laddr and it.laddr.port == port and it.status == "LISTEN")
        held = psutil.Process(pid).memory_info()
        return Memory(held.rss / 1e6, _peak_mb(pid, held))
    return None


def _peak_mb(pid: int | None, held: object) -> float | None:
    if (peak := getattr(held, "peak_wset", None)) is not None:  # Windows
        return float(peak) / 1e6
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
    return None


class Energy:
    """Joules that the machine uses, by the counters of the processor, else by the power of the graphics card."""

    source = ""
    """The meter, in words; empty where the system has none."""

    def __init__(self) -> None:
        self._read: Callable[[], list[float]] = list
        self._wraps: list[float] = []
        self._began: tuple[float, list[float]] = (0.0, [])
        zones = [zone for zone in sorted(RAPL.glob("*-rapl:?")) if _number(zone / "energy_uj") is not None]
        if zones:
            self.source = "RAPL, the whole processor"
            self._wraps = [_number(zone / "max_energy_range_uj") or 0.0 for zone in zones]
            self._read = lambda: [_number(zone / "energy_uj") or 0.0 for zone in zones]
        elif shutil.which(NVIDIA[0]) and _watts():
            self.source = "nvidia-smi, estimated from the power before and after each answer"
            self._read = _watts

    def start(self) -> None:
        """Note the counters now."""
        if self.source:
            self._began = time.perf_counter(), self._read()

    def joules(self) -> float | None:
        """Return the energy since `start`, that of everything else on the machine included; None without a meter."""
        if not self.source:
            return None
        began, before = self._began
        if self._wraps:
            used = (now - then for now, then in zip(self._read(), before, strict=True))
            return sum(it + wrap if it < 0 else it for it, wrap in zip(used, self._wraps, strict=True)) / 1e6
        watts = (sum(before) + sum(self._read())) / 2
        return watts * (time.perf_counter() - began)


def _watts() -> list[float]:
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run(  # noqa: S603 - fixed arguments
            NVIDIA, capture_output=True, text=True, encoding="utf-8", check=True, timeout=NVIDIA_SECONDS
        )
        return [float(line) for line in done.stdout.splitlines() if line.strip()]
    return []


def _number(file: Path) -> float | None:
    with suppress(OSError, ValueError):
        return float(file.read_text(encoding="ascii"))
    return None
