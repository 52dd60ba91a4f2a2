"""The time that Escalator adds to a bare request: the same prompt through both, alternating, in one run."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

from app.answering.events import AttemptEnded, Retrieved
from app.answering.pipeline import Assistant
from app.answering.prompt import Message, Prompt
from app.answering.turn import Stopwatch, Turn
from app.errors import AnswerFailed
from app.models.foundry import Model
from app.settings import Settings


async def bench_chat(settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return a row of medians in milliseconds for each model of BENCH_MODELS; raises EscalatorError."""
    aliases = [alias.strip() for alias in settings.bench_models.split(",") if alias.strip()] or [settings.small]
    return {"rows": [await _row(settings.model_copy(update={"small": alias}), tell) for alias in aliases]}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for row in result["rows"]:
        for name in ("first_token_ms", "total_ms"):
            if name in row:
                yield f"{row['model']} {name}: Escalator {row[name]['escalator']}, bare {row[name]['openai']}"


async def _row(settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    assistant = Assistant(settings, patience=None)
    rounds = []
    try:
        model = await assistant.models.ready(settings.small, tell)
        for number in range(settings.bench_rounds + 1):
            tell(f"{model.id}: round {number} of {settings.bench_rounds}")
            prompt, *ours = await _ours(assistant, settings.bench_prompt)
            rounds.append((*ours, *await _bare(assistant, model, prompt, settings.max_tokens)))
    finally:
        await assistant.close()
    measured = zip(*rounds[1:], strict=True)  # the first round warms up
    first, total, bare_first, bare_total = (round(statistics.median(each), 2) for each in measured)
    row = {"model": model.id, "host": model.service.host, "rounds": settings.bench_rounds}
    tokens = {"first_token_ms": {"escalator": first, "openai": bare_first}} if settings.bench_stream else {}
    return row | tokens | {"total_ms": {"escalator": total, "openai": bare_total}}


async def _ours(assistant: Assistant, question: str) -> tuple[list[Message], float, float]:
    """Return the prompt that a turn sent, and the milliseconds from sending it to the first token and to the end."""
    prompt: list[Message] = []
    async with aclosing(assistant.answer(Turn(question, mode="small"))) as events:
        async for event in events:
            if isinstance(event, Retrieved):
                prompt = Prompt(question, event.evidence).messages()
            elif isinstance(event, AttemptEnded):
                metrics = event.attempt.metrics
                if metrics.first_token_ms is not None and metrics.total_ms is not None:
                    return prompt, metrics.first_token_ms, metrics.total_ms
    raise AnswerFailed(f"No model answered “{question}”. Set BENCH_PROMPT to a question that the documents answer.")


async def _bare(assistant: Assistant, model: Model, prompt: list[Message], max_tokens: int) -> tuple[float, float]:
    """Return the milliseconds to the first token and to the end of the same request through the openai client."""
    client: Any = await assistant.models.openai(model.service)
    clock = Stopwatch()
    first: float | None = None
    stream = await client.chat.completions.create(
        model=model.id, messages=prompt, max_tokens=max_tokens, temperature=0, stream=True
    )
    async with stream:
        async for chunk in stream:
            if first is None and chunk.choices and chunk.choices[0].delta.content:
                first = clock.ms
    total = clock.ms
    return first or total, total
