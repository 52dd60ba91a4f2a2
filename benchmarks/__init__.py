"""The benchmarks behind `escalator bench`: they are part of a clone of the repository and are not installed."""
