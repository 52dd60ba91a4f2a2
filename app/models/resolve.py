"""From the name of a model to the id of a loaded one: a server answers only to full ids, and loads only by alias."""

import time
from collections.abc import Iterable, Mapping

from app.errors import NoModel
from app.humanize import gigabytes
from app.models.catalogue import Known, among, downloaded
from app.models.client import Reply, Unreachable
from app.models.memory import DISK_MB_PER_SECOND
from app.models.server import Model, Server, same_name
from app.models.singleflight import Progress


async def resolve(server: Server, name: str, tell: Progress) -> Model:
    """The model of this alias or full id, loaded first if need be.

    Raises NoModel, or Unreachable when the server was lost before it was asked to load anything.
    """
    before = await server.loaded()
    if server.dialect == "plain":  # it loads by itself, and if it lists nothing the name is taken as it was set
        found = same_name(name, before) if before else name
        if found is None:
            raise NoModel(_unknown(server, name, before))
        return Model(name, found, server.service)
    known = await server.known()
    if found := among(name, before, known):
        return Model(name, found, server.service)
    wanted = known[name].alias if name in known else name
    if server.dialect == "classic":  # which loads a model by the id of the variant that is downloaded
        if (found := downloaded(name, known)) is None:
            there = [model for model, told in known.items() if told.here]
            raise NoModel(_not_downloaded(server, name) if among(name, known, known) else _unknown(server, name, there))
        wanted = found
    size = known[found].size_mb if (found := downloaded(name, known)) else None
    seconds = round((size or 0) / DISK_MB_PER_SECOND)
    tell(f"Loading {name} into memory" + (f" ({gigabytes(size or 0)}, about {seconds} s)" if seconds else ""))
    begun = time.monotonic()
    try:
        reply = await server.load(wanted)
    except Unreachable as error:
        raise NoModel(
            f"The model server at {server.service.host} was lost while it loaded {name}. The model may be too large "
            "for the free memory; close other programs, or choose a smaller one."
        ) from error
    took = time.monotonic() - begun
    if reply.status == 200:
        return Model(name, _loaded(server, name, before, await server.loaded(), known), server.service, took)
    if reply.status == 404 and server.dialect == "foundry" and not server.prefix:
        by_hand = server.registered()
        if same_name(name, await by_hand.listed()) is not None:
            return await resolve(by_hand, name, tell)
    raise NoModel(await _refused(server, name, reply, known))


async def obtainable(server: Server, name: str) -> bool:
    """Whether the model is loaded or downloaded, as far as the server tells; raises Unreachable."""
    loaded = await server.loaded()
    if server.dialect == "plain":
        return not loaded or same_name(name, loaded) is not None
    known = await server.known()
    if among(name, loaded, known) or downloaded(name, known):
        return True
    return server.dialect == "foundry" and same_name(name, await server.registered().listed()) is not None


def _loaded(server: Server, name: str, before: list[str], after: list[str], known: Mapping[str, Known]) -> str:
    """Which of the loaded models is ours, now that the server says that it has loaded it."""
    if found := among(name, after, known):
        return found
    new = [model for model in after if model not in before]
    # A server that had it loaded already shows nothing new, and then the name has to do.
    found = new[0] if len(new) == 1 else same_name(name, after) or (after[0] if len(after) == 1 else None)
    if found is None or name in known:  # an id that is known, but for its alias another one is loaded
        raise NoModel(
            f"The server at {server.service.host} was asked to load {name} and does not tell which of these it is: "
            f"{', '.join(after) or 'none'}. Set SLM_ALIAS or LLM_ALIAS to the right one."
        )
    return found


async def _refused(server: Server, name: str, reply: Reply, known: Mapping[str, Known]) -> str:
    if "not cached" in reply.text.lower():
        return _not_downloaded(server, name)
    if reply.status == 404:
        here = {told.alias for told in known.values() if told.here}
        return _unknown(server, name, here or {told.alias for told in known.values()} or await server.listed())
    return (
        f"{name} could not be loaded at {server.service.host}: {reply.message.rstrip('.')}. It may be too large for "
        "the free memory, or its files may be damaged; choose a smaller model, or download it again."
    )


def _not_downloaded(server: Server, name: str) -> str:
    return (
        f"{name} is known at {server.service.host} but has not been downloaded. "
        f"Run `escalator models get {name}`, or set SLM_ALIAS or LLM_ALIAS to a model that has been."
    )


def _unknown(server: Server, name: str, there: Iterable[str]) -> str:
    names = sorted(set(there), key=str.casefold)
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return (
        f"There is no model {name} at {server.service.host}; there are: {some or 'none'}. Set SLM_ALIAS or LLM_ALIAS "
        f"to one of them, or run `escalator models get {name}`."
    )
