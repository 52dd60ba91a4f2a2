"""The page /browser: its files, those of the models that run there, and the prompt for a question.

The files are sent as they are, so that the page can tell how much of one has come, and with their types stated here:
Windows takes them from its registry, where other programs change them.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.answering.pipeline import Assistant, Shared
from app.answering.scope import LONGEST_REFERENCE, about_text
from app.answering.turn import Turn
from app.files import is_portable
from app.guard import Refusal, json_body
from app.models.browser_models import browser_models, missing, model_file, public, runtime
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


class Asked(BaseModel):
    """A question, and a text to answer from in place of the documents; a model answers alone if that is empty."""

    question: str
    reference: str | None = Field(None, max_length=LONGEST_REFERENCE)

    def turn(self) -> Turn:
        """Return the turn; blocks."""
        return Turn(self.question) if self.reference is None else about_text(Turn(self.question), self.reference)


def routes(settings: Settings, assistant: Shared) -> list[BaseRoute]:
    """Return the routes of the page."""

    async def prompt(request: Request) -> Response:
        asked = await json_body(request, Asked)
        return JSONResponse(await _prompt(await assistant(), asked))

    def models(_: Request) -> Response:
        """List the models, the files that the runtime lacks, and whether the server wants a key."""
        found = {"runtime": f"runtime/{runtime().name}/", "missing": missing(), "key": bool(settings.gateway_key)}
        known = [*map(asdict, browser_models())]
        return JSONResponse(found | {"models": known}, headers={"cache-control": "no-store"})

    return [
        Route("/browser", lambda _: RedirectResponse("browser/")),
        Route("/browser/texts.js", _texts),
        Route("/browser/models", models),
        Route("/browser/models/{path:path}", _model_file),
        Route("/browser/prompt", prompt, methods=["POST"]),
        Route("/browser/{path:path}", _page_file),
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
    return file_of(*model_file(request.path_params["path"]), forever=True)


def _page_file(request: Request) -> Response:
    path = request.path_params["path"] or "index.html"
    return file_of(public() / "browser", path, forever=path.startswith(f"runtime/{runtime().name}/"))


def file_of(folder: Path, path: str, *, forever: bool = False) -> Response:
    """Send a file of a page; raises Refusal if there is none."""
    if not is_portable(path) or not (folder / path).is_file():
        raise Refusal(404, "There is no such file.")
    age = "public, max-age=31536000, immutable" if forever else "no-cache"
    kind = TYPES.get(Path(path).suffix, "application/octet-stream")
    return FileResponse(folder / path, headers={**HEADERS, "cache-control": age}, media_type=kind)
