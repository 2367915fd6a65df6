"""Who is let in, how they go, and how it all ends."""

import pytest

from mediasrv.rooms import Delivery, Directory, HostGone, Outcome, PeerId, RoomClosed, RoomLimits
from mediasrv.rooms.directory import RoomListing
from signaling.errors import ErrorCode, Overloaded, Refused
from signaling.messages import (
    HostLeft,
    HostReturned,
    Joined,
    Left,
    PeerJoined,
    PeerLeft,
)
from tests.unit.mediasrv.rooms.stage import OFF, Stage


def test_a_host_is_given_a_room_an_id_and_a_secret():
    stage = Stage()
    admission = stage.directory.join("r", "host", "Ada", None, 1.0, reply_to="7")
    assert (admission.peer, admission.resumed, admission.replaced) == ("p1", False, False)
    joined = Joined(
        reply_to="7",
        room="r",
        peer="p1",
        role="host",
        resume="token1",
        grace_s=10.0,
        state="waiting",
        publishing=False,
        viewers=0,
        filter=OFF,
    )
    assert admission.deliveries == (Delivery(PeerId("p1"), joined),)
    assert admission.events == ()


def test_a_viewer_gets_no_secret_and_counts_itself():
    stage = Stage()
    stage.host()
    viewer = stage.viewer()
    joined = stage.told[viewer][0]
    assert isinstance(joined, Joined)
    assert (joined.role, joined.resume, joined.viewers) == ("viewer", None, 1)


def test_joined_comes_first_and_the_host_is_told_of_the_viewer_by_name():
    stage = Stage()
    host = stage.host()
    admission = stage.directory.join("r", "viewer", "Grace", None, stage.now)
    assert [(d.peer, d.message.type) for d in admission.deliveries] == [
        (admission.peer, "joined"),
        (host, "peer_joined"),
        (host, "viewers_changed"),
        (admission.peer, "viewers_changed"),
    ]
    assert admission.deliveries[1].message == PeerJoined(
        peer=admission.peer, role="viewer", name="Grace"
    )


def test_a_second_host_is_refused():
    stage = Stage()
    host = stage.host()
    with pytest.raises(Refused) as raised:
        stage.host()
    assert raised.value.code is ErrorCode.ROOM_TAKEN
    assert raised.value.retry_after_s is None
    stage.drop(host)
    stage.now += 4.0
    with pytest.raises(Refused) as raised:
        stage.host(resume="guess")
    assert raised.value.code is ErrorCode.ROOM_TAKEN
    assert raised.value.retry_after_s == 6.0


def test_rooms_keep_to_themselves():
    stage = Stage()
    host, other = stage.host("r"), stage.host("s")
    viewer = stage.viewer("r")
    stage.go_live(host)
    assert stage.types(other) == ["joined"]
    assert stage.types(viewer) == ["joined", "host_live"]


def test_a_viewer_who_joins_first_waits_for_the_host():
    stage = Stage()
    viewer = stage.viewer()
    assert stage.directory.listing() == [RoomListing("r", "waiting", 1, None)]
    host = stage.host()
    assert stage.types(viewer) == ["joined"]
    stage.go_live(host)
    assert stage.types(viewer) == ["host_live"]
    assert stage.types(host) == ["joined"]


def test_a_viewer_who_joins_a_live_room_is_told_so_once():
    stage = Stage()
    stage.go_live(stage.host())
    viewer = stage.viewer()
    joined = stage.told[viewer][0]
    assert isinstance(joined, Joined)
    assert (joined.state, joined.publishing) == ("live", True)
    assert stage.types(viewer) == ["joined"]


def test_an_id_that_is_made_twice_is_noticed():
    directory = Directory(new_id=lambda: "same", new_token=lambda: "t", initial_filter=OFF)
    directory.join("r", "host", None, None, 0.0)
    with pytest.raises(RuntimeError, match="in use"):
        directory.join("r", "viewer", None, None, 0.0)


def test_there_are_no_more_rooms_than_the_limit():
    stage = Stage(RoomLimits(rooms=2, retry_after_s=3.0))
    first, _ = stage.host("a"), stage.viewer("b")
    for role in ("host", "viewer"):
        with pytest.raises(Overloaded) as raised:
            stage.admit("c", role)
        assert raised.value.code is ErrorCode.OVERLOADED
        assert raised.value.retry_after_s == 3.0
    stage.host("b")
    stage.leave(first)
    stage.host("c")


