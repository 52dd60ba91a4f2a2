"""Updates the catalogue and downloads models: `python -m app.models.download_worker CACHE STATE_DIR [ID]`.

Foundry Local's SDK does both, from its own addresses and through the user's proxy; it allows one manager in a process,
and the runtime's uses no network. Without an ID only the catalogue is updated. A report is a line of JSON with all that
is known so far, five times a second. The process ends with its standard input; what has arrived by then is kept, and
the SDK continues from there.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import DownloadFailed
from app.files import load_json, write_json
from app.models import catalogue, memory, tokens
from app.models.runtime import open_sdk

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager
    from foundry_local_sdk.imodel import IModel

THREADS = "8"
"""Parts of a file that are downloaded at once, of 2 MB each: the SDK's 64 would lose more at an interruption."""

END_SECONDS = 3.0
REPORT_SECONDS = 0.2

Report = dict[str, Any]
"""`percent` that has arrived, `reading` while the model is loaded for a test, a `notice`; at the end `updated`, if the
catalogue was saved; or of a model `done`, or `damaged` or `failed` with the reason."""


def watch_stdin() -> threading.Event:
    """Return an event that is set when standard input ends, on which the SDK stops; the process ends soon after."""
    event = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):  # sys.stdin cannot be closed at the end while a thread reads it
            pass
        event.set()
        time.sleep(END_SECONDS)  # for the SDK to note what has arrived
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    return event


def update_catalogue(manager: "FoundryLocalManager", cache: Path) -> bool:
    """Have the SDK save the public catalogue, and return whether it did.

    The SDK saves none while the saved one is younger than six hours, and it reports no failure. It leaves out models
    that are not offered any more; those that were downloaded are put back, or the runtime would not know them.
    """
    saved = cache / catalogue.CATALOGUE
    before = load_json(saved) or {"models": []}
    if saved.exists():
        write_json(saved, before | {"savedAtUnix": 0})
    manager.catalog.list_models()
    after = load_json(saved)
    if not after or not after.get("savedAtUnix"):
        return False
    missing = set(catalogue.model_folders(cache)) - {entry["id"] for entry in after["models"]}
    if lost := [entry for entry in before["models"] if entry["id"] in missing]:
        write_json(saved, after | {"models": after["models"] + lost})
    return True


def download(model: "IModel", end: threading.Event, report: Report) -> None:
    """Download a model, or what is missing of it.

    A model that cannot be loaded is damaged, unless memory is short: the SDK compares sizes and no checksums.
    """
    model.download(lambda percent: report.update(percent=percent), end)
    folder = Path(model.get_path())
    report["reading"] = True
    on_cpu = model.info.runtime is not None and model.info.runtime.device_type == "CPU"
    size = catalogue.folder_size_mb(folder)
    if on_cpu and not memory.MemoryFit(model.id, size, memory.free_mb()).too_big:
        try:
            model.load()
        except Exception as error:
            if "alloc" not in str(error) and "memory" not in str(error):
                report["damaged"] = str(error)
                return
    report["done"] = True


def main(report: Report, cache: Path, state_dir: Path, model_id: str = "") -> None:
    """Update the catalogue and, if a model is named, download it, and then the vocabulary for counting tokens."""
    end = watch_stdin()
    # The SDK's errors are printed for the reason why the catalogue did not answer.
    options = {"NumModelDownloadThreads": THREADS}
    manager = open_sdk(cache, state_dir / "fetcher", "ERROR", additional_settings=options)
    updated = update_catalogue(manager, cache)
    if not model_id:
        report["updated"] = updated
        return
    try:
        if (model := manager.catalog.get_model_variant(model_id)) is None:
            raise LookupError("the catalogue does not name it any more")
        download(model, end, report)
        folders = tokens.vocabulary_folders(state_dir)
        if "done" in report and folders and tokens.vocabulary_path(state_dir) is None:
            tokens.fetch_vocabulary(folders[0])
    except DownloadFailed as error:  # without the vocabulary the model answers all the same
        report["notice"] = str(error)
    except Exception as error:
        report["failed"] = str(error)


if __name__ == "__main__":
    report: Report = {}
    work = threading.Thread(target=main, args=(report, *map(Path, sys.argv[1:3]), *sys.argv[3:]), daemon=True)
    work.start()
    while work.is_alive():
        work.join(REPORT_SECONDS)
        with suppress(OSError):  # whoever started this process has gone; the SDK still notes what has arrived
            print(json.dumps(report.copy()), flush=True)  # noqa: T201 - what this process is for
    if report.keys() & {"done", "damaged"} or report.get("updated"):
        os._exit(0)  # an orderly close takes seconds, and there is nothing left to save
    sys.exit(1)  # in order, because the SDK prints its last lines then
