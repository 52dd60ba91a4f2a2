"""Resolves a model's alias to the id of a loaded one: requests need full ids, and most servers load by alias."""

import time
from collections.abc import Iterable, Mapping

from app.errors import NoModel
from app.humanize import gigabytes
from app.models.catalogue import ModelInfo, downloaded, match
from app.models.memory import DISK_MB_PER_SECOND
from app.models.server import Model, Notify, Reply, Server, Unreachable, guess_id
from app.translation import _


async def resolve(server: Server, name: str, notify: Notify) -> Model:
    """Find the model of this alias or full id, and load it if it is not loaded.

    Raises NoModel, or Unreachable if the server was lost before it was asked to load anything.
    """
    before = await server.loaded()
    if server.dialect == "plain":  # it loads by itself; if it lists nothing the configured name is used as it is
        model_id = guess_id(name, before) if before else name
        if model_id is None:
            raise _unknown(server, name, before)
        return Model(name, model_id, server.service)
    models = await server.models()
    if model_id := match(name, before, models):
        return Model(name, model_id, server.service)
    here = downloaded(name, models)
    size = models[here].size_mb if here else None
    seconds = round((size or 0) / DISK_MB_PER_SECOND)
    if seconds:
        size_and_time = {"size": gigabytes(size or 0), "seconds": seconds}
        notify(_("Loading {model} into memory ({size}, about {seconds} s)", model=name, **size_and_time))
    else:
        notify(_("Loading {model} into memory", model=name))
    started = time.monotonic()
    try:
        reply = await server.load(models[name].alias if name in models else name)
    except Unreachable as error:
        raise NoModel(
            "The model server at {host} was lost while it loaded {model}. The model may be too large for the free "
            "memory; close other programs, or choose a smaller one.",
            host=server.service.host,
            model=name,
        ) from error
    seconds_taken = time.monotonic() - started
    if reply.status == 200:
        model_id = _loaded_id(server, name, before, await server.loaded(), models)
        return Model(name, model_id, server.service, seconds_taken)
    raise await _refused(server, name, reply, models)


async def is_available(server: Server, name: str) -> bool:
    """Return whether the model is loaded or downloaded, as far as the server tells; raises Unreachable."""
    loaded = await server.loaded()
    if server.dialect == "plain":
        return not loaded or guess_id(name, loaded) is not None
    models = await server.models()
    return match(name, loaded, models) is not None or downloaded(name, models) is not None


def _loaded_id(server: Server, name: str, before: list[str], after: list[str], models: Mapping[str, ModelInfo]) -> str:
    """Tell which of the loaded models was requested, after the server has reported that it is loaded."""
    if model_id := match(name, after, models):
        return model_id
    new = [model_id for model_id in after if model_id not in before]
    # A server that had it loaded already lists nothing new; then the name has to do.
    model_id = new[0] if len(new) == 1 else guess_id(name, after) or (after[0] if len(after) == 1 else None)
    if model_id is None or name in models:  # a known id, but another variant of its alias is loaded
        raise NoModel(
            "The server at {host} was asked to load {model} and does not tell which of these it is: {names}. Set "
            "SLM_ALIAS or LLM_ALIAS to the right one.",
            host=server.service.host,
            model=name,
            names=", ".join(after) or "–",
        )
    return model_id


async def _refused(server: Server, name: str, reply: Reply, models: Mapping[str, ModelInfo]) -> NoModel:
    if "not cached" in reply.text.lower():
        return NoModel(
            "{model} is known at {host} but has not been downloaded. Run `escalator models get {model}`, or set "
            "SLM_ALIAS or LLM_ALIAS to a downloaded model.",
            model=name,
            host=server.service.host,
        )
    if reply.status == 404:
        here = {info.alias for info in models.values() if info.here}
        return _unknown(server, name, here or {info.alias for info in models.values()} or await server.listed())
    return NoModel(
        "{model} could not be loaded at {host}: {message}. It may be too large for the free memory: choose a smaller "
        "model. Or its files are damaged: delete its folder and download it again.",
        model=name,
        host=server.service.host,
        message=reply.message.rstrip("."),
    )


def _unknown(server: Server, name: str, there: Iterable[str]) -> NoModel:
    names = sorted(set(there), key=str.casefold)
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return NoModel(
        "There is no model {model} at {host}; there are: {names}. Set SLM_ALIAS or LLM_ALIAS to one of them, or run "
        "`escalator models get {model}`.",
        model=name,
        host=server.service.host,
        names=some or "–",
    )
