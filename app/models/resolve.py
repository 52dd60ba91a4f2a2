"""From the name of a model to the id of a loaded one: a server answers only to full ids, and loads only by alias."""

import asyncio
from collections.abc import Iterable

from app.errors import NoModel
from app.models import discovery
from app.models.client import Reply
from app.models.dialect import Server, same_name
from app.models.flight import Progress

LOCAL = "/catalogs/local"
"""Where Foundry Local serves, with all the same routes, the models that were registered by hand."""


async def resolve(server: Server, name: str, tell: Progress) -> tuple[str, str]:
    """The address that answers for the model and its full id, loaded first if need be.

    `name` is an alias or a full id. Raises NoModel, or Unreachable when the server is lost meanwhile.
    """
    before = await server.loaded()
    if server.dialect == "plain":
        return server.root, _listed(server, name, before)
    aliases = await server.aliases()
    if found := _among(name, before, aliases):
        return server.root, found
    wanted = await _cached(server, name, aliases) if server.dialect == "classic" else aliases.get(name, name)
    tell(f"Loading {name} into memory")
    reply = await server.load(wanted)
    if reply.status == 404 and server.dialect == "foundry" and not server.prefix:
        return await _registered(server, name, aliases, tell)
    if reply.status != 200:
        raise NoModel(await _refused(server, name, reply, aliases))
    return server.root, _loaded(server, name, before, await server.loaded(), aliases)


def _listed(server: Server, name: str, ids: list[str]) -> str:
    if not ids:
        return name  # a server that lists nothing can only be taken at the word of whoever set the name
    found = same_name(name, ids)
    if found is None:
        raise NoModel(_unknown(server, name, ids))
    return found


def _among(name: str, loaded: Iterable[str], aliases: dict[str, str]) -> str | None:
    """The loaded id that is certainly meant: the id itself, with or without its version, or one known by the alias."""
    for model in loaded:
        if name in (model, model.rpartition(":")[0], aliases.get(model)):
            return model
    return None


async def _cached(server: Server, name: str, aliases: dict[str, str]) -> str:
    """What a classic service loads: an id, of the variants that are downloaded."""
    cached = await server.cached()
    found = _among(name, cached, aliases)
    if found is None and name in aliases.values():
        raise NoModel(_not_downloaded(server, name))
    if found is None:
        raise NoModel(_unknown(server, name, cached))
    return found


async def _registered(server: Server, name: str, aliases: dict[str, str], tell: Progress) -> tuple[str, str]:
    """Look among the models that were registered by hand."""
    local = Server(server.client, "foundry", LOCAL)
    if same_name(name, await local.listed()) is not None:
        return await resolve(local, name, tell)
    cache = await server.cache()
    here = await asyncio.to_thread(discovery.downloaded, cache) if cache else set()
    there = {aliases.get(model, model) for model in here} or set(aliases.values()) or await server.listed()
    raise NoModel(_unknown(server, name, there))


def _loaded(server: Server, name: str, before: list[str], after: list[str], aliases: dict[str, str]) -> str:
    """Which of the loaded models is ours, now that the server says that it has loaded it."""
    if found := _among(name, after, aliases):
        return found
    new = [model for model in after if model not in before]
    if name in aliases:
        raise NoModel(
            f"{name} was asked for, but for its alias {aliases[name]} the server at {server.client.host} loads "
            f"{', '.join(new) or 'another model'}. Set SLM_ALIAS or LLM_ALIAS to {aliases[name]}."
        )
    # A server that had it loaded already shows nothing new, and then the name has to do.
    found = new[0] if len(new) == 1 else same_name(name, after)
    if found is None and len(after) == 1:
        found = after[0]
    if found is None:
        raise NoModel(
            f"The server at {server.client.host} has loaded {name}, but does not tell which of these it is: "
            f"{', '.join(after) or 'none'}. Set SLM_ALIAS or LLM_ALIAS to the right one."
        )
    return found


async def _refused(server: Server, name: str, reply: Reply, aliases: dict[str, str]) -> str:
    if "not cached" in reply.text.lower():
        return _not_downloaded(server, name)
    if reply.status == 404:
        return _unknown(server, name, aliases.values() or await server.listed())
    return (
        f"{name} could not be loaded at {server.client.host}: {reply.message.rstrip('.')}. It may be too large for the "
        "free memory, or its files may be damaged; choose a smaller model, or download it again."
    )


def _not_downloaded(server: Server, name: str) -> str:
    return (
        f"{name} is known at {server.client.host} but has not been downloaded. "
        f"Run `foundry model download {name}`, or set SLM_ALIAS or LLM_ALIAS to a model that has been."
    )


def _unknown(server: Server, name: str, there: Iterable[str]) -> str:
    names = sorted(set(there), key=str.casefold)
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return (
        f"There is no model {name} at {server.client.host}; there are: {some or 'none'}. Set SLM_ALIAS or LLM_ALIAS "
        f"to one of them, or run `foundry model download {name}`."
    )
