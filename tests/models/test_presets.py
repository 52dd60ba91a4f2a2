"""Which pairs a machine is offered, how fast they run, and which pair is selected from the models on the disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import catalogue, presets
from app.models.catalogue import ModelInfo, ModelPair
from app.models.memory import OVERHEAD, SPARE_MB, Machine
from app.models.presets import Preset
from app.models.selection import select_pair, substitution
from tests.support.scripted import Script, make

DEFAULT = ModelPair("phi-4-mini", "gpt-oss-20b")
TINY, SMALLER, STANDARD, SEVEN, LARGE = "qwen2.5-0.5b", "qwen2.5-1.5b", "phi-4-mini", "qwen2.5-7b", "gpt-oss-20b"


def laptop(memory: int, free: float, **other: float) -> Machine:
    """A machine with its memory and free memory in gigabytes."""
    return replace(Machine(1000 * memory, int(1000 * free), 200_000, 8), **other)


def disk(**sizes: int) -> dict[str, ModelInfo]:
    """Models on the disk, by the letters of their aliases, with their sizes."""
    names = {"tiny": TINY, "smaller": SMALLER, "standard": STANDARD, "seven": SEVEN, "large": LARGE}
    return {f"{names[it]}-cpu:1": ModelInfo(names[it], size, here=True) for it, size in sizes.items()}


def best(machine: Machine, known: dict[str, ModelInfo] | None = None) -> Preset:
    found = presets.recommended(presets.presets_for(machine, known or {}))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("machine", "name", "pair", "fits"),
    [
        (laptop(8, 4), "tiny", ModelPair(TINY, SMALLER), "together"),
        (laptop(16, 10), "standard", ModelPair(STANDARD, SEVEN), "in turns"),
        (laptop(32, 24), "large", DEFAULT, "together"),
        (laptop(24, 16), "large", DEFAULT, "in turns"),
        (laptop(24, 14), "large", ModelPair(STANDARD, "phi-4"), "in turns"),
    ],
    ids=["8 GB", "16 GB", "32 GB", "24 GB", "24 GB, of which programs hold more"],
)
def test_a_machine_is_offered_the_documented_pair(machine: Machine, name: str, pair: ModelPair, fits: str) -> None:
    offer = best(machine)
    assert (offer.name, offer.pair, offer.fits) == (name, pair, fits)


def test_where_programs_hold_memory_the_pair_that_would_fit_without_them_is_named() -> None:
    tiny, standard, large = presets.presets_for(laptop(16, 5), {})
    assert (tiny.fits, standard.fits, large.fits) == ("together", "after closing programs", "no")
    assert standard.why == (
        "qwen2.5-7b needs 8.1 GB of memory and 5 GB of 16 GB are free: close other programs. (Sizes as listed "
        "by Foundry Local, not looked up now.)"
    )
    assert large.why.startswith("gpt-oss-20b needs 15.6 GB of memory, more than this machine has left")
    assert best(laptop(16, 5)).name == "tiny"


def test_where_nothing_fits_until_programs_are_closed_the_smallest_is_recommended() -> None:
    offer = best(laptop(16, 1))
    assert (offer.name, offer.fits) == ("tiny", "after closing programs")
    assert presets.recommended(presets.presets_for(laptop(4, 1), {})) is None


def test_a_full_disk_is_a_reason_of_its_own_but_not_for_what_is_here() -> None:
    full = laptop(32, 24, disk_free_mb=2_000)
    tiny = presets.presets_for(full, {})[0]
    assert tiny.fits == "no"
    assert tiny.why.startswith("2.8 GB must be downloaded and 2 GB are free on the disk. Free some space, or set ESC")
    assert best(full, disk(tiny=800, smaller=1780)).name == "tiny"


def test_sizes_come_from_the_catalogue_and_from_the_table_only_without_it(tmp_path: Path) -> None:
    make(tmp_path, Script(alias=TINY, say="", size_mb=900))
    listed = json.loads((tmp_path / "foundry.modelinfo.json").read_text(encoding="utf-8"))
    entry = listed["models"][0]
    graphics = {"runtime": {"deviceType": "GPU", "executionProvider": "WebGpuExecutionProvider"}, "fileSizeMb": 700}
    missing = entry | graphics | {"id": f"{TINY}-instruct-webgpu-gpu:2"}
    smaller = entry | {"id": f"{SMALLER}-instruct-generic-cpu:4", "alias": SMALLER, "fileSizeMb": 1_800}
    listed["models"] = [missing, entry, smaller]
    (tmp_path / "foundry.modelinfo.json").write_text(json.dumps(listed), encoding="utf-8")
    known = catalogue.load_catalogue(tmp_path)

    tiny, standard, _ = presets.presets_for(laptop(8, 4), known)
    told = [known[f"{TINY}-instruct-generic-cpu:1"].size_mb, known[f"{SMALLER}-instruct-generic-cpu:4"].size_mb]
    assert (list(tiny.sizes), tiny.here) == (told, (True, False))
    assert "not looked up now" not in tiny.why
    assert "not looked up now" in standard.why
    assert [one.device for _, one in presets.variants(known, TINY)] == ["CPU", "GPU"]


def test_speed_is_memory_read_per_token_and_a_mixture_of_experts_reads_a_part() -> None:
    known = disk(standard=5_000, large=12_500)
    assert presets.presets_for(laptop(32, 24), known)[2].tokens_per_s == (10.0, 20.0)


@given(st.integers(0, 64_000), st.integers(0, 64_000))
def test_what_is_recommended_fits_into_what_is_free_or_needs_other_programs_closed(memory: int, free: int) -> None:
    free = min(free, memory)
    offered = presets.presets_for(laptop(0, 0, memory_mb=memory, free_mb=free), {})
    for it in offered:
        assert it.now == (max(it.sizes) * OVERHEAD + SPARE_MB <= free + 1)
        assert it.fits != "together" or sum(it.sizes) * OVERHEAD + SPARE_MB <= free + 1
    chosen = presets.recommended(offered)
    assert chosen is None or chosen.now or not any(it.now for it in offered)


@pytest.mark.parametrize(
    ("machine", "known", "used"),
    [
        (laptop(32, 24), disk(standard=4800, large=12_260), DEFAULT),
        (laptop(32, 24), disk(tiny=800, smaller=1780), ModelPair(TINY, SMALLER)),
        (laptop(16, 10), disk(tiny=800, standard=4800, seven=6160), ModelPair(STANDARD, SEVEN)),
        (laptop(16, 10), disk(smaller=1780, standard=4800), ModelPair(SMALLER, STANDARD)),
        (laptop(16, 10), disk(standard=4800), DEFAULT),
        (laptop(16, 10), disk(seven=6160), ModelPair(SEVEN, SEVEN)),
        (laptop(32, 24), disk(large=12_260), DEFAULT),
        (laptop(16, 10), disk(standard=4800, large=12_260), DEFAULT),
        (laptop(32, 24), disk(tiny=800, large=12_260), ModelPair(TINY, LARGE)),
        (laptop(8, 4), disk(tiny=800, smaller=1780, standard=4800), ModelPair(TINY, SMALLER)),
        (laptop(16, 10), disk(standard=4800, seven=6160, large=12_260), ModelPair(STANDARD, SEVEN)),
        (laptop(8, 1), disk(tiny=800, smaller=1780), ModelPair(TINY, TINY)),
        (laptop(32, 1), disk(standard=4800, large=12_260), DEFAULT),
        (laptop(32, 24), {}, DEFAULT),
        (laptop(32, 24), {"whisper-tiny:1": ModelInfo("whisper-tiny", 100, here=True)}, DEFAULT),
        (
            laptop(8, 4),
            disk(tiny=800) | {"phi:1": ModelInfo(STANDARD, 4800, True, "GPU")},
            ModelPair(TINY, STANDARD),
        ),
    ],
)
def test_the_best_pair_on_the_disk_that_fits_is_selected(
    machine: Machine, known: dict[str, ModelInfo], used: ModelPair
) -> None:
    assert select_pair(DEFAULT, (), known, machine) == used


def test_a_configured_role_keeps_its_model_and_only_the_other_is_replaced() -> None:
    known, machine = disk(tiny=800, smaller=1780, seven=6160), laptop(16, 10)
    assert select_pair(ModelPair("mine", LARGE), {"small"}, known, machine) == ModelPair("mine", SEVEN)
    assert select_pair(ModelPair(SEVEN, LARGE), {"small"}, known, machine) == ModelPair(SEVEN, LARGE)
    assert select_pair(ModelPair(STANDARD, SMALLER), {"large"}, known, machine) == ModelPair(TINY, SMALLER)
    assert select_pair(ModelPair(STANDARD, TINY), {"large"}, known, machine) == ModelPair(STANDARD, TINY)
    assert select_pair(ModelPair("mine", "yours"), {"small", "large"}, known, machine) == ModelPair("mine", "yours")


def test_a_substitution_is_described_with_its_reason() -> None:
    known = disk(smaller=1780, standard=4800)
    assert substitution(DEFAULT, DEFAULT, known) is None
    assert substitution(DEFAULT, ModelPair(SMALLER, SMALLER), known) == (
        "Not downloaded: gpt-oss-20b. Too large for this machine: phi-4-mini. So qwen2.5-1.5b answers alone; "
        "`escalator models` shows which pairs fit."
    )
    assert str(substitution(DEFAULT, ModelPair(SMALLER, STANDARD), known)).startswith(
        "Not downloaded: gpt-oss-20b. So qwen2.5-1.5b answers first and phi-4-mini when needed;"
    )


def test_a_model_that_is_too_large_has_an_alternative_if_a_pair_fits() -> None:
    assert presets.alternative(laptop(8, 4), {}, STANDARD) == (
        " qwen2.5-0.5b and qwen2.5-1.5b fit: run `escalator models get tiny`."
    )
    assert presets.alternative(laptop(8, 1), {}, STANDARD) == ""


def test_loaded_models_count_as_free_memory_because_they_can_be_unloaded() -> None:
    known = disk(standard=4000) | {"gpu:1": ModelInfo("gpu", 9000, here=True, device="GPU")}
    assert presets.without_loaded(laptop(16, 3), ["phi-4-mini-cpu:1", "gpu:1", "other"], known).free_mb == 7_600
