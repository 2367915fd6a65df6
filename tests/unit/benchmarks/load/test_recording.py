import pytest

from benchmarks.load.recording import TRAIN, arrival_ms, count
from tests.crowd_notes import AUDIO, BEGAN_NS, VIDEO, Notes, play, sent_frames

ALWAYS = (0, 2**62)


@pytest.fixture
def notes():
    return Notes()


def test_an_entry_has_no_padding():
    assert TRAIN.itemsize == 12 + 16 + 12


def test_every_datagram_of_a_train_counts(notes):
    notes.train(0, 5, [1, 2, 3], tail=17)
    notes.train(0, 6, [4], tail=90)
    counted = count(notes.recording, ALWAYS, VIDEO)
    assert (counted.packets, counted.reads, counted.bytes) == (4, 2, 2017 + 90)
    assert (counted.lost, counted.duplicates, counted.loss) == (0, 0, 0)


def test_a_gap_is_loss_across_the_wrap_of_the_numbers(notes):
    notes.train(0, 5, [65534, 65535])
    notes.train(0, 6, [2, 3])
    counted = count(notes.recording, ALWAYS, VIDEO)
    assert counted.lost == 2
    assert counted.loss == pytest.approx(2 / 6)


def test_a_packet_that_comes_late_is_not_lost(notes):
    for sequence in (1, 3, 2, 4):
        notes.train(0, 5, [sequence])
    assert count(notes.recording, ALWAYS, VIDEO).lost == 0


def test_a_packet_that_comes_twice_does_not_hide_a_lost_one(notes):
    for sequence in (1, 2, 2, 4):
        notes.train(0, 5, [sequence])
    counted = count(notes.recording, ALWAYS, VIDEO)
    assert (counted.lost, counted.duplicates) == (1, 1)


def test_streams_and_viewers_have_numbers_of_their_own(notes):
    notes.train(0, 5, [10, 11], ssrc=1)
    notes.train(0, 5, [500], ssrc=2, kind=AUDIO)
    notes.train(1, 5, [9000], ssrc=1)
    notes.train(0, 6, [501], ssrc=2, kind=AUDIO)
    notes.train(1, 6, [9001], ssrc=1)
    counted = count(notes.recording, ALWAYS, VIDEO)
    assert (counted.packets, counted.lost, counted.viewers) == (6, 0, 2)


def test_a_viewer_who_gets_only_sound_watches_nothing(notes):
    notes.train(0, 5, [1], kind=AUDIO)
    assert count(notes.recording, ALWAYS, VIDEO).viewers == 0


def test_what_lies_outside_of_the_window_does_not_count(notes):
    notes.train(0, 99, [1])
    notes.train(0, 100, [2])
    notes.train(0, 200, [4])
    counted = count(notes.recording, (100, 200), VIDEO)
    assert (counted.packets, counted.lost) == (1, 0)


def test_an_empty_recording_counts_nothing(notes):
    counted = count(notes.recording, ALWAYS, VIDEO)
    assert (counted.packets, counted.loss, counted.viewers) == (0, 0, 0)


def test_a_frame_is_there_when_its_last_packet_is(notes):
    play(notes, 0, [2.0] * 10)
    found = arrival_ms(notes.recording, ALWAYS, VIDEO, sent_frames(20))
    assert found["each"] == {"p50": 2, "p95": 2, "p99": 2, "max": 2}


def test_first_and_last_viewer_are_told_apart(notes):
    play(notes, 0, [1.0] * 10)
    play(notes, 1, [7.0] * 10, offset=12345)
    found = arrival_ms(notes.recording, ALWAYS, VIDEO, sent_frames(20))
    assert found["first"]["max"] == 1
    assert found["last"]["p50"] == 7
    assert found["each"]["p50"] in (1, 4, 7)


def test_one_frame_that_is_later_than_the_next_is_still_matched(notes):
    play(notes, 0, [1.0, 1.0, 80.0, 50.0, 20.0, 1.0])
    found = arrival_ms(notes.recording, ALWAYS, VIDEO, sent_frames(20))
    assert found["each"]["max"] == 80


def test_sound_does_not_count_as_frames(notes):
    play(notes, 0, [2.0] * 4)
    notes.train(0, BEGAN_NS + 10**9, [1], kind=AUDIO, ssrc=2, ticks=7)
    assert arrival_ms(notes.recording, ALWAYS, VIDEO, sent_frames(20))["each"]["max"] == 2


def test_without_frames_there_are_no_delays(notes):
    assert arrival_ms(notes.recording, ALWAYS, VIDEO, sent_frames(20)) == {}
    play(notes, 0, [2.0])
    assert arrival_ms(notes.recording, ALWAYS, VIDEO, []) == {}
