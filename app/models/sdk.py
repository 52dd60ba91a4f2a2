"""Foundry Local's SDK, as the processes open it that have it in them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foundry_local_sdk import FoundryLocalManager


def opened(cache: Path, data: Path, level: str, **more: Any) -> "FoundryLocalManager":
    """The one manager that a process may have; it logs from this level on, on standard error."""
    os.environ["CI"] = "true"  # the one switch that keeps its telemetry off the network; read when it is imported
    from foundry_local_sdk import Configuration, FoundryLocalManager, LogLevel

    return FoundryLocalManager(
        Configuration(
            app_name="escalator",
            app_data_dir=str(data),
            model_cache_dir=str(cache),
            log_level=LogLevel[level],
            disable_nonessential_telemetry=True,
            **more,
        )
    )
