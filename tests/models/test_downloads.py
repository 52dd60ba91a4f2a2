"""The genuine SDK downloads models from a catalogue and a store, which are on loopback here."""

import asyncio
import hashlib
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import processes
from app.errors import CatalogueBlocked, DamagedModel, DiskFull, DownloadFailed, UnknownModel
from app.models import catalogue, chat, downloads, tokens
from app.models.catalogue import ModelInfo
from app.models.chat import Delta
from app.models.downloads import Downloader, DownloadProgress
from app.settings import ROOT
from tests.support.runtime import opened, settings_for, state_of
from tests.support.scripted import Script, make
from tests.support.store import PIECE, VOCABULARIES, VOCABULARY, Offered, Store
from tests.support.waiting import until

pytestmark = pytest.mark.slow

FERRY = Script(alias="ferry", say="The ferry leaves at 9:30 [1].", weight_mb=48, size_mb=None)
BIG = Script(alias="big", say="A big model answers [1].", weight_mb=128, size_mb=None)
TINY = Script(alias="tiny", say="A tiny model answers [1].", size_mb=None)
OF_FERRY = "ferry-instruct-generic-cpu:1"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the models that the store offers, by alias."""
    cache = make(tmp_path_factory.mktemp("store"), FERRY, TINY, BIG)
    return {one.alias: cache / "Microsoft" / one.full_id.replace(":", "-") for one in (FERRY, TINY, BIG)}


@pytest.fixture
def store(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    shop = Store([Offered(one.full_id, one.alias, made[one.alias]) for one in (FERRY, TINY)])
    for name, value in shop.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    yield shop
    shop.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def getting(cache: Path) -> Downloader:
    return Downloader(settings_for(cache))


async def fetched(
    getting: Downloader, name: str, enough: Callable[[DownloadProgress], bool] = lambda _: False
) -> list[DownloadProgress]:
    """Download a model until `enough`, or to the end; return the reports."""
    reports = []
    async with aclosing(getting.download(name)) as reporting:
        async for report in reporting:
            reports.append(report)
            if enough(report):
                break
    return reports


def folder_of(cache: Path, alias: str = "ferry") -> Path:
    return cache / "Microsoft" / f"{alias}-instruct-generic-cpu-1" / "v1"


async def known_in(cache: Path) -> dict[str, ModelInfo]:
    return await asyncio.to_thread(catalogue.load_catalogue, cache)


def whole(cache: Path, made: dict[str, Path], alias: str = "ferry") -> bool:
    """Return whether the downloaded files equal those of the store."""
    files = {path.name: path.read_bytes() for path in made[alias].iterdir() if path.name != "inference_model.json"}
    return all((folder_of(cache, alias) / name).read_bytes() == data for name, data in files.items())


async def test_the_catalogue_is_asked_and_saved(store: Store, getting: Downloader, cache: Path) -> None:
    known = await getting.update_catalogue()
    assert known == await known_in(cache)
    assert known[OF_FERRY] == ModelInfo("ferry", 50, here=False, device="CPU", licence="MIT")
    assert known["tiny-instruct-generic-cpu:1"].licence == "MIT"


async def test_an_update_keeps_downloaded_models_that_are_not_offered_any_more(
    store: Store, getting: Downloader, cache: Path
) -> None:
    make(cache, Script(alias="retired", say="Still here."))
    make(cache, Script(alias="removed", say="Not here."))
    (cache / "Microsoft" / "removed-instruct-generic-cpu-1" / "inference_model.json").unlink()
    known = await getting.update_catalogue()
    assert {one.alias for one in known.values()} == {"ferry", "tiny", "retired"}
    store.offered.pop()
    assert {one.alias for one in (await getting.update_catalogue()).values()} == {"ferry", "retired"}


async def answer(cache: Path, alias: str) -> str:
    """Ask the model through the runtime."""
    async with opened(settings_for(cache)) as foundry:
        model = await foundry.ready(alias)
        asked = [{"role": "user", "content": "When does the ferry leave?"}]
        events = [event async for event in chat.answer(foundry, model, asked, kept_here="", max_tokens=100)]
        return "".join(event.text for event in events if isinstance(event, Delta))


async def test_a_download_reports_its_progress_and_the_model_then_answers(
    store: Store, getting: Downloader, cache: Path, made: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    store.pace = 0.04
    with caplog.at_level("WARNING", "app.models.downloads"):
        reports = await fetched(getting, "ferry")
    assert "The vocabulary for counting tokens could not be fetched" in caplog.text  # and the model came all the same
    done = [report.done_mb for report in reports]
    assert done == sorted(done)
    assert len({mb for mb in done if 0 < mb < 50}) > 5
    assert (reports[-1].alias, reports[-1].done_mb, reports[-1].seconds_left) == ("ferry", reports[-1].total_mb, 0.0)
    speeds = [report.mb_per_s for report in reports if report.mb_per_s]
    assert speeds
    assert max(speeds) < 2 * 8 * PIECE / 1e6 / store.pace
    assert any(report.seconds_left for report in reports)
    assert whole(cache, made)
    assert await answer(cache, "ferry") == FERRY.say


async def test_the_vocabulary_for_counting_tokens_arrives_after_the_first_model(
    store: Store, getting: Downloader, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(VOCABULARY).hexdigest()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"from app.models import tokens\ntokens.SHA256 = {digest!r}\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))  # in the process that fetches, the small one is expected
    monkeypatch.setattr(tokens, "SHA256", digest)
    store.vocabulary = VOCABULARY
    assert (await fetched(getting, "tiny"))[-1].seconds_left == 0.0
    path = await asyncio.to_thread(tokens.vocabulary_path, state_of(cache))
    assert path == state_of(cache) / "tiktoken" / tokens.FILE
    hosts = [line.split()[1].split("/")[0] for line in store.asked if line.startswith("GET")]
    assert hosts.count(VOCABULARIES) == 1
    assert hosts[-1] == VOCABULARIES


async def test_a_running_runtime_is_replaced_by_one_that_knows_the_downloaded_model(
    store: Store, getting: Downloader, cache: Path
) -> None:
    make(cache, Script(alias="first", say="The first one [1]."))
    async with opened(settings_for(cache)) as foundry, opened(settings_for(cache)) as other:
        before = await foundry.ready("first")
        await other.find()
        await fetched(getting, "tiny")
        async with foundry.slot(before):
            refreshing = asyncio.create_task(foundry.refresh())
            await asyncio.sleep(0.1)
            assert not refreshing.done(), "an answer is being written"
            assert await foundry.ready("first") == before
        await refreshing
        assert (await foundry.ready("tiny")).service != before.service
        assert (await other.find()) == before.service, "who did not ask for it goes on with the one that runs"


def parts_kept(cache: Path, alias: str) -> set[str]:
    """Return the byte ranges of the large file that the SDK has noted as complete."""
    try:
        note = (folder_of(cache, alias) / "model.onnx.dlstate").read_bytes()
    except FileNotFoundError:
        return set()
    size, part, parts, start = struct.unpack_from("<qiii", note, 5)
    bits = int.from_bytes(note[45:], "little") << start | (1 << start) - 1
    return {f"bytes={n * part}-{min((n + 1) * part, size) - 1}" for n in range(parts) if bits >> n & 1}


def parts_asked(store: Store) -> list[str]:
    return [line.rsplit(" ", 1)[1] for line in store.asked if "GET" in line and "model.onnx " in line]


def kill_worker() -> None:
    """Kill the process that downloads; reports that it wrote before may still come, so it can be gone already."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "app.models.download_worker" in child.cmdline():
                child.kill()


