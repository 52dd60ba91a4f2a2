"""Ask the public catalogue and fetch models, in a process: `python -m app.models.download_worker CACHE DATA look`.

Foundry Local's SDK does both, `get ID` the latter, from its own addresses and through the user's proxy; it allows one
manager in a process, and the runtime's asks nobody. What it has to say are lines of JSON. It ends with its standard
input; what has arrived by then is kept, and the SDK goes on from there.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import state
from app.models import catalogue, checksums, memory, sdk

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager
    from foundry_local_sdk.imodel import IModel

THREADS = "8"
"""Parts of a file that are fetched at once, each of 2 MB: the SDK's 64 would lose more at an interruption."""

END_SECONDS = 3.0


def over() -> threading.Event:
    """Set when nobody wants this process any more; the SDK asks between two parts."""
    event = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):  # not by sys.stdin, which cannot be closed at the end while somebody reads it
            pass
        event.set()
        time.sleep(END_SECONDS)  # for the SDK to take note of what has arrived
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return event


def say(**what: object) -> None:
    """One line."""
    print(json.dumps(what), flush=True)  # noqa: T201 - what this process is for


def look(manager: "FoundryLocalManager", cache: Path) -> bool:
    """Have the SDK save the catalogue; whether it could.

    It saves none while the saved one is younger than six hours, tells of no failure, and leaves out a model that is not
    offered any more even if it was downloaded: by the saved catalogue alone the runtime knows what it has.
    """
    saved = cache / catalogue.CATALOGUES[0]
    before = state.read(saved) or {"models": []}
    if saved.exists():
        state.write(saved, before | {"savedAtUnix": 0})
    manager.catalog.list_models()
    after = state.read(saved)
    if not after or not after.get("savedAtUnix"):
        return False
    gone = set(catalogue.folders_of(cache)) - {one["id"] for one in after["models"]}
    if lost := [one for one in before["models"] if one["id"] in gone]:
        state.write(saved, after | {"models": after["models"] + lost})
    return True


def mend(folder: Path) -> None:
    """Remove what is damaged of a model, for it to be fetched anew; before there is a manager, which looks once."""
    say(reading=True)
    if damaged := checksums.checked(folder):
        for name in (*damaged, "inference_model.json"):  # without the latter it counts as not downloaded
            (folder / name).unlink(missing_ok=True)
    say(reading=False)


def get(model: "IModel", end: threading.Event) -> dict[str, Any]:
    """Fetch a model, or what is missing of it; what is to be said in the end.

    A model that does not load is damaged, if it was not for want of memory: the SDK compares sizes and no checksums.
    """
    model.download(lambda percent: say(percent=percent), end)
    folder = Path(model.get_path())
    say(reading=True)
    on_cpu = model.info.runtime is not None and model.info.runtime.device_type == "CPU"
    if on_cpu and not memory.Fit(model.id, catalogue.size_mb(folder), memory.free_mb()).too_big:
        try:
            model.load()
        except Exception as error:
            if "alloc" not in str(error) and "memory" not in str(error):
                return {"damaged": str(error)}
    checksums.write(folder)
    return {"done": True}


def main(cache: Path, data: Path, what: str, model_id: str = "") -> bool:
    """Do what is asked; whether that could be done."""
    end = over()
    if there := catalogue.folders_of(cache).get(model_id):
        mend(there)
    # Errors are told for why the catalogue did not answer.
    manager = sdk.opened(cache, data, "ERROR", additional_settings={"NumModelDownloadThreads": THREADS})
    looked = look(manager, cache)
    if what == "look":
        say(looked=looked)
        return looked
    variants: Iterable[IModel] = (one for model in manager.catalog.list_models() for one in model.variants)
    model = next((one for one in variants if one.id == model_id), None)
    try:
        say(**(get(model, end) if model else {"failed": "the catalogue does not name it any more"}))
    except Exception as error:
        say(failed=str(error))
        return False
    return model is not None


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # nobody reads any more
        if main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]):
            os._exit(0)  # closing in order takes seconds, and there is nothing left to save
    sys.exit(1)  # in order, for the SDK's last words are written then
