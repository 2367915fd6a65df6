"""The fast fan-out against its oracle: real sockets, real SRTP, the same packets at everybody."""

import errno

import pytest
from pylibsrtp import Policy, Session

from mediasrv.relay.lanes import PlainGroup
from mediasrv.relay.layout import BATCH_PACKETS_MAX
from mediasrv.transport import burst
from mediasrv.transport.aiortc_seam import SharedBuffer, SrtpSession
from mediasrv.transport.burst import TARGETS_MIN, Burst, BurstGroup, Wire
from mediasrv.transport.endpoint import BUFFER_BYTES
from mediasrv.transport.ice import Path
from mediasrv.transport.mmsg import MessageBatch
from mediasrv.transport.udp_port import UdpPort, gso_available
from tests.unit.mediasrv.transport.srtp_crowd import (
    IPV4,
    IPV6,
    Receiver,
    expected,
    layout_of,
)

needs_gso = pytest.mark.skipif(not gso_available(), reason="this kernel does not segment")


class Stage:
    """A port, a burst and receivers."""

    def __init__(self, buffer_bytes=BUFFER_BYTES):
        self.port = UdpPort(0, lambda datagram, path: None)
        self.port.open([IPV4, IPV6])
        self.shared = SharedBuffer(buffer_bytes)
        self.burst = Burst(self.port, self.shared)
        self.receivers = []

    def crowd(self, count, hosts=(IPV4,), profile="gcm"):
        for _ in range(count):
            index = len(self.receivers)
            host = hosts[index % len(hosts)]
            self.receivers.append(Receiver(self.burst, index, host, profile))
        return self.receivers

    def group(self):
        return self.burst.group([r.target for r in self.receivers])

    def close(self):
        self.port.close()
        for receiver in self.receivers:
            receiver.socket.close()

    def assert_came(self, *layouts, without=()):
        """Everybody but some got these layouts, in order, and nothing else."""
        for position, receiver in enumerate(self.receivers):
            if position not in without:
                wanted = [packet for layout in layouts for packet in expected(receiver, layout)]
                assert receiver.came(len(wanted)) == wanted
            assert receiver.nothing_more()


@pytest.fixture
async def stage():
    made = Stage()
    yield made
    made.close()


class Played(MessageBatch):
    """Answers of the kernel, in turn; None lets the kernel itself answer."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)
        self.calls = []

    def send(self, file_descriptor, first, end):
        self.calls.append((first, end))
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            return super().send(file_descriptor, first, end)
        if answer > 0:
            return super().send(file_descriptor, first, first + answer)
        return answer


def keys_of_another_stream():
    """A context that libsrtp refuses to protect the crowd's packets with."""
    policy = Policy(key=bytes(30), ssrc_type=Policy.SSRC_SPECIFIC, ssrc_value=1)
    return SrtpSession(Session(policy), Session(policy), 10)


COPIES = 32


def copies_of(layout, monkeypatch):
    """Let COPIES copies of a layout lie in the buffer at a time."""
    monkeypatch.setattr(burst, "COPIES_MAX_BYTES", COPIES * len(layout.template))


def playing(stage, *answers):
    played = stage.burst.messages = Played(*answers)
    group = stage.group()
    assert isinstance(group, BurstGroup)
    return group, played


