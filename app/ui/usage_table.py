"""What a conversation has cost so far, as a step below its latest answer."""

from collections.abc import Sequence

from app.answering.turn import Answer, Attempt
from app.answering.usage import Prices, blend, model_ms
from app.settings import is_loopback
from app.ui import steps


async def show(answered: Sequence[Answer], answer: Answer, prices: Prices) -> None:
    """A closed step: the attempts of this answer, then the means of the conversation."""
    whole = blend(answered, prices)
    if not whole.turns:
        return
    name = f"Ledger: {_seconds(model_ms(answer))} s, {_money(_cost(answer, prices))} in a cloud"
    step = await steps.begin(name, "receipt")
    step.output = table(answered, answer, prices)
    await steps.end(step, name)


def summary(attempt: Attempt, *, usage: bool) -> str:
    """An attempt in one line."""
    metrics = attempt.metrics
    parts = [attempt.model if attempt.finish != "error" else f"{attempt.model} failed"]
    if attempt.host and not is_loopback(f"//{attempt.host}"):
        parts.append(f"on {attempt.host}")
    if usage and metrics.first_token_ms is not None:
        parts.append(f"first token {_seconds(metrics.first_token_ms)} s")
        if metrics.tokens_per_s is not None:
            parts.append(f"{metrics.tokens_per_s:.0f} tokens/s")
        if metrics.prompt_tokens is not None and metrics.completion_tokens is not None:
            parts.append(f"{metrics.prompt_tokens} + {metrics.completion_tokens} tokens")
    return " · ".join(parts)


def table(answered: Sequence[Answer], answer: Answer, prices: Prices) -> str:
    """The ledger as Markdown."""
    whole = blend(answered, prices)
    rows = [
        "| Attempt | prompt | sent after | first token | all | tokens | tokens/s | cloud |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(attempt, prices) for attempt in answer.attempts),
    ]
    means = [
        f"| Mean of {whole.turns} answers, {whole.escalated} escalated | time | cloud |",
        "|---|---|---|",
        f"| as answered | {_seconds(whole.latency_ms)} s | {_money(whole.cost)} |",
        f"| always the small model | {_seconds(whole.small_latency_ms)} s | {_money(whole.small_cost)} |",
        f"| always the large model | {_seconds(whole.large_latency_ms)} s | {_money(whole.large_cost)} |",
    ]
    retrieval = (
        f"Searching took {answer.metrics.retrieve_ms or 0:.0f} ms, packing {answer.metrics.prompt_ms or 0:.0f} ms."
    )
    note = f"Nothing was paid: what a cloud would have taken at the prices of {prices.date} (`ESCALATOR_PRICES`)."
    return "\n\n".join([retrieval, "\n".join(rows), "\n".join(means), note])


def _row(attempt: Attempt, prices: Prices) -> str:
    metrics = attempt.metrics
    tokens = f"{metrics.prompt_tokens or 0} + {metrics.completion_tokens or 0}"
    pace = f"{metrics.tokens_per_s:.0f}" if metrics.tokens_per_s else "–"
    cells = [
        attempt.model,
        f"{metrics.prompt_ms or 0:.0f} ms",
        f"{_seconds(metrics.sent_ms)} s",
        f"{_seconds(metrics.first_token_ms)} s",
        f"{_seconds(metrics.total_ms)} s",
        tokens,
        pace,
        _money(prices.cost(attempt, attempt.role)),
    ]
    return f"| {' | '.join(cells)} |"


def _cost(answer: Answer, prices: Prices) -> float:
    return sum(prices.cost(attempt, attempt.role) for attempt in answer.attempts if attempt.role != "extractive")


def _seconds(ms: float | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.2f}"


def _money(dollars: float) -> str:
    return f"${dollars:.6f}"
