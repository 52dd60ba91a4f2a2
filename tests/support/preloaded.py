"""What an app has loaded by its first answer, imported once in the process from which the tests' apps are forked.

Nothing of it reads a setting while it is imported, as Chainlit and what imports Chainlit do.
"""

import importlib

from app.answering.router import intent
from app.documents.language import detect
from tests.support.drafts import decide

OF_CHAINLIT = """
aiofiles aiohttp asyncer click cryptography.x509 dataclasses_json fastapi filetype httpx jwt lazify literalai mcp
nest_asyncio pydantic.v1 socketio syncer uvicorn uvicorn.lifespan.on uvicorn.protocols.http.auto
uvicorn.protocols.websockets.auto webbrowser wsproto
"""
OF_ANSWERING = """
anyio._backends._asyncio app.answering.pipeline app.answering.suggestions app.export app.history app.models.downloads
httpcore2 openai openai.resources.chat.completions
"""
OF_RETRIEVAL = "Stemmer app.retrieval.snapshot app.retrieval.packing app.retrieval.search numpy.ma rank_bm25"

for name in (OF_CHAINLIT + OF_ANSWERING + OF_RETRIEVAL).split():
    importlib.import_module(name)

detect("The ferry leaves at 9:30 from the old harbour.")
decide("", None, "warm", "stop")
intent("warm")
