import pytest

from benchmarks.stalled import GROWTH_LIMIT_KIB, growth_kib, is_kept


def row(most, lost=0):
    return {"rss_before_kib": 90_000, "rss_most_kib": most, "others_lost": lost}


@pytest.mark.parametrize(
    ("most", "lost", "kept"),
    [
        (90_000, 0, True),
        (90_000 + GROWTH_LIMIT_KIB, 0, True),
        (90_001 + GROWTH_LIMIT_KIB, 0, False),
        (90_000, 1, False),
    ],
)
def test_memory_may_not_grow_and_others_may_lose_nothing(most, lost, kept):
    assert is_kept(row(most, lost)) is kept
    assert growth_kib(row(most)) == most - 90_000
