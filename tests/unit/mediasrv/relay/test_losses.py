import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasrv.relay.losses import WINDOW_S, LossWindow
from mediasrv.relay.rtcp import ReportBlock


def block(highest, lost):
    return ReportBlock(5, 0, lost, highest, 0, 0, 0)


def told(*reports):
    """The shares that are told for reports of (time, highest, lost)."""
    window = LossWindow()
    return [window.update(block(highest, lost), now) for now, highest, lost in reports]


def test_a_share_is_that_of_the_time_since_the_one_before():
    assert told((0.0, 100, 0), (1.0, 200, 10), (2.0, 300, 60)) == [None, 0.1, 0.5]


def test_many_reports_of_a_few_packets_each_make_one_share():
    # All but one say "nothing lost" or "nearly all", by turns.
    reports = [(i * 0.025, 1000 + 10 * i, 9 * (i // 2)) for i in range(17)]
    shares = told(*reports)
    assert shares[:-1] == [None] * 16
    assert reports[-1][0] == pytest.approx(WINDOW_S)
    assert shares[-1] == pytest.approx(0.45)


def test_a_report_tells_nothing_while_nothing_new_arrives():
    assert told((0.0, 100, 0), (1.0, 100, 0), (9.0, 100, 5), (9.1, 120, 10)) == [None] * 3 + [0.5]


def test_a_stream_that_counts_anew_is_measured_from_there():
    assert told((0.0, 70_000, 50), (1.0, 30, 0), (2.0, 130, 1)) == [None, None, 0.01]


def test_duplicates_do_not_make_it_negative():
    assert told((0.0, 100, 5), (1.0, 200, 0)) == [None, 0.0]


@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.integers(0, 2**32 - 1), st.integers(-(2**23), 2**23 - 1))
    )
)
def test_whatever_is_reported_a_share_is_one(reports):
    window, now = LossWindow(), 0.0
    for elapsed_s, highest, lost in reports:
        now += elapsed_s
        share = window.update(block(highest, lost), now)
        assert share is None or 0 <= share <= 1