@pytest.mark.parametrize(
    ("way", "alias"), [("closed", "ferry"), pytest.param("unplugged", "big", marks=pytest.mark.long), ("killed", "big")]
)
async def test_an_interrupted_download_continues_and_fetches_no_finished_part_again(
    way: str,
    alias: str,
    store: Store,
    getting: Downloader,
    cache: Path,
    made: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.offered.append(Offered(BIG.full_id, "big", made["big"]))
    store.pace = 0.01
    size = sum(path.stat().st_size for path in made[alias].iterdir()) / 1e6
    points = [*sorted(random.Random(way).uniform(0, size * 0.9) for _ in range(4)), size * 0.9]
    kept: set[str] = set()
    for point in points:
        with suppress(DownloadFailed):
            async with aclosing(getting.download(alias)) as reporting:
                async for report in reporting:
                    if report.done_mb < point:
                        continue
                    if way == "closed":
                        break
                    if way == "killed":
                        kill_worker()
                    if way == "unplugged":
                        store.unplugged = True
                        monkeypatch.setattr(downloads, "STALL_SECONDS", 1)
        store.unplugged = False
        monkeypatch.setattr(downloads, "STALL_SECONDS", 60)
        assert not kept & set(parts_asked(store))
        store.asked.clear()
        now = parts_kept(cache, alias)
        assert kept <= now
        kept = now
    reports = await fetched(getting, alias)
    assert len(kept) >= 8  # the SDK takes note of every eighth, and of each if it is told to end
    assert not kept & set(parts_asked(store))
    assert reports[0].done_mb >= len(kept) * 2
    assert whole(cache, made, alias)
    assert await answer(cache, alias) == (FERRY.say if alias == "ferry" else BIG.say)


async def test_a_broken_connection_is_resumed_unnoticed(
    store: Store, getting: Downloader, cache: Path, made: dict[str, Path]
) -> None:
    breaks = sorted(random.Random(1).randrange(50_000_000) for _ in range(5))

    def cut(sent: int) -> bool:
        return bool(breaks) and sent > breaks[0] and bool(breaks.pop(0) + 1)

    store.cut = cut
    assert (await fetched(getting, "ferry"))[-1].seconds_left == 0.0
    assert not breaks
    assert whole(cache, made)


async def test_two_downloads_of_one_model_fetch_it_once_and_both_report_progress(
    store: Store, getting: Downloader, cache: Path
) -> None:
    store.pace = 0.03
    await getting.update_catalogue()
    both = await asyncio.gather(fetched(getting, "ferry"), fetched(Downloader(settings_for(cache)), "ferry"))
    for reports in both:
        assert len({report.done_mb for report in reports if 0 < report.done_mb < 50}) > 3
        assert reports[-1].done_mb == reports[-1].total_mb
    assert len(parts_asked(store)) == len(set(parts_asked(store)))


async def test_a_network_that_stalls_is_noticed_and_what_has_arrived_is_kept(
    store: Store, getting: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await getting.update_catalogue()
    monkeypatch.setattr(downloads, "STALL_SECONDS", 1)
    store.stalled = True
    with pytest.raises(DownloadFailed, match=r"No data of ferry has arrived for 1 seconds.* what has arrived is kept"):
        await fetched(getting, "ferry")
    store.stalled = False
    monkeypatch.setattr(downloads, "STALL_SECONDS", 60)
    assert (await fetched(getting, "ferry"))[-1].seconds_left == 0.0


@pytest.mark.parametrize("spoil", [lambda data: bytes(len(data)), lambda data: data[:-70_000]], ids=["wrong", "short"])
async def test_a_model_that_arrives_damaged_is_named_and_fetched_again(
    spoil: Callable[[bytes], bytes], store: Store, getting: Downloader, cache: Path, made: dict[str, Path]
) -> None:
    store.spoil = lambda name, data: spoil(data) if name.endswith("model.onnx") else data
    with pytest.raises(
        DamagedModel, match=r"ferry has arrived but cannot be loaded.*It was removed: download it again"
    ):
        await fetched(getting, "ferry")
    assert not (await known_in(cache))[OF_FERRY].here
    store.spoil = lambda name, data: data
    await fetched(getting, "ferry")
    assert whole(cache, made)


async def test_a_disk_that_is_too_small_is_reported_before_anything_is_fetched(
    store: Store, getting: Downloader, cache: Path
) -> None:
    store.offered[0].size = 900 * 10**12
    with pytest.raises(
        DiskFull, match=r"ferry needs 900,000\.5 GB more on the disk of .*cache, where [\d.]+ GB are free"
    ):
        await fetched(getting, "ferry")
    assert not store.sent


def test_a_disk_that_fills_up_during_a_download_is_reported(store: Store, cache: Path, tmp_path: Path) -> None:
    store.offered[0].size = 1_000_000
    cache.mkdir()
    program = tmp_path / "program.py"
    program.write_text(FILL, encoding="utf-8")
    mounted = f'mount -t tmpfs -o size=16m none "{cache}" && exec "$0" "$@"'
    line = ["unshare", "-rm", "sh", "-c", mounted, sys.executable, str(program), str(cache)]
    try:
        possible = subprocess.run([*line[:5], "true"], capture_output=True, timeout=20).returncode == 0
    except OSError:
        possible = False
    if not possible:
        pytest.skip("this system lets nobody mount a small disk")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60, env=environment)
    assert ended.stdout.startswith("DiskFull: ferry needs 0.5 GB more on the disk of "), ended.stderr
    assert "0 GB are free. Make room there" in ended.stdout


FILL = """
import asyncio, sys
from contextlib import aclosing, suppress
from functools import partial
import app.settings
from app.errors import DiskFull
from app.models import downloads

async def main():
    downloads.DISK_RESERVE_MB = 0
    try:
        getting = downloads.Downloader(app.settings.load(model_cache=sys.argv[1]))
        async with aclosing(getting.download("ferry")) as reports:
            async for report in reports:
                downloads.DISK_RESERVE_MB = 500
    except DiskFull as error:
        print(f"DiskFull: {error}")

asyncio.run(main())
"""


BLOCKED = (
    "The public catalogue of models cannot be reached: {}. A company's network may not let it through: try another"
)


TROUBLES = {
    "nothing listens": "no connection can be made",
    "the proxy forbids it": "no connection can be made",
    "HTTP 403": "it answers with HTTP 403",
    "HTTP 503": "it answers with HTTP 503",
    "unknown certificate": "the server's certificate is not trusted on this machine",
    "no such address": "its address is not found, perhaps because there is no network",
    "an empty list": "it lists no model for this machine",
}


def make_trouble(trouble: str, store: Store, patch: pytest.MonkeyPatch) -> None:
    match trouble:
        case "nothing listens":
            store.unplugged = True
        case "the proxy forbids it":
            store.refuses = 403
        case "unknown certificate":
            patch.delenv("SSL_CERT_FILE")
        case "no such address":
            patch.setenv("HTTPS_PROXY", "http://proxy.invalid:8080")
        case "an empty list":
            store.offered.clear()
        case _:
            store.fails = int(trouble.removeprefix("HTTP "))


async def test_an_unreachable_catalogue_is_reported_with_remedies(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, each with a store and a cache of its own, because the SDK tries for four seconds."""
    started, start = [], processes.start

    def counted(*arguments: Any, **options: Any) -> processes.Process:
        started.append(arguments)
        return start(*arguments, **options)

    monkeypatch.setattr(processes, "start", counted)
    stores: list[Store] = []
    asking: list[tuple[str, asyncio.Task[object]]] = []
    for trouble in TROUBLES:
        folder = tmp_path / trouble
        folder.mkdir()
        stores.append(Store([Offered(FERRY.full_id, "ferry", made["ferry"])]))
        with monkeypatch.context() as patch:
            for name, value in stores[-1].environment(folder).items():
                patch.setenv(name, value)
            make_trouble(trouble, stores[-1], patch)
            getting = Downloader(settings_for(folder / "cache"))
            for ask in (getting.update_catalogue, partial(fetched, getting, "ferry")):
                asking.append((trouble, asyncio.create_task(ask())))
                # By then it has its environment.
                assert await asyncio.to_thread(until, lambda: len(started) == len(asking), 10)
    await asyncio.wait([task for _, task in asking])
    for trouble, task in asking:
        error = task.exception()
        assert isinstance(error, CatalogueBlocked), trouble
        assert str(error).startswith(BLOCKED.format(TROUBLES[trouble])), trouble
        assert "trainer's kit" in str(error)
        assert "HTTPS_PROXY" in str(error)
    for store in stores:
        store.close()


async def test_a_blocked_store_is_reported_too(store: Store, getting: Downloader) -> None:
    await getting.update_catalogue()
    store.refuses = 403
    with pytest.raises(CatalogueBlocked, match="no connection can be made"):
        await fetched(getting, "ferry")


async def test_a_failed_update_keeps_the_saved_catalogue(store: Store, getting: Downloader, cache: Path) -> None:
    known = await getting.update_catalogue()
    store.fails = 403
    with pytest.raises(CatalogueBlocked):
        await getting.update_catalogue()
    assert (await known_in(cache)) == known


async def test_an_unknown_model_is_answered_with_similar_names(store: Store, getting: Downloader) -> None:
    with pytest.raises(UnknownModel, match=r"has no model ferri for this machine. Did you mean: ferry\?"):
        await fetched(getting, "ferri")
    with pytest.raises(UnknownModel, match=r"It lists ferry, ferry-instruct-generic-cpu:1, tiny"):
        await fetched(getting, "gpt-5")


async def test_a_model_that_is_here_needs_no_network(store: Store, getting: Downloader) -> None:
    await fetched(getting, "tiny")
    store.unplugged = True
    assert (await fetched(getting, "tiny"))[-1].done_mb > 0


def test_the_download_worker_ends_with_its_parent(store: Store, cache: Path) -> None:
    store.pace = 0.5
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", START, str(cache)], env=environment) as starter:
        assert until(lambda: store.sent > 0, 20)
        children = psutil.Process(starter.pid).children()
        assert children
        starter.kill()
    _, alive = psutil.wait_procs(children, 6)
    assert not alive


START = """
import asyncio, sys
from pathlib import Path
from app.models.downloads import Downloader
from tests.models.test_downloads import fetched, settings_for

asyncio.run(fetched(Downloader(settings_for(Path(sys.argv[1]))), "ferry"))
"""
