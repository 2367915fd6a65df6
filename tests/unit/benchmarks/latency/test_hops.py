from benchmarks.latency.hops import Counted, pictures_by_hop, where_most_were_lost

BEFORE = Counted({"framesEncoded": 10}, {"framesReceived": 9, "framesDecoded": 8}, 5.0)
AFTER = Counted({"framesEncoded": 40}, {"framesReceived": 36, "framesDecoded": 35}, 35.0)


def test_each_hop_has_what_reached_it_within_the_window():
    hops = pictures_by_hop(31, BEFORE, AFTER, [100, 101, 103])
    assert hops == {
        "camera": 31,
        "encoded": 30,
        "to the filter": 30,
        "received": 27,
        "decoded": 27,
        "composited": 4,
        "noted": 3,
    }


def test_where_nothing_is_filtered_nobody_speaks_of_the_filter():
    off = Counted(AFTER.host, AFTER.viewer, 0.0)
    assert "to the filter" not in pictures_by_hop(31, off, off, [1])
    direct = Counted(AFTER.host, AFTER.viewer, None)
    assert "to the filter" not in pictures_by_hop(31, direct, direct, [1])


def test_a_page_that_showed_nothing_has_counted_nothing():
    nothing = Counted({}, {}, None)
    assert set(pictures_by_hop(0, nothing, nothing, []).values()) == {0}


def test_the_two_hops_between_which_most_were_lost_are_named():
    hops = {"camera": 100, "encoded": 99, "received": 99, "decoded": 98, "composited": 80}
    told = where_most_were_lost(hops)
    assert told is not None
    assert told.startswith("18 of them between decoded and composited: the viewer's browser")
    assert where_most_were_lost({"camera": 30, "encoded": 30}) is None
    assert where_most_were_lost({}) is None
