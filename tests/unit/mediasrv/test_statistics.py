from types import SimpleNamespace

import pytest

from mediasrv.delays import DelayHistogram
from mediasrv.relay import rtcp
from mediasrv.relay.losses import WINDOW_S
from mediasrv.statistics import PEERS_MAX, TOTALS_S, StatisticsWatches, TrackTotals, room_statistics
from signaling.codec import encode
from tests.loss_reports import LossReports
from tests.studio import Studio


def tell(studio, viewer=None, delays=()):
    room = SimpleNamespace(broadcast=studio.broadcast, opened_at=50.0, totals=TrackTotals())
    return room_statistics(room, studio.now, viewer=viewer, delays=delays)


def report_loss(studio, viewer, share):
    reports = LossReports(1001)
    for told in (0.0, share):
        compound = rtcp.write_receiver_report(9, [reports.block(told)])
        studio.broadcast.receive_viewer_rtcp(viewer, compound, studio.now)
        studio.pass_time(2 * WINDOW_S)


@pytest.fixture
def studio():
    studio = Studio()
    studio.publish()
    studio.join("ada")
    studio.join("bob")
    studio.shoot(10, keyframe=True, count=2)
    return studio


def track(statistics, kind="video"):
    (found,) = [track for track in statistics.tracks if track.kind == kind]
    return found


def test_the_host_is_told_what_came_and_what_left(studio):
    statistics = tell(studio)
    assert (statistics.viewers, statistics.elapsed_s) == (2, pytest.approx(10 / 30, abs=0.001))
    video = track(statistics)
    assert (video.received.packets, video.received.lost) == (20, 0)
    assert video.sent.packets == 40
    assert video.sent.bytes == 2 * video.received.bytes > 0
    assert track(statistics, "audio").received.packets == 0


def test_what_the_host_loses_and_is_asked_for_is_told(studio):
    lost, *kept = studio.camera.shoot(keyframe=False, count=3)
    studio.receive(*kept)
    studio.pass_time(0.03)
    received = track(tell(studio)).received
    assert (received.lost, received.nacks, received.given_up) == (1, 1, 0)
    studio.receive(lost)
    assert track(tell(studio)).received.lost == 0


def test_packets_that_came_twice_are_no_negative_loss(studio):
    packets = studio.camera.shoot(keyframe=False, count=2)
    studio.receive(*packets, *packets)
    assert track(tell(studio)).received.lost == 0


def test_without_a_host_nothing_was_received_and_what_was_sent_stays(studio):
    studio.broadcast.unpublish()
    video = track(tell(studio))
    assert (video.received.packets, video.sent.packets) == (0, 40)


def test_the_host_is_told_of_each_viewer(studio):
    report_loss(studio, "bob", 0.25)
    studio.broadcast.receive_viewer_rtcp("bob", rtcp.write_pli(9, 1001), studio.now)
    bob, ada = tell(studio).peers
    assert (bob.peer, bob.loss, bob.keyframe_requests) == ("bob", 0.25, 1)
    assert (ada.peer, ada.loss, ada.rtt_ms, ada.estimate_bps) == ("ada", 0.0, None, None)
    assert ada.sent["video"].packets == 20
    assert track(tell(studio)).keyframes_asked >= 1


def test_a_round_trip_is_told_once_it_was_measured(studio):
    at = int((studio.now - 0.08) * 65536) & 0xFFFFFFFF
    block = rtcp.ReportBlock(1001, 0, 0, 0, 0, at, 0)
    compound = rtcp.write_receiver_report(9, [block])
    studio.broadcast.receive_viewer_rtcp("ada", compound, studio.now)
    rtts = {viewer.peer: viewer.rtt_ms for viewer in tell(studio).peers}
    assert rtts == {"ada": pytest.approx(80, abs=1), "bob": None}


def test_a_viewer_is_told_of_itself_and_of_nobody_else(studio):
    (peer,) = tell(studio, viewer="ada").peers
    assert peer.peer == "ada"
    assert "bob" not in encode(tell(studio, viewer="ada"))
    assert tell(studio, viewer="stranger").peers == []


def test_of_many_viewers_those_with_the_greatest_loss_are_told(studio):
    for number in range(PEERS_MAX + 20):
        studio.join(f"v{number}")
    report_loss(studio, "v66", 0.5)
    statistics = tell(studio)
    assert statistics.viewers == PEERS_MAX + 22
    assert len(statistics.peers) == PEERS_MAX
    assert statistics.peers[0].peer == "v66"
    assert len(encode(statistics)) < 32 * 1024


def test_the_delay_is_that_of_the_time_that_was_asked_about(studio):
    delays = DelayHistogram()
    assert tell(studio, delays=delays.counts).forward_ms is None
    delays.note(0.002)
    forward = tell(studio, delays=delays.counts).forward_ms
    assert forward is not None
    assert 1.6 <= forward.p50 <= forward.p95 <= forward.p99 <= 2.5


def test_a_room_without_media_has_nothing_to_tell():
    statistics = room_statistics(None, 5.0, viewer=None, delays=[], reply_to="7")
    assert (statistics.reply_to, statistics.tracks, statistics.peers) == ("7", [], [])


def test_a_watch_is_due_at_its_interval_and_misses_no_turn_twice():
    watches = StatisticsWatches()
    watches.begin("ada", 2.0, 10.0)
    watches.begin("bob", 5.0, 10.0)
    assert watches.due(11.9) == []
    assert watches.due(12.0) == ["ada"]
    assert watches.due(12.0) == []
    assert sorted(watches.due(17.5)) == ["ada", "bob"]
    assert watches.due(19.4) == []
    watches.end("ada")
    watches.end("nobody")
    assert watches.due(99.0) == ["bob"]


def test_a_new_interval_takes_the_place_of_the_old_one():
    watches = StatisticsWatches()
    watches.begin("ada", 1.0, 10.0)
    watches.begin("ada", 30.0, 10.5)
    assert watches.due(40.0) == []
    assert watches.due(40.5) == ["ada"]


def test_every_watch_sees_the_delays_since_its_own_last_look():
    watches, delays = StatisticsWatches(), DelayHistogram()
    watches.begin("ada", 1.0, 0.0)
    delays.note(0.001)
    assert sum(watches.delays_since("ada", delays)) == 1
    assert sum(watches.delays_since("ada", delays)) == 0
    delays.note(0.001)
    assert sum(watches.delays_since("ada", delays)) == 1
    assert sum(watches.delays_since("somebody who asks once", delays)) == 2


def test_what_all_viewers_were_sent_is_added_up_once_a_second_whoever_asks(studio):
    totals = TrackTotals()
    room = SimpleNamespace(broadcast=studio.broadcast, opened_at=50.0, totals=totals)

    def told(viewer):
        return room_statistics(room, studio.now, viewer=viewer, delays=())

    first = told(None)
    studio.shoot(3)
    second = told("ada")
    assert track(second).sent == track(first).sent
    assert second.elapsed_s == first.elapsed_s  # so that rates stay right
    assert second.peers[0].sent["video"].packets == 26  # its own are of now
    studio.pass_time(TOTALS_S)
    third = told("bob")
    assert track(third).sent.packets == 52
    assert third.elapsed_s >= first.elapsed_s + TOTALS_S
