"""The pages beside the chat, and the same figures for Prometheus.

On /browser a model runs in the browser: the page gets its files, those of the models, and the prompt for a question.
/organiser shows who waits, what is answered and how fast. Files are sent as they are, so that a page can tell how much
of one has come, and with their types stated here: Windows takes them from its registry, where other programs change
them.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.answering.pipeline import Assistant, Shared
from app.answering.scope import LONGEST_REFERENCE, about_text
from app.answering.turn import Turn
from app.files import is_portable
from app.guard import Refusal, json_body, organises
from app.models.browser_models import browser_models, missing, model_file, public, runtime
from app.models.server import Service
from app.settings import Settings
from app.translation import VARYING, preferred, script_of_page

TYPES = {".html": "text/html", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm"}
TYPES |= dict.fromkeys((".js", ".mjs"), "text/javascript")

HEADERS = {
    # ONNX Runtime Web starts its threads from a blob.
    "content-security-policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; "
    "worker-src 'self' blob:; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    # With these two a browser lets WebAssembly use several processors.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
}

NOT_KEPT = {"cache-control": "no-store"}

Sample = tuple[str, dict[str, str], float]
"""A figure as Prometheus has it: name, labels, value."""

SHARES = (0.5, 0.95)
"""The percentiles."""


class Asked(BaseModel):
    """A question, and a text to answer from in place of the documents; a model answers alone if that is empty."""

    question: str
    reference: str | None = Field(None, max_length=LONGEST_REFERENCE)

    def turn(self) -> Turn:
        """Return the turn; blocks."""
        return Turn(self.question) if self.reference is None else about_text(Turn(self.question), self.reference)


def routes(settings: Settings, assistant: Shared) -> list[BaseRoute]:
    """Return the routes of the pages, and that of the metrics if they are on."""

    async def prompt(request: Request) -> Response:
        asked = await json_body(request, Asked)
        return JSONResponse(await _prompt(await assistant(), asked))

    def models(_: Request) -> Response:
        """List the models, the files that the runtime lacks, and whether the server wants a key."""
        found = {"runtime": f"runtime/{runtime().name}/", "missing": missing(), "key": bool(settings.gateway_key)}
        return JSONResponse(found | {"models": [*map(asdict, browser_models())]}, headers=NOT_KEPT)

    async def organiser(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if not organises(request.scope):
            return PlainTextResponse("This page is for the organiser: open it on the machine of the server.\n", 403)
        if name == "figures":
            return JSONResponse(figures(await assistant()), headers=NOT_KEPT)
        return await asyncio.to_thread(_file, public() / "organiser", name)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(as_text(samples(await assistant())), media_type="text/plain; version=0.0.4")

    return [
        Route("/browser", lambda _: RedirectResponse("browser/")),
        Route("/browser/texts.js", _texts),
        Route("/browser/models", models),
        Route("/browser/models/{path:path}", _model_file),
        Route("/browser/prompt", prompt, methods=["POST"]),
        Route("/browser/{path:path}", _page_file),
        Route("/organiser", organiser),
        Route("/organiser/{name}", organiser),
        *([Route("/metrics", metrics)] if settings.metrics else []),
    ]


async def _prompt(assistant: Assistant, asked: Asked) -> dict[str, Any]:
    """Return the messages for a question, as a model on the server gets them, or the reply that needs no model."""
    prompt, answer = await assistant.prompt(await assistant.retriever.run(asked.turn))
    return {
        "messages": prompt.messages() if prompt else [],
        "stop": prompt.stop if prompt else (),
        "max_tokens": assistant.settings.max_tokens,
        "evidence": [{"number": it.number, "file": it.file, "place": it.place.label} for it in answer.evidence],
        "text": "" if prompt else "\n\n".join(filter(None, [answer.rendered, *answer.notices])),
    }


def _texts(request: Request) -> Response:
    script = script_of_page(preferred(request.headers.get("accept-language", "")))
    return Response(script, headers={**HEADERS, **VARYING}, media_type=TYPES[".js"])


def _model_file(request: Request) -> Response:
    return _file(*model_file(request.path_params["path"]), forever=True)


def _page_file(request: Request) -> Response:
    path = request.path_params["path"] or "index.html"
    return _file(public() / "browser", path, forever=path.startswith(f"runtime/{runtime().name}/"))


def _file(folder: Path, path: str, *, forever: bool = False) -> Response:
    """Send a file of a page; raises Refusal if there is none."""
    if not is_portable(path) or not (folder / path).is_file():
        raise Refusal(404, "There is no such file.")
    age = "public, max-age=31536000, immutable" if forever else "no-cache"
    kind = TYPES.get(Path(path).suffix, "application/octet-stream")
    return FileResponse(folder / path, headers={**HEADERS, "cache-control": age}, media_type=kind)


def figures(assistant: Assistant) -> dict[str, Any]:
    """Return what the page shows: the turns that run, those of them that wait in line, and the samples."""
    queues = assistant.models.queues.values()
    seen = {place.request: line for queue in queues for place, line in queue.outlook().items()}
    running = [
        {
            "request": entry.request,
            "person": entry.person,
            "mode": entry.run.turn.mode,
            "model": entry.run.model,
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
