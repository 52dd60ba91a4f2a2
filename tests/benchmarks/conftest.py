"""The benchmarks read the same small collection as the evaluations."""

from tests.evaluation.conftest import write

__all__ = ["write"]
