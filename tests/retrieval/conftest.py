"""What several tests of the index need."""

from collections.abc import Iterator

import pytest

from app.retrieval import kernel


@pytest.fixture(params=["numpy", "compiled"], scope="module")
def loops(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to the same scores, one after the other."""
    if request.param == "compiled" and not kernel.load():
        pytest.skip("numba is not installed")
    chosen = kernel.loops(0) if request.param == "compiled" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "loops", lambda _: chosen)
        yield request.param
