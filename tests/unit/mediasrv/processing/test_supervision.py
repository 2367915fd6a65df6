import pytest

from mediasrv.processing.supervision import ProgressWatchdog, RequestPacer, RestartPolicy


def test_a_worker_that_was_never_fed_does_not_hang():
    assert not ProgressWatchdog(1.0).is_hung(1e9)


def test_a_worker_hangs_when_the_oldest_unanswered_frame_is_too_old():
    watchdog = ProgressWatchdog(1.0)
    watchdog.note_fed(10.0)
    watchdog.note_fed(10.9)
    assert not watchdog.is_hung(10.99)
    assert watchdog.is_hung(11.0)


def test_a_sign_of_life_starts_the_count_anew_with_the_next_frame():
    watchdog = ProgressWatchdog(1.0)
    watchdog.note_fed(10.0)
    watchdog.note_progress()
    assert not watchdog.is_hung(20.0)
    watchdog.note_fed(20.0)
    assert not watchdog.is_hung(20.5)
    assert watchdog.is_hung(21.0)


def test_time_without_a_processor_does_not_count_as_silence():
    watchdog = ProgressWatchdog(1.0)
    watchdog.note_fed(10.0, starved_s=5.0)
    assert not watchdog.is_hung(12.0, starved_s=6.5)
    assert watchdog.is_hung(12.5, starved_s=6.5)


@pytest.fixture
def policy():
    return RestartPolicy(limit=3, window_s=10.0, retry_interval_s=5.0)


def test_single_losses_are_replaced_at_once(policy):
    assert [policy.note_loss(t, first_frame_s=t - 1) for t in (0.0, 6.0, 12.0, 18.0)] == [0.0] * 4
    assert not policy.is_slow


def test_the_third_loss_within_the_window_makes_it_slow(policy):
    assert policy.note_loss(0.0, first_frame_s=None) == 0.0
    assert policy.note_loss(5.0, first_frame_s=4.0) == 0.0
    assert policy.note_loss(10.0, first_frame_s=9.0) == 5.0
    assert policy.is_slow


def test_it_stays_slow_until_a_worker_has_lasted_a_whole_window(policy):
    for _ in range(3):
        policy.note_loss(0.0, first_frame_s=None)
    assert policy.note_loss(100.0, first_frame_s=None) == 5.0  # long after, but never worked
    assert policy.note_loss(120.0, first_frame_s=110.1) == 5.0
    assert policy.note_loss(140.0, first_frame_s=130.0) == 0.0
    assert not policy.is_slow


def test_losses_before_a_good_run_are_forgotten(policy):
    policy.note_loss(0.0, first_frame_s=None)
    policy.note_loss(0.0, first_frame_s=None)
    assert policy.note_loss(10.0, first_frame_s=0.0) == 0.0
    assert policy.note_loss(10.0, first_frame_s=None) == 0.0
    assert policy.note_loss(10.0, first_frame_s=None) == 5.0


def test_requests_are_paced():
    pacer = RequestPacer(0.5)
    allowed = [pacer.allows(t) for t in (0.0, 0.1, 0.49, 0.5, 0.9, 1.0)]
    assert allowed == [True, False, False, True, False, True]
