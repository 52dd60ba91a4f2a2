"""The figures of the gateway say what it adds to the pipeline's first token, and how late a token comes."""

from benchmarks import gateway


def test_the_lines_name_what_the_gateway_adds() -> None:
    lags = {"p50": 1.0, "p99": 20.0, "last": 3.5}
    result = {
        "first_token_ms": {"pipeline": 20.0, "gateway": 23.0, "added": 3.0},
        "tokens_per_s": 2_000,
        "lag_ms": {"pipeline": lags, "gateway": lags},
        "cpu_ms_per_token": {"pipeline": 0.4, "gateway": 0.5},
    }

    first, added, _, ours, last = gateway.lines(result)

    assert "gateway 23.0 ms" in first
    assert "3.0 ms later, where at most 30 ms" in added
    assert "p99 20.0 ms late, 0.5 ms of processor" in ours
    assert "3.5 ms after it was written" in last