@needs_gso
class TestAgainstTheOracle:
    @pytest.mark.parametrize("profile", ["gcm", "hmac"])
    @pytest.mark.parametrize("hosts", [(IPV4,), (IPV6,), (IPV4, IPV6)])
    async def test_everybody_gets_what_the_plain_way_sends(self, stage, hosts, profile):
        receivers = stage.crowd(9, hosts, profile)
        overhead = receivers[0].overhead_bytes
        group = stage.group()
        assert isinstance(group, BurstGroup)
        layouts = [
            layout_of(*sizes, first=10 * i, overhead_bytes=overhead)
            for i, sizes in enumerate([(100,), (1000, 1000, 700), (60, 900, 900, 30, 400), (5,)])
        ]
        assert [list(group.send(layout)) for layout in layouts] == [[]] * 4
        stage.assert_came(*layouts)
        assert {r.sends for r in receivers} == {0}

    @pytest.mark.parametrize("count", [COPIES - 1, COPIES, COPIES + 1, 2 * COPIES + 3])
    async def test_more_targets_than_copies_are_served_in_waves(self, stage, count, monkeypatch):
        stage.crowd(count, (IPV4, IPV4, IPV6))
        group, played = playing(stage)
        layouts = [layout_of(300, 300, first=7), layout_of(50, 80, 30, first=9)]
        copies_of(layouts[0], monkeypatch)
        for layout in layouts:
            assert list(group.send(layout)) == []
        stage.assert_came(*layouts)
        # One run each of the first; the second is smaller, and has two.
        waves_ends = [end for _, end in played.calls]
        assert waves_ends[0] <= COPIES
        assert max(waves_ends) <= played.capacity

    async def test_the_largest_batches_leave_few_copies_at_a_time(self, stage):
        stage.crowd(5)
        group, played = playing(stage)
        layout = layout_of(*[1400] * BATCH_PACKETS_MAX)
        assert BUFFER_BYTES // len(layout.template) == 1
        assert list(group.send(layout)) == []
        assert len(played.calls) == 5
        stage.assert_came(layout)

    async def test_as_many_runs_as_packets_fit_the_messages(self, stage):
        stage.crowd(5)
        group, played = playing(stage)
        layout = layout_of(*range(20, 20 + BATCH_PACKETS_MAX))
        assert len(layout.runs) == BATCH_PACKETS_MAX
        assert list(group.send(layout)) == []
        assert max(end for _, end in played.calls) <= played.capacity
        stage.assert_came(layout)

    async def test_picture_ids_of_seven_bits_move_too(self, stage):
        stage.crowd(5)
        layout = layout_of(50, 50, first=3, picture_bits=7)
        assert list(stage.group().send(layout)) == []
        stage.assert_came(layout)

    async def test_what_left_is_counted(self, stage):
        stage.crowd(4)
        layout = layout_of(100, 100, 50)
        stage.receivers[2].wire = None
        assert list(stage.group().send(layout)) == [2]
        counters = stage.burst.counters
        sent_bytes = 3 * sum(12 + size + 16 for size in (100, 100, 50))
        assert (counters.packets_sent, counters.bytes_sent) == (9, sent_bytes)
        assert counters.targets_lost == 1


@needs_gso
class TestWires:
    async def test_a_target_without_a_wire_is_lost_and_the_others_are_not(self, stage):
        receivers = stage.crowd(6)
        group = stage.group()
        receivers[0].wire = receivers[4].wire = None
        layout = layout_of(100, 90)
        assert sorted(group.send(layout)) == [0, 4]
        stage.assert_came(layout, without=(0, 4))

    async def test_nobody_may_have_a_wire(self, stage):
        for receiver in stage.crowd(4):
            receiver.wire = None
        assert sorted(stage.group().send(layout_of(100))) == [0, 1, 2, 3]
        stage.assert_came(without=range(4))

    async def test_a_wire_that_changes_between_sends_is_followed(self, stage):
        receivers = stage.crowd(5)
        group = stage.group()
        first, second, third = (layout_of(100, 80, first=10 * i) for i in range(3))
        receivers[1].wire = None
        assert list(group.send(first)) == [1]
        # It connects; and another peer moves to where a third one listens.
        receivers[1].wire = Wire(receivers[1].srtp, receivers[1].path)
        assert list(group.send(second)) == []
        moved = Path(receivers[0].path.socket_id, receivers[2].path.address)
        receivers[0].wire = Wire(receivers[0].srtp, moved)
        assert list(group.send(third)) == []
        for position, layouts in {1: (second, third), 3: (first, second, third)}.items():
            wanted = [p for layout in layouts for p in expected(receivers[position], layout)]
            assert receivers[position].came(len(wanted)) == wanted
        assert len(receivers[0].came(4)) == 4
        assert receivers[0].nothing_more()

    async def test_a_peer_that_moves_to_another_family_leaves_by_another_socket(self, stage):
        receivers = stage.crowd(5)
        group = stage.group()
        group.send(layout_of(40))
        before = receivers[3]
        after = Receiver(stage.burst, 3, IPV6)
        before.socket, old = after.socket, before.socket
        before.wire = Wire(before.srtp, after.path)
        layout = layout_of(70, 70, first=5)
        assert list(group.send(layout)) == []
        assert before.came(2) == expected(before, layout)
        assert len(old.recv(2048)) == 40 + 12 + 16
        old.close()


