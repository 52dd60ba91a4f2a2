"""The organiser's page, with who waits, what is answered and how fast, and the same figures for Prometheus."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from app.answering.pipeline import Assistant, Shared
from app.guard import organises
from app.models.browser_models import public
from app.models.server import Service
from app.settings import Settings
from app.web.browser import file_of

Sample = tuple[str, dict[str, str], float]
"""A figure as Prometheus has it: name, labels, value."""

SHARES = (0.5, 0.95)
"""The percentiles."""


def routes(settings: Settings, assistant: Shared) -> list[BaseRoute]:
    """Return the routes of the page, and that of the metrics if they are on."""

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if not organises(request.scope):
            return PlainTextResponse("This page is for the organiser: open it on the machine of the server.\n", 403)
        if name == "figures":
            return JSONResponse(figures(await assistant()), headers={"cache-control": "no-store"})
        return await asyncio.to_thread(file_of, public() / "organiser", name)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(as_text(samples(await assistant())), media_type="text/plain; version=0.0.4")

    offered = [Route("/organiser", page), Route("/organiser/{name}", page)]
    return [*offered, Route("/metrics", metrics)] if settings.metrics else [*offered]


def figures(assistant: Assistant) -> dict[str, Any]:
    """Return what the page shows: the turns that run, those of them that wait in line, and the samples."""
    queues = assistant.models.queues.values()
    seen = {place.request: line for queue in queues for place, line in queue.outlook().items()}
    running = [
        {
            "request": entry.request,
            "person": entry.person,
            "mode": entry.run.turn.mode,
            "model": entry.model,
            "seconds": entry.run.clock.ms / 1000,
            "line": seen.get(entry.request),
        }
        for entry in assistant.journal.running
    ]
    return {"running": running, "samples": [*samples(assistant)]}


def samples(assistant: Assistant) -> Iterator[Sample]:
    """Yield all figures; no label has a text of a question or a document, nor the name of a person or a file."""
    journal, models = assistant.journal, assistant.models
    yield from (("turns_total", {"outcome": name}, number) for name, number in journal.outcomes.items())
    yield from (("errors_total", {"kind": name}, number) for name, number in journal.errors.items())
    waiting = Counter(place.model for queue in models.queues.values() for place in queue.outlook())
    writing = Counter(place.model for queue in models.queues.values() for place in queue.holding)
    for role in ("small", "large"):
        hosts = [Service(it, "endpoint").host for it in models.addresses(role)]
        labels = {"role": role, "model": (model := models.pair.of(role)[0]), "address": ", ".join(hosts)}
        yield "model_loaded", labels, models.loaded(model)
    for model in dict.fromkeys((*models.pair.both, *waiting, *writing)):
        yield "questions_waiting", {"model": model}, waiting[model]
        yield "answers_writing", {"model": model}, writing[model]
    for name, measured in (("first_token_seconds", journal.first_token_s), ("tokens_per_second", journal.tokens_per_s)):
        for model, series in measured.items():
            for share in SHARES:
                yield name, {"model": model, "quantile": str(share)}, series.percentile(share)
            yield f"{name}_sum", {"model": model}, series.sum
            yield f"{name}_count", {"model": model}, series.count


def as_text(samples: Iterable[Sample]) -> str:
    """Write samples in the text format of Prometheus."""
    families: dict[str, list[str]] = {}
    for name, labels, value in samples:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        family = name.removesuffix("_sum").removesuffix("_count")
        families.setdefault(family, []).append(f"escalator_{name}{{{shown}}} {float(value)!r}")
    summaries = ("first_token_seconds", "tokens_per_second")
    kinds = {it: "counter" if it.endswith("_total") else "summary" if it in summaries else "gauge" for it in families}
    return "".join(f"# TYPE escalator_{it} {kinds[it]}\n" + "\n".join(lines) + "\n" for it, lines in families.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
