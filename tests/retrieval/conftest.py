"""Fixtures that several tests of retrieval share."""

from collections.abc import Iterator

import pytest

from app.retrieval import scoring


@pytest.fixture(params=["numpy", "numba"], scope="module")
def both_kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test with numpy, and with the loop that numba compiles."""
    scoring.compiler().join()
    loop = scoring.compiled(0) if request.param == "numba" else None
    if request.param == "numba" and loop is None:
        pytest.skip("numba is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "compiled", lambda _: loop)
        yield request.param