def test_there_are_no_more_viewers_in_a_room_than_the_limit():
    stage = Stage(RoomLimits(viewers=2))
    first, _ = stage.viewer(), stage.viewer()
    with pytest.raises(Overloaded, match="full"):
        stage.viewer()
    stage.host()
    stage.viewer("other")
    stage.drop(first)
    stage.viewer()


def test_a_viewer_who_leaves_is_told_first_and_then_the_host():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.now += 5
    outcome = stage.directory.leave(viewer, stage.now, reply_to="9")
    assert outcome.deliveries[:2] == (
        Delivery(viewer, Left(reason="left", reply_to="9")),
        Delivery(host, PeerLeft(peer=viewer, reason="left")),
    )
    assert {d.peer for d in outcome.deliveries[2:]} == {host}
    assert outcome.events == ()


def test_a_viewer_whose_connection_drops_is_gone_at_once():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.types(viewer)
    stage.drop(viewer)
    assert PeerLeft(peer=viewer, reason="dropped") in stage.told[host]
    assert stage.types(viewer) == []
    assert stage.directory.room_of(viewer) is None


def test_a_live_host_who_leaves_ends_the_room_for_the_viewers_at_once():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    outcome = stage.leave(host)
    assert stage.last(host) == Left(reason="left")
    assert stage.last(viewer) == HostLeft(reason="left")
    assert outcome.hosts_gone == (HostGone("r", host, "left"),)
    with pytest.raises(Refused, match="not live"):
        stage.directory.require_live(viewer)


def test_a_host_who_never_went_live_leaves_without_a_word_to_viewers():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.types(viewer)
    stage.leave(host)
    assert stage.types(viewer) == []
    assert stage.events == [HostGone("r", host, "left")]


def test_the_token_of_a_host_who_left_is_void():
    stage = Stage()
    stage.viewer()
    host = stage.host()
    stage.leave(host)
    admission = stage.admit("r", "host", resume="token1")
    assert admission.peer != host
    assert not admission.resumed


def test_empty_rooms_vanish():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.leave(viewer)
    assert len(stage.directory.listing()) == 1
    outcome = stage.leave(host)
    assert outcome.events == (HostGone("r", host, "left"), RoomClosed("r"))
    assert stage.directory.listing() == []
    assert stage.directory.deadline() is None
    stage.drop(stage.viewer("s"))
    assert stage.events[-1] == RoomClosed("s")


def test_a_shutdown_tells_everybody_once_and_admits_nobody():
    stage = Stage()
    host, viewer, away = stage.host(), stage.viewer(), stage.host("s")
    waiting = stage.viewer("t")
    stage.drop(away)
    stage.told.clear()
    outcome = stage.take(stage.directory.shutdown())
    assert stage.told == {peer: [Left(reason="shutdown")] for peer in (host, viewer, waiting)}
    assert outcome.events == (
        HostGone("r", host, "shutdown"),
        RoomClosed("r"),
        HostGone("s", away, "shutdown"),
        RoomClosed("s"),
        RoomClosed("t"),
    )
    assert stage.directory.listing() == []
    assert stage.directory.deadline() is None
    assert stage.drop(host) == Outcome()
    assert stage.directory.shutdown() == Outcome()
    with pytest.raises(Overloaded, match="shutting down"):
        stage.host()
    with pytest.raises(Overloaded, match="shutting down"):
        stage.viewer()


def test_an_early_call_of_expire_does_nothing():
    stage = Stage()
    stage.drop(stage.host())
    assert stage.directory.deadline() == 110.0
    assert stage.directory.expire(109.9) == Outcome()
    assert stage.directory.deadline() == 110.0


def test_rooms_that_come_due_together_are_all_seen_to():
    stage = Stage()
    hosts = [stage.host(name) for name in ("a", "b", "c")]
    for host in hosts:
        stage.drop(host)
    stage.now += 60
    outcome = stage.take(stage.directory.expire(stage.now))
    assert [event.peer for event in outcome.hosts_gone] == hosts
    assert stage.directory.listing() == []


def test_a_returned_host_is_told_to_viewers_before_anything_else():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.drop(host)
    deliveries = stage.admit("r", "host", resume="token1").deliveries
    assert [d.peer for d in deliveries] == [host, viewer]
    assert deliveries[1].message == HostReturned()
