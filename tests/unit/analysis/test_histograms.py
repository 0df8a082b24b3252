"""Histograms added bin by bin give the percentiles of the pooled samples; which quantiles may be printed."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from analysis.judge.quantiles import Quantile, quantile
from analysis.read.histograms import EMPTY, Histogram, HistogramError, decode, highest_us, lowest_us, merge
from tests.unit.synthetic import encode

BIN = 0.001  # three significant digits


def recorded(values_us: list[int]) -> str:
    made = HdrHistogram(1, 300_000_000, 3)
    for value in values_us:
        assert made.record_value(value)
    return str(made.encode().decode())


def of_ms(*times: float) -> Histogram:
    return decode(encode([time / 1000 for time in times]))


def assert_quantile(found: Quantile | None, ms: float, at_least: bool) -> None:
    assert found is not None
    assert found.ms == pytest.approx(ms, rel=BIN)
    assert found.at_least == at_least


def test_two_unlike_workers_give_the_percentiles_of_the_pooled_samples() -> None:
    draw = np.random.default_rng(3)
    quick = draw.lognormal(np.log(800), 0.4, 9_000).astype(int).tolist()
    slow = draw.gamma(2.0, 90_000, 1_000).astype(int).tolist()
    pooled = merge([decode(recorded(quick)), decode(recorded(slow))])
    assert pooled.total == 10_000
    for q in (0.1, 0.5, 0.9, 0.95, 0.99, 0.999):
        exact = float(np.quantile([*quick, *slow], q, method="inverted_cdf")) / 1000
        assert pooled.quantile_ms(q) == pytest.approx(exact, rel=BIN)
    assert pooled.max_ms == pytest.approx(max(slow) / 1000, rel=BIN)
    assert pooled.sum_s == pytest.approx(sum([*quick, *slow]) / 1e6, rel=BIN)


def test_averaging_the_workers_percentiles_would_have_been_wrong() -> None:
    quick, slow = of_ms(*[1.0] * 900), of_ms(*[100.0] * 100)
    averaged = (1.0 + 100.0) / 2
    pooled = merge([quick, slow]).quantile_ms(0.5)
    assert pooled is not None
    assert abs(pooled - averaged) > 40


def test_bins_are_those_of_the_package() -> None:
    package = HdrHistogram(1, 300_000_000, 3)
    values = [1, 2047, 2048, 5_000, 123_456, 299_000_000]
    for value in values:
        package.record_value(value)
    ours = decode(package.encode())
    assert [int(low) for low in lowest_us(ours.index)] == [package.get_lowest_equivalent_value(v) for v in values]
    assert [int(high) for high in highest_us(ours.index)] == [package.get_highest_equivalent_value(v) for v in values]


def test_the_synthetic_encoder_writes_what_the_package_would() -> None:
    values = [1, 15, 2047, 2048, 4096, 77_777, 12_345_678]
    ours, theirs = decode(encode([value / 1e6 for value in values])), decode(recorded(values))
    assert ours.index.tolist() == theirs.index.tolist()


def test_an_empty_histogram_has_no_quantile() -> None:
    assert merge([]).quantile_ms(0.5) is None
    assert decode(encode([])).total == 0
    assert EMPTY.max_ms is None


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", recorded([5])[:-9]])
def test_what_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(HistogramError):
        decode(text)


def test_another_precision_is_refused() -> None:
    with pytest.raises(HistogramError, match="three significant digits"):
        decode(HdrHistogram(1, 300_000_000, 2).encode())


def test_a_quantile_needs_ten_times_above_it() -> None:
    assert quantile(of_ms(*range(1, 1000)), EMPTY, 0.99) is None
    assert_quantile(quantile(of_ms(*range(1, 1001)), EMPTY, 0.99), 990, at_least=False)


def test_a_quantile_that_reaches_those_in_flight_is_a_lower_bound() -> None:
    answered, hanging = of_ms(*[10.0] * 100), of_ms(*[5_000.0] * 50)
    assert_quantile(quantile(answered, hanging, 0.5), 10, at_least=False)
    assert_quantile(quantile(answered, hanging, 0.9), 5_000, at_least=True)


def test_young_requests_in_flight_change_nothing() -> None:
    answered = of_ms(*np.linspace(1, 100, 2000))
    plain = quantile(answered, EMPTY, 0.99)
    assert quantile(answered, of_ms(*[2.0] * 50), 0.99) == plain


def test_where_nothing_was_answered_the_ages_are_all_that_is_known() -> None:
    assert_quantile(quantile(EMPTY, of_ms(*[3_000.0] * 40), 0.5), 3_000, at_least=True)
    assert quantile(EMPTY, EMPTY, 0.5) is None


def test_a_request_that_timed_out_takes_at_least_as_long_as_it_was_waited_for() -> None:
    answered, few, many = of_ms(*range(1, 1001)), of_ms(*[5_000.0] * 100), of_ms(*[5_000.0] * 2000)
    assert_quantile(quantile(answered, EMPTY, 0.5, few), 550, at_least=False)  # all of those are above it
    assert_quantile(quantile(answered, EMPTY, 0.95, few), 5_000, at_least=True)
    assert_quantile(quantile(answered, EMPTY, 0.5, many), 5_000, at_least=True)
    assert_quantile(quantile(EMPTY, EMPTY, 0.5, many), 5_000, at_least=True)
    assert_quantile(quantile(of_ms(*[9_000.0] * 100), EMPTY, 0.5, of_ms(*[1_000.0] * 9)), 9_000, at_least=False)


def test_the_longest_times_of_a_histogram() -> None:
    times = of_ms(1, 1, 2, 3, 3, 3)
    assert [times.longest(count).total for count in (0, 1, 4, 6, 9)] == [0, 1, 4, 6, 6]
    assert times.longest(4).counts.tolist() == [1, 3]
    assert EMPTY.longest(3).total == 0
