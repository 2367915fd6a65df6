import pytest

from filters.parameters import Parameters
from mediasrv.media import Codec
from mediasrv.processing.channel import TO_WORKER, MessageReader, pack
from mediasrv.processing.messages import Configure, InputFrame, KeyframeRequest
from mediasrv.processing.outbox import Outbox


def frame(number, *, keyframe=False, size=10):
    return InputFrame(number, keyframe, bytes([number % 256]) * size)


def drain(outbox, step=1 << 20):
    reader = MessageReader(TO_WORKER)
    while waiting := outbox.next_bytes():
        reader.feed(waiting[:step])
        outbox.mark_sent(min(step, len(waiting)))
    messages = []
    while (message := reader.next_message()) is not None:
        messages.append(message)
    return messages


@pytest.fixture
def outbox():
    return Outbox(limit_bytes=1000, limit_frames=5)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_frames_come_out_in_order_whatever_the_socket_takes_at_once(outbox, step):
    frames = [frame(0, keyframe=True), frame(1), frame(2)]
    assert all(outbox.offer(each) for each in frames)
    assert drain(outbox, step) == frames


def test_it_knows_when_a_message_is_half_sent(outbox):
    outbox.offer(frame(0, keyframe=True))
    length = len(outbox.next_bytes())
    assert not outbox.is_mid_message
    outbox.mark_sent(1)
    assert outbox.is_mid_message
    outbox.mark_sent(length - 1)
    assert not outbox.is_mid_message


def test_delta_frames_are_refused_until_the_first_keyframe(outbox):
    assert outbox.awaits_keyframe
    assert not outbox.offer(frame(1))
    assert outbox.offer(frame(2, keyframe=True))
    assert outbox.offer(frame(3))
    assert outbox.dropped == 1


def test_a_frame_too_many_drops_the_rest_of_its_group_of_pictures(outbox):
    taken = [outbox.offer(frame(i, keyframe=i == 0)) for i in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert outbox.awaits_keyframe
    assert [each.timestamp_ticks for each in drain(outbox)] == [0, 1, 2, 3, 4]
    assert not outbox.offer(frame(8))  # there is room now, but its reference is missing
    assert outbox.offer(frame(9, keyframe=True))


def test_too_many_bytes_count_as_full_too(outbox):
    assert outbox.offer(frame(0, keyframe=True, size=600))
    assert not outbox.offer(frame(1, size=600))
    assert outbox.awaits_keyframe


def test_a_keyframe_replaces_everything_that_still_waits(outbox):
    for number in range(4):
        outbox.offer(frame(number, keyframe=number == 0))
    outbox.mark_sent(len(outbox.next_bytes()) // 2)  # half of the first one is on its way
    rest = bytes(outbox.next_bytes())
    assert outbox.offer(frame(9, keyframe=True))
    assert pack(frame(0, keyframe=True)).endswith(rest)
    outbox.mark_sent(len(rest))
    assert [each.timestamp_ticks for each in drain(outbox)] == [9]
    assert outbox.dropped == 3


def test_a_keyframe_larger_than_the_outbox_is_dropped_with_its_group(outbox):
    assert not outbox.offer(frame(0, keyframe=True, size=1001))
    assert not outbox.offer(frame(1))
    assert drain(outbox) == []


@pytest.mark.parametrize("size", [0, 4 * 1024 * 1024 + 1])
def test_a_frame_that_no_message_can_carry_is_dropped(size):
    outbox = Outbox(limit_bytes=1 << 30, limit_frames=5)
    assert not outbox.offer(frame(0, keyframe=True, size=size))


def test_after_a_gap_only_a_keyframe_helps_but_what_waits_is_still_sent(outbox):
    outbox.offer(frame(0, keyframe=True))
    outbox.skip_to_keyframe()
    assert not outbox.offer(frame(2))
    assert drain(outbox) == [frame(0, keyframe=True)]
    assert not outbox.offer(frame(3))
    assert outbox.offer(frame(4, keyframe=True))


def test_settings_overtake_frames_and_only_the_newest_are_sent(outbox):
    outbox.offer(frame(0, keyframe=True))
    for strength in range(50):
        outbox.configure(Configure(Codec.VP8, Parameters(smooth=strength)))
        outbox.request_keyframe()
    newest = Configure(Codec.VP8, Parameters(smooth=49))
    assert drain(outbox) == [newest, KeyframeRequest(), frame(0, keyframe=True)]
