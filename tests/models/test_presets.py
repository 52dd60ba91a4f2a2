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
        (laptop(24, 14), "standard", ModelPair(STANDARD, SEVEN), "in turns"),
        (laptop(32, 24, cores=2), "tiny", ModelPair(TINY, SMALLER), "together"),
        (laptop(32, 24, cores=3), "large", DEFAULT, "together"),
        (laptop(16, 10, cores=3), "tiny", ModelPair(TINY, SMALLER), "together"),
        (laptop(128, 110, cores=1), "tiny", ModelPair(TINY, SMALLER), "together"),
        (laptop(128, 110, cores=64), "large", DEFAULT, "together"),
    ],
    ids=[
        "8 GB",
        "16 GB",
        "32 GB",
        "24 GB",
        "24 GB, of which programs hold more: the larger pair that would fit is slow",
        "two cores, though 32 GB",
        "three cores are enough for a mixture of experts",
        "three cores are too few for a model of 7 billion parameters",
        "one core, though 128 GB",
        "a server",
    ],
)
def test_a_machine_is_offered_the_documented_pair(machine: Machine, name: str, pair: ModelPair, fits: str) -> None:
    offer = best(machine)
    assert (offer.name, offer.pair, offer.fits) == (name, pair, fits)


def listed(*aliases: str, here: tuple[str, ...] = ()) -> dict[str, ModelInfo]:
    """A catalogue that lists these models with their sizes, beside the older ones."""
    older = (TINY, SMALLER, STANDARD, SEVEN, LARGE)
    return {f"{it}-generic-cpu:2": ModelInfo(it, presets.SIZES[it], it in here) for it in (*older, *aliases)}


QWEN = ("qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-2b-text", "qwen3.5-4b", "qwen3.5-9b")


@pytest.mark.parametrize(
    ("machine", "known", "name", "pair", "fits"),
    [
        (laptop(8, 4), listed(*QWEN), "tiny", ModelPair("qwen3.5-0.8b", "qwen3.5-2b-text"), "together"),
        (laptop(16, 10), listed(*QWEN), "standard", ModelPair("qwen3.5-2b", "qwen3.5-4b"), "together"),
        (laptop(16, 10.5), listed(*QWEN), "standard", ModelPair("qwen3.5-4b", "qwen3.5-9b"), "in turns"),
        (laptop(32, 24), listed(*QWEN), "large", DEFAULT, "together"),
        (laptop(8, 4), listed("qwen3.5-0.8b"), "tiny", ModelPair(TINY, SMALLER), "together"),
        (
            laptop(16, 10),
            listed("qwen3.5-2b", "gemma-4-e2b-it"),
            "standard",
            ModelPair("qwen3.5-2b", "gemma-4-e2b-it"),
            "in turns",
        ),
        (laptop(8, 4), listed(*QWEN, here=(TINY, SMALLER)), "tiny", ModelPair(TINY, SMALLER), "together"),
    ],
    ids=[
        "8 GB",
        "16 GB",
        "16 GB, of which programs hold less",
        "32 GB",
        "a catalogue with one of two",
        "gemma-4 where it is listed and the other is not",
        "the older pair is on the disk",
    ],
)
def test_newer_models_are_offered_where_the_catalogue_lists_them(
    machine: Machine, known: dict[str, ModelInfo], name: str, pair: ModelPair, fits: str
) -> None:
    offer = best(machine, known)
    assert (offer.name, offer.pair, offer.fits) == (name, pair, fits)
    assert "Sizes are approximate" not in offer.why


def test_of_models_of_which_a_token_needs_a_part_the_speed_is_that_of_the_part() -> None:
    known = listed("qwen3.5-2b", "gemma-4-e2b-it")
    pair = ModelPair("qwen3.5-2b", "gemma-4-e2b-it")
    assert presets.assess(laptop(16, 10), known, "standard", pair).tokens_per_s == (22.2, 15.8)


def test_where_programs_hold_memory_the_pair_that_would_fit_without_them_is_named() -> None:
    tiny, standard, large = presets.presets_for(laptop(16, 5), {})
    assert (tiny.fits, standard.fits, large.fits) == ("together", "after closing programs", "no")
    assert standard.why == (
        "Close other programs first: qwen2.5-7b needs 8.1 GB of memory, and 5 GB of 16 GB are free. Sizes are "
        "approximate until the online catalogue has been read."
    )
    assert large.why.startswith("Too large for this machine: gpt-oss-20b needs 15.6 GB of memory beside the system.")
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
    assert "Sizes are approximate" not in tiny.why
    assert "Sizes are approximate" in standard.why
    assert [one.device for _, one in presets.variants(known, TINY)] == ["CPU", "GPU"]


