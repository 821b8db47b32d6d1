"""Reading h2load, which takes gRPC errors for successes."""

import pytest

from benchmarks.h2load import LoadError, read_summary

REPLY_BYTES = 78
TEXT = """
finished in 2.50s, 4548.00 req/s, 555.93KB/s
requests: {total} total, {total} started, {total} done, {ok} succeeded, {failed} failed, 0 errored, 0 timeout
status codes: {ok} 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.09MB (1138537) total, 33.35KB (34146) headers (space savings 96.26%), 738.18KB ({data}) data
                     min         max         mean         sd        +/- sd
time for request:      443us     15.24ms      7.03ms      1.18ms    86.70%
time for connect:      287us       441us       371us        64us    50.00%
"""


def summary(total=9096, failed=0, data=None):
    data = total * (REPLY_BYTES + 5) if data is None else data
    return TEXT.format(total=total, ok=total - failed, failed=failed, data=data)


def test_rate_and_mean():
    found = read_summary(summary(), REPLY_BYTES)
    assert (found.requests, found.rate, found.mean_us) == (9096, 4548.0, 7030.0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(summary(failed=1), id="HTTP failure"),
        pytest.param(summary(total=0), id="nothing done"),
        pytest.param(summary(data=0), id="every answer a gRPC error"),
        pytest.param(summary(data=9096 * 83 * 9 // 10), id="a tenth of the answers a gRPC error"),
        pytest.param("usage: h2load", id="something else"),
    ],
)
def test_figures_that_mean_nothing_are_refused(text):
    with pytest.raises(LoadError):
        read_summary(text, REPLY_BYTES)
