from mediasrv.relay.keyframes import MERGE_S, KeyframeRequests


def test_nothing_is_due_before_somebody_asks():
    assert not KeyframeRequests().due(0.0)


def test_wishes_within_half_a_second_become_one_request():
    requests = KeyframeRequests()
    due = []
    for at_ms in range(0, 1000, 10):
        requests.ask()
        due.append(requests.due(at_ms / 1000))
    assert MERGE_S == 0.5
    assert [i * 10 for i, sent in enumerate(due) if sent] == [0, 500]
    assert (requests.asked, requests.sent) == (100, 2)


def test_a_request_is_repeated_until_the_keyframe_comes():
    requests = KeyframeRequests()
    requests.ask()
    assert [at for at in range(10) if requests.due(at / 4)] == [0, 2, 4, 6, 8]
    requests.arrived()
    assert not requests.wanted
    assert not requests.due(99.0)


def test_a_wish_after_the_keyframe_is_a_new_one_but_still_merged():
    requests = KeyframeRequests()
    requests.ask()
    assert requests.due(1.0)
    requests.arrived()
    requests.ask()
    assert not requests.due(1.4)
    assert requests.wanted
    assert requests.due(1.5)
