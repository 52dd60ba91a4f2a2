"""What several tests of the index need."""

from collections.abc import Iterator

import pytest

from app.retrieval import compiled


@pytest.fixture(params=["numpy", "compiled"], scope="module")
def loops(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to the same scores, one after the other."""
    if request.param == "compiled" and not compiled.load():
        pytest.skip("numba is not installed")
    chosen = compiled.loops(0) if request.param == "compiled" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "loops", lambda _: chosen)
        yield request.param
