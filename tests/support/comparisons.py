"""The result of a comparison of two models and the cascade, made by hand."""

from dataclasses import replace

from app.evaluation.datasets import Question
from app.evaluation.results import (
    ComparisonResult,
    Contender,
    Difference,
    Figure,
    MeasuredAnswer,
    MeasuredAttempt,
    MeasuredModel,
)

PAIR = ("phi-4-mini", "gpt-oss-20b")


def figure(value: float, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(value, low, high, 1 if low is None else 12)


def answer(contender: str, score: float | None, text: str = "It was 5273 [1].", **given: object) -> MeasuredAnswer:
    """An answer of 1.1 s: 100 ms of search, 50 of the prompt, 50 of waiting, 300 to the first token, 500 of writing."""
    attempt = MeasuredAttempt("small", PAIR[0], "stop", text, 30, 80, 300, 20, 800, 700, 25, 50)
    made = MeasuredAnswer("port", contender, 1, True, text, text, PAIR[0], (attempt,), 100, 20, 1100, score=score)
    return replace(made, **given)  # type: ignore[arg-type]


def contender(name: str, score: float, cost: float, ms: float, **given: object) -> Contender:
    models = {"small": PAIR[:1], "large": PAIR[1:]}.get(name, PAIR)
    figures = {"total_ms": figure(ms), "first_token_ms": figure(300, 250, 400), "tokens_per_s": figure(50, 40, 62.5)}
    means = {"total_ms": figure(ms), "cost": figure(cost)}
    quality = {"score": figure(score, score - 0.1, score + 0.05), "facts": figure(score)}
    made = Contender(name, name, models, True, 1, None, figures, means, quality)  # type: ignore[arg-type]
    return replace(made, **given)  # type: ignore[arg-type]


PORT = Question("port", "Which port did older guides use?", (("5273", "port 5273"),), True)
SMALL, LARGE = contender("small", 0.5, 0.0001, 1100), contender("large", 0.9, 0.0004, 4400)
AUTO = contender("auto", 0.8, 0.0002, 2200, escalated=0.25)
BOUNDS = tuple(
    replace(contender(name, score, 0.0002, 2200), figures={}) for name, score in (("oracle", 0.85), ("random", 0.6))
)
RUN = ComparisonResult(
    began="2026-11-28T17:20:11+00:00",
    machine="4 cores, 16 GB",
    questions=(PORT,),
    rounds=1,
    models=(
        MeasuredModel(PAIR[0], "Phi:5", cold=True, load_ms=4100, warm_up_ms=500, memory_mb=4800),
        MeasuredModel(PAIR[1], load_ms=9, warm_up_ms=800),
    ),
    contenders=(SMALL, LARGE, AUTO, *BOUNDS),
    answers=(answer("small", 0, "Port 80."), answer("large", 1), answer("auto", 0.5, escalated=True, why="Too short.")),
    differences=(Difference("score", "small", "auto", figure(0.3, 0.1, 0.4), True),),
    prices_of="2026-11-01",
)
