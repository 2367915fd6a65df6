import math

import pytest

from benchmarks.rig.exposition import quantile, read_counter, read_histogram, since

PAGE = """\
# HELP mediasrv_forward_delay_seconds From a datagram in to the last viewer's send.
# TYPE mediasrv_forward_delay_seconds histogram
mediasrv_forward_delay_seconds_bucket{le="0.001",track="video"} 10.0
mediasrv_forward_delay_seconds_bucket{track="video",le="0.002"} 30.0
mediasrv_forward_delay_seconds_bucket{track="video",le="+Inf"} 31.0
mediasrv_forward_delay_seconds_bucket{track="audio",le="0.001"} 5
mediasrv_forward_delay_seconds_bucket{track="audio",le="0.002"} 5
mediasrv_forward_delay_seconds_bucket{track="audio",le="+Inf"} 5
mediasrv_forward_delay_seconds_count{track="video"} 31.0
mediasrv_forward_delay_seconds_created{track="video"} 1.7e+09
mediasrv_rooms 1.0
"""


def test_a_histogram_is_summed_over_its_other_labels():
    buckets = read_histogram(PAGE, "mediasrv_forward_delay_seconds")
    assert buckets == {0.001: 15, 0.002: 35, math.inf: 36}
    assert list(buckets) == sorted(buckets)


def test_a_page_without_the_histogram_gives_no_buckets():
    assert read_histogram(PAGE, "mediasrv_forward_delay") == {}
    assert read_histogram("<html>not found</html>", "mediasrv_forward_delay_seconds") == {}


def test_only_what_was_counted_since_the_first_reading_counts():
    assert since({0.1: 2.0, math.inf: 3.0}, {0.1: 5.0, math.inf: 9.0}) == {0.1: 3, math.inf: 6}
    assert since({}, {0.1: 5.0}) == {0.1: 5}


def test_a_quantile_is_interpolated_within_its_bucket():
    buckets = {1.0: 10.0, 2.0: 30.0, math.inf: 30.0}
    assert quantile(buckets, 0.5) == pytest.approx(1.25)
    assert quantile(buckets, 1.0) == pytest.approx(2.0)
    assert quantile(buckets, 1 / 6) == pytest.approx(0.5)


def test_a_quantile_beyond_the_last_bound_is_that_bound():
    assert quantile({1.0: 1.0, math.inf: 10.0}, 0.99) == 1.0


def test_a_quantile_of_nothing_is_unknown():
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, math.inf: 0.0}, 0.5) is None


def test_empty_buckets_are_skipped():
    assert quantile({1.0: 0.0, 2.0: 0.0, 4.0: 10.0, math.inf: 10.0}, 0.5) == pytest.approx(3.0)


def test_a_counter_is_summed_over_its_labels_and_nothing_else():
    page = (
        'mediasrv_frames_to_filter_total{room="a"} 3.0\n'
        'mediasrv_frames_to_filter_total{room="b"} 4.0\n'
        'mediasrv_frames_to_filter_created{room="a"} 1.7e+09\n'
    )
    assert read_counter(page, "mediasrv_frames_to_filter_total") == 7.0
    assert read_counter(page, "mediasrv_frames_total") == 0.0