@needs_gso
class TestRefusals:
    @pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
    async def test_a_full_socket_loses_the_rest_of_the_wave_and_blocks_nobody(
        self, stage, code, monkeypatch
    ):
        stage.crowd(COPIES + 4)
        group, played = playing(stage, 5, -code)
        layout = layout_of(100, 120)  # two runs: the third target got half
        copies_of(layout, monkeypatch)
        assert len(layout.runs) == 2
        lost = list(group.send(layout))
        assert lost == list(range(2, COPIES))
        assert stage.port.send_errors == 2 * COPIES - 5
        assert len(played.calls) == 3
        half = stage.receivers[2]
        assert half.came(1) == expected(half, layout)[:1]
        stage.assert_came(layout, without=lost)
        assert stage.burst.counters.targets_lost == len(lost)

    async def test_a_socket_that_is_full_in_the_second_wave_loses_nobody_of_the_first(
        self, stage, monkeypatch
    ):
        stage.crowd(COPIES + 4)
        group, _ = playing(stage, None, 1, -errno.EAGAIN)
        layout = layout_of(100)
        copies_of(layout, monkeypatch)
        lost = list(group.send(layout))
        assert lost == list(range(COPIES + 1, COPIES + 4))
        stage.assert_came(layout, without=lost)

    async def test_a_refused_entry_goes_by_the_port_and_the_rest_goes_on(self, stage):
        stage.crowd(6)
        group, played = playing(stage, 2, -errno.EINVAL)
        layout = layout_of(100, 100, 60)
        assert list(group.send(layout)) == []
        assert played.calls == [(0, 6), (2, 6), (3, 6)]
        stage.assert_came(layout)

    async def test_who_cannot_be_reached_even_so_is_lost_once(self, stage, monkeypatch):
        receivers = stage.crowd(6)
        unreachable = receivers[3].path
        whole = stage.port.send_run
        monkeypatch.setattr(
            stage.port,
            "send_run",
            lambda run, cut, path: path != unreachable and whole(run, cut, path),
        )
        # Both of its runs are refused, then the socket is full.
        group, _ = playing(stage, 6, -errno.EHOSTUNREACH, -errno.EHOSTUNREACH, 2, -errno.EAGAIN)
        layout = layout_of(100, 120)
        lost = list(group.send(layout))
        assert lost == [3, 5]
        stage.assert_came(layout, without=(3, 5))

    async def test_who_lost_one_run_and_then_the_rest_is_named_once(self, stage, monkeypatch):
        stage.crowd(4)
        monkeypatch.setattr(stage.port, "send_run", lambda run, cut, path: False)
        group, _ = playing(stage, 2, -errno.EHOSTUNREACH, -errno.EAGAIN)
        layout = layout_of(100, 120)
        assert list(group.send(layout)) == [1, 2, 3]
        counters = stage.burst.counters
        assert (counters.packets_sent, counters.targets_lost) == (2, 3)

    @pytest.mark.parametrize("positions", [(2,), (0, 5), (4, 5), range(6)])
    async def test_keys_that_refuse_lose_their_own_targets_only(self, stage, positions):
        receivers = stage.crowd(6)
        foreign = keys_of_another_stream()
        for position in positions:
            receivers[position].wire = Wire(foreign, receivers[position].path)
        layout = layout_of(100, 120)
        assert sorted(stage.group().send(layout)) == list(positions)
        stage.assert_came(layout, without=positions)

    async def test_a_closed_port_loses_everybody(self, stage):
        stage.crowd(5)
        group = stage.group()
        stage.port.close()
        assert sorted(group.send(layout_of(100))) == [0, 1, 2, 3, 4]


class TestWithoutSegmentation:
    async def test_few_targets_go_the_plain_way(self, stage):
        stage.crowd(TARGETS_MIN - 1)
        group = stage.group()
        assert isinstance(group, PlainGroup)
        layout = layout_of(100, 70)
        assert group.send(layout) == []
        stage.assert_came(layout)

    async def test_a_kernel_that_cannot_segment_gets_the_plain_way(self, stage, monkeypatch):
        monkeypatch.setattr(stage.port, "gso", False)
        stage.burst = Burst(stage.port, stage.shared)
        stage.crowd(5)
        group = stage.group()
        assert isinstance(group, PlainGroup)
        layout = layout_of(100, 100)
        assert group.send(layout) == []
        stage.assert_came(layout)

    async def test_a_system_without_sendmmsg_gets_the_plain_way(self, stage, monkeypatch):
        monkeypatch.setattr(MessageBatch, "is_available", staticmethod(lambda: False))
        assert Burst(stage.port, stage.shared).messages is None

    @needs_gso
    async def test_segmentation_that_turns_out_to_fail_is_not_tried_again(self, stage):
        receivers = stage.crowd(5)
        group = stage.group()
        stage.port.gso = False
        layout = layout_of(100, 100, 60)
        assert list(group.send(layout)) == []
        stage.assert_came(layout)
        assert {r.sends for r in receivers} == {1}
