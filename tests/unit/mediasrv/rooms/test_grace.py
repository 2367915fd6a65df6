"""A host whose connection drops, and its viewers meanwhile."""

from mediasrv.rooms import HostGone, Outcome, RoomClosed
from mediasrv.rooms.directory import RoomListing
from signaling.messages import (
    HostAway,
    HostLeft,
    Joined,
    PeerJoined,
    PeerLeft,
)
from tests.unit.mediasrv.rooms.stage import ON, Stage


def test_a_host_whose_connection_drops_has_ten_seconds_to_come_back():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.types(host)
    stage.types(viewer)
    stage.drop(host)
    assert stage.last(viewer) == HostAway(grace_s=10.0)
    assert stage.directory.deadline() is not None
    stage.wait(9.9)
    admission = stage.admit("r", "host", resume="token1")
    assert (admission.peer, admission.resumed, admission.replaced) == (host, True, False)
    joined = stage.told[host][0]
    assert isinstance(joined, Joined)
    assert (joined.resume, joined.publishing, joined.state) == ("token1", True, "live")
    assert stage.types(viewer) == ["host_away", "host_returned"]
    stage.wait(100)
    assert stage.events == []
    assert stage.directory.require_live(viewer) == host


def test_a_host_who_does_not_come_back_in_time_is_gone():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.drop(host)
    stage.wait(9.999)
    assert stage.events == []
    stage.types(viewer)
    stage.wait(0.001)
    assert stage.told[viewer] == [HostLeft(reason="timeout")]
    assert stage.events == [HostGone("r", host, "timeout")]
    assert stage.directory.room_of(host) is None
    assert not stage.admit("r", "host", resume="token1").resumed


def test_a_room_without_viewers_is_kept_for_its_host_and_closed_after_the_grace():
    stage = Stage()
    host = stage.host()
    stage.drop(host)
    assert stage.directory.listing() == [RoomListing("r", "away", 0, None)]
    stage.wait(10)
    assert stage.events == [HostGone("r", host, "timeout"), RoomClosed("r")]
    assert stage.directory.deadline() is None


def test_a_host_can_drop_and_resume_again_and_again_with_one_token():
    stage = Stage()
    host = stage.host()
    for _ in range(5):
        stage.drop(host)
        stage.wait(8)
        assert stage.host(resume="token1") == host
    assert stage.events == []


def test_dropping_twice_does_not_extend_the_grace():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.drop(host)
    stage.wait(6)
    assert stage.drop(host) == Outcome()
    stage.wait(4)
    assert stage.events == [HostGone("r", host, "timeout")]
    assert stage.types(viewer) == ["joined", "host_away", "host_left"]


def test_a_resumed_host_takes_over_from_a_connection_that_still_hangs():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.types(viewer)
    admission = stage.admit("r", "host", resume="token1")
    assert (admission.peer, admission.resumed, admission.replaced) == (host, True, True)
    assert stage.types(viewer) == []


def test_a_host_in_its_grace_is_sent_nothing():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.drop(host)
    stage.told.clear()
    other = stage.viewer()
    stage.take(stage.directory.filter_changed(host, ON))
    stage.take(stage.directory.media_changed(host, "lost"))
    stage.leave(other)
    stage.wait(5)
    stage.leave(host)
    assert host not in stage.told
    assert stage.types(viewer) == ["filter_changed", "host_media", "host_left", "filter_changed"]


def test_a_viewer_who_joined_while_the_host_was_away_is_told_when_it_is_back():
    stage = Stage()
    host, early = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.drop(host)
    late = stage.viewer()
    joined = stage.told[late][0]
    assert isinstance(joined, Joined)
    assert (joined.state, joined.publishing) == ("away", True)
    assert stage.directory.require_live(late) == host
    stage.host(resume="token1")
    assert stage.types(early) == ["joined", "host_live", "host_away", "host_returned"]
    assert stage.types(late) == ["joined", "host_returned", "host_live"]
    stage.drop(host)
    stage.host(resume="token1")
    assert stage.types(late) == ["host_away", "host_returned"]


def test_a_host_who_returns_without_a_publication_makes_nobody_subscribe():
    stage = Stage()
    host = stage.host()
    stage.drop(host)
    viewer = stage.viewer()
    stage.host(resume="token1")
    assert stage.types(viewer) == ["joined", "host_returned"]
    stage.drop(host)
    stage.go_live(host)
    stage.host(resume="token1")
    assert stage.types(viewer) == ["host_away", "host_live", "host_returned"]


def test_a_host_learns_of_viewers_only_while_it_listens_and_of_leaving_only_whom_it_knows():
    stage = Stage()
    before = stage.viewer()
    host = stage.host()
    known = stage.viewer()
    stage.drop(host)
    meanwhile = stage.viewer()
    stage.host(resume="token1")
    for viewer in (before, known, meanwhile):
        stage.leave(viewer)
    messages = [m for m in stage.told[host] if isinstance(m, PeerJoined | PeerLeft)]
    assert messages == [
        PeerJoined(peer=known, role="viewer", name=None),
        PeerLeft(peer=known, reason="left"),
    ]


def test_another_host_knows_nobody_of_the_audience_of_the_first():
    stage = Stage()
    first = stage.host()
    viewer = stage.viewer()
    stage.leave(first)
    second = stage.host()
    stage.leave(viewer)
    assert stage.types(second) == ["joined"]
