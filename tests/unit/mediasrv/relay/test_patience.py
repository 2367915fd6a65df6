from mediasrv.relay.patience import FIRST_WAIT_S, FORGOTTEN_AFTER_S, LONGEST_WAIT_S, Patience


def test_the_first_loss_is_mended_at_once():
    assert Patience().may_ask(1, 50.0)


def test_who_loses_again_waits_twice_as_long_each_time_up_to_a_limit():
    patience, now = Patience(), 50.0
    assert patience.may_ask(1, now)
    waits = []
    for losses in range(2, 9):
        assert not patience.may_ask(losses, now)
        began = now
        while not patience.may_ask(losses, now):
            now += 0.25
        waits.append(now - began)
    assert waits == [FIRST_WAIT_S, 1.0, 2.0, 4.0, 8.0, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_a_loss_long_after_another_one_is_a_first_one():
    patience = Patience()
    patience.may_ask(1, 50.0)
    assert not patience.may_ask(2, 50.1)
    assert patience.may_ask(3, 50.2 + FORGOTTEN_AFTER_S)


def test_without_a_loss_nobody_has_to_wait():
    patience = Patience()
    assert all(patience.may_ask(0, now) for now in (0.0, 0.1, 99.0))