def speeds(machine: Machine, known: dict[str, ModelInfo]) -> tuple[float | None, float | None]:
    return presets.assess(machine, known, "large", DEFAULT).tokens_per_s


def on(device: str) -> dict[str, ModelInfo]:
    return {name: replace(info, device=device) for name, info in disk(standard=5_000, large=12_500).items()}


def test_speed_is_memory_read_per_token_and_a_mixture_of_experts_reads_a_part() -> None:
    assert speeds(laptop(32, 24), on("CPU")) == (10.0, 20.0)


def test_few_cores_read_less_than_the_memory_gives() -> None:
    assert speeds(laptop(32, 24, cores=2), on("CPU")) == (4.0, 8.0)
    assert speeds(laptop(32, 24, cores=2), on("NPU")) == (10.0, 20.0), "which computes with cores of its own"


def test_a_graphics_card_has_faster_memory_and_graphics_without_any_share_that_of_the_machine() -> None:
    assert speeds(laptop(32, 24, cores=2, graphics=True), on("GPU")) == (40.0, 80.0)
    assert speeds(laptop(32, 24, cores=2), on("GPU")) == (10.0, 20.0)


@given(st.integers(1, 128), st.integers(4, 128), st.integers(0, 64_000), st.booleans())
def test_speed_depends_on_what_a_machine_is_and_never_on_its_load(
    cores: int, memory: int, free: int, graphics: bool
) -> None:
    machine = laptop(memory, memory, cores=cores, graphics=graphics)
    busy = replace(machine, free_mb=min(free, machine.memory_mb))
    for idle, loaded in zip(presets.presets_for(machine, {}), presets.presets_for(busy, {}), strict=True):
        assert idle.pair != loaded.pair or idle.tokens_per_s == loaded.tokens_per_s


@given(st.integers(1, 16), st.integers(4, 128), st.floats(0.1, 1))
def test_a_slow_pair_is_recommended_only_where_all_that_fit_are_slow_and_then_the_fastest(
    cores: int, memory: int, share: float
) -> None:
    offered = presets.presets_for(laptop(memory, memory * share, cores=cores), {})
    chosen, now = presets.recommended(offered), [it for it in offered if it.now]
    if chosen is not None and now:
        assert not chosen.slow or all(it.slow for it in now)
        assert chosen.slow == (min(it or 0 for it in chosen.tokens_per_s) < 5)
        assert not chosen.slow or chosen is max(now, key=lambda it: presets.slowest(it.tokens_per_s))


def test_a_slow_pair_says_how_long_one_waits() -> None:
    tiny, standard, _ = presets.presets_for(laptop(32, 24, cores=2), {})
    assert (tiny.slow, standard.slow) == (False, True)
    assert "Slow on this machine: 100 words take about 44 s." in standard.why
    assert "Slow" not in tiny.why


def test_where_every_pair_is_slow_the_fastest_is_recommended() -> None:
    heavy = {TINY: 9000, SMALLER: 9500, STANDARD: 3900, SEVEN: 4000, LARGE: 50_000, "phi-4": 50_000}
    offer = best(laptop(128, 120, cores=1), {f"{name}:1": ModelInfo(name, size) for name, size in heavy.items()})
    assert (offer.name, offer.slow) == ("standard", True)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((10.4, 19.9), "about 10 and about 20 tokens a second"),
        ((4.96, 0.4), "about 4 and less than 1 tokens a second"),
        ((0.9, 0.04), "less than 1 token a second"),
        ((58.2, None), "about 60 tokens a second"),
        ((None, None), ""),
    ],
)
def test_speeds_are_said_as_exactly_as_they_are_known_and_never_as_nothing(
    known: tuple[float | None, float | None], said: str
) -> None:
    assert presets.in_words(known) == said


def test_a_small_pair_to_begin_with_is_offered_where_the_recommended_one_is_larger_and_nothing_is_here() -> None:
    def steps(machine: Machine, known: dict[str, ModelInfo]) -> list[str]:
        return [it.name for it in presets.first_steps(machine, presets.presets_for(machine, known)) or ()]

    assert steps(laptop(16, 10), {}) == ["tiny", "standard"]
    assert steps(laptop(32, 24), {}) == ["tiny", "large"]
    assert steps(laptop(8, 4), {}) == [], "tiny is what is recommended"
    assert steps(laptop(32, 24, cores=2), {}) == [], "a larger pair would be slow"
    assert steps(laptop(16, 10), disk(tiny=800)) == [], "something is here"
    assert steps(laptop(16, 10, disk_free_mb=13_000), {}) == [], "the disk has no room for both"
    assert steps(laptop(4, 1), {}) == [], "nothing fits"


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
