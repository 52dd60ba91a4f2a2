"""Which pair a chat answers with, on the genuine runtime: configured, chosen, or in place of missing models."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import NoModel
from app.models import selection
from app.models.catalogue import ModelPair
from app.models.chat import warm_up
from app.models.foundry import Foundry
from app.models.memory import Machine
from tests.support.runtime import opened, settings_for
from tests.support.scripted import Script

TINY = Script(alias="qwen2.5-0.5b", say="Tiny.", size_mb=780)
SMALLER = Script(alias="qwen2.5-1.5b", say="Smaller.", size_mb=1_740)
STANDARD = Script(alias="phi-4-mini", say="Standard.", size_mb=4_800)

Sized = Callable[[int, int], None]


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> Sized:
    """Pretend that this machine has so many megabytes of memory, and so many free."""

    def size(memory: int, free: int) -> None:
        monkeypatch.setattr(selection, "inspect_machine", lambda _: Machine(memory, free, 200_000, 8))
        monkeypatch.setattr("app.models.memory.free_mb", lambda: free)

    return size


async def paired(foundry: Foundry) -> ModelPair:
    await foundry.find()
    return foundry.pair


@pytest.mark.slow
async def test_the_pair_on_the_disk_answers_if_the_default_one_is_not_there(
    model_cache: Callable[..., Path], laptop: Sized
) -> None:
    laptop(8_000, 4_000)
    async with opened(settings_for(model_cache(TINY, SMALLER))) as foundry:
        assert foundry.pair == ModelPair("phi-4-mini", "gpt-oss-20b")
        assert await paired(foundry) == ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b")
        assert foundry.substitution == (
            "Not downloaded: phi-4-mini, gpt-oss-20b. So qwen2.5-0.5b answers first and qwen2.5-1.5b when needed; "
            "`escalator models` shows which pairs fit."
        )
        warm = await warm_up(foundry, *foundry.pair.of("small"))
        assert (warm.model.id, warm.token_seconds > 0) == (TINY.full_id, True)


@pytest.mark.slow
async def test_a_choice_is_remembered_and_overridden_by_a_setting(
    model_cache: Callable[..., Path], laptop: Sized, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop(16_000, 10_000)
    settings = settings_for(model_cache(TINY, SMALLER, STANDARD))
    async with opened(settings) as foundry:
        assert await paired(foundry) == ModelPair("qwen2.5-1.5b", "phi-4-mini")
        await foundry.use(ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b"))
        assert (foundry.pair, foundry.substitution) == (ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b"), None)
    async with opened(settings) as later:
        assert await paired(later) == ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b")
        assert later.substitution is None
    monkeypatch.setenv("LLM_ALIAS", "phi-4-mini")
    async with opened(settings_for(settings.model_cache)) as set_by_hand:
        assert await paired(set_by_hand) == ModelPair("qwen2.5-0.5b", "phi-4-mini")


async def test_a_chosen_pair_that_is_gone_is_replaced(model_cache: Callable[..., Path], laptop: Sized) -> None:
    laptop(16_000, 10_000)
    settings = settings_for(model_cache(STANDARD))
    await asyncio.to_thread(selection.save_choice, settings, ModelPair("qwen2.5-0.5b", "qwen2.5-1.5b"))
    async with opened(settings) as foundry:
        assert await paired(foundry) == ModelPair("phi-4-mini", "phi-4-mini")
        assert str(foundry.substitution).startswith("Not downloaded: qwen2.5-0.5b, qwen2.5-1.5b. So phi-4-mini")


async def test_a_damaged_choice_is_ignored(model_cache: Callable[..., Path], laptop: Sized) -> None:
    laptop(16_000, 10_000)
    settings = settings_for(model_cache(TINY))
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / selection.CHOICE).write_text('{"small": 7, "large": nul', encoding="utf-8")
    async with opened(settings) as foundry:
        assert await paired(foundry) == ModelPair("qwen2.5-0.5b", "qwen2.5-0.5b")


async def test_configured_models_are_never_replaced(model_cache: Callable[..., Path], laptop: Sized) -> None:
    laptop(8_000, 4_000)
    async with opened(settings_for(model_cache(TINY, SMALLER), small="mine", large="yours")) as foundry:
        assert await paired(foundry) == ModelPair("mine", "yours")
        assert foundry.substitution is None


async def test_a_model_that_is_too_large_is_refused_with_the_pair_that_fits(
    model_cache: Callable[..., Path], laptop: Sized
) -> None:
    laptop(8_000, 4_000)
    async with opened(settings_for(model_cache(STANDARD), small="phi-4-mini")) as foundry:
        with pytest.raises(NoModel) as caught:
            await foundry.ready("phi-4-mini")
    assert re.fullmatch(
        r"phi-4-mini needs about 6(\.\d)? GB of memory and 4 GB are free\. Close other programs, or set SLM_ALIAS to a "
        r"smaller model\. qwen2\.5-0\.5b and qwen2\.5-1\.5b fit: run `escalator models get tiny`\.",
        str(caught.value),
    )
