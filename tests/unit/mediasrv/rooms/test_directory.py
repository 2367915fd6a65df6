import pytest

from mediasrv.rooms import Delivery, Directory, HostGone, Outcome, PeerId, RoomClosed, RoomLimits
from mediasrv.rooms.directory import RoomListing
from signaling.errors import ErrorCode, Overloaded, Refused
from signaling.messages import (
    FilterChanged,
    HostAway,
    HostLeft,
    HostLive,
    HostMedia,
    HostReturned,
    Joined,
    Left,
    PeerJoined,
    PeerLeft,
)
from tests.unit.mediasrv.rooms.stage import OFF, ON, STARTING, Stage

NOBODY = PeerId("nobody")

# Joining.


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


# Caps.


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


# Leaving.


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


# The grace.


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


# Going live.


def test_a_publication_that_ends_leaves_the_host_in_the_room():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.stop(host)
    assert stage.last(viewer) == HostLeft(reason="stopped")
    assert stage.directory.listing()[0].state == "waiting"
    assert stage.stop(host) == Outcome()
    stage.go_live(host)
    assert stage.last(viewer) == HostLive()


def test_a_publication_that_replaces_another_is_announced_again():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    stage.now += 5
    stage.go_live(host)
    assert stage.types(viewer) == ["joined", "host_live", "host_live"]
    assert stage.directory.listing() == [RoomListing("r", "live", 1, 105.0)]


def test_only_a_live_room_can_be_subscribed_to():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    for peer in (viewer, NOBODY):
        with pytest.raises(Refused) as raised:
            stage.directory.require_live(peer)
        assert raised.value.code is ErrorCode.NOT_LIVE
    stage.go_live(host)
    assert stage.directory.require_live(viewer) == host


def test_the_listing_says_since_when_a_room_is_live_and_nothing_of_who_is_there():
    stage = Stage()
    stage.viewer("waiting")
    host = stage.host("away")
    stage.go_live(host)
    stage.drop(host)
    stage.viewer("away")
    assert stage.directory.listing() == [
        RoomListing("waiting", "waiting", 1, None),
        RoomListing("away", "away", 1, 100.0),
    ]


# What only a host may do.


def test_what_is_the_hosts_is_not_allowed_to_a_viewer():
    stage = Stage()
    stage.host()
    viewer = stage.viewer()
    directory = stage.directory
    for command in (
        lambda: directory.went_live(viewer, stage.now),
        lambda: directory.stopped(viewer),
        lambda: directory.filter_changed(viewer, ON),
        lambda: directory.media_changed(viewer, "lost"),
    ):
        with pytest.raises(Refused) as raised:
            command()
        assert raised.value.code is ErrorCode.NOT_ALLOWED


def test_commands_of_peers_who_are_gone_do_nothing():
    stage = Stage()
    gone = stage.viewer()
    stage.leave(gone)
    for peer in (gone, NOBODY):
        for outcome in (
            stage.directory.leave(peer, 0.0),
            stage.directory.drop(peer, 0.0),
            stage.directory.went_live(peer, 0.0),
            stage.directory.stopped(peer),
            stage.directory.filter_changed(peer, ON),
            stage.directory.media_changed(peer, "lost"),
        ):
            assert outcome == Outcome()


# The filter.


def test_the_host_is_answered_and_viewers_are_told_of_a_change_of_state():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    outcome = stage.directory.filter_changed(host, STARTING, reply_to="4")
    assert outcome.deliveries == (
        Delivery(host, FilterChanged(filter=STARTING, reply_to="4")),
        Delivery(viewer, FilterChanged(filter=STARTING)),
    )
    assert stage.directory.filter_of(host) == STARTING
    assert stage.directory.filter_of(NOBODY) == OFF


def test_viewers_are_not_told_where_a_slider_stands():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.take(stage.directory.filter_changed(host, ON))
    stage.types(viewer)
    for strength in range(60):
        moved = ON.model_copy(update={"params": {"smooth": strength, "brighten": 0}})
        stage.take(stage.directory.filter_changed(host, moved))
    assert stage.types(viewer) == []
    assert stage.types(host)[-60:] == ["filter_changed"] * 60


def test_a_filter_that_does_not_change_is_told_only_as_an_answer():
    stage = Stage()
    host, _ = stage.host(), stage.viewer()
    assert stage.directory.filter_changed(host, OFF) == Outcome()
    (delivery,) = stage.directory.filter_changed(host, OFF, reply_to="1").deliveries
    assert delivery == Delivery(host, FilterChanged(filter=OFF, reply_to="1"))


def test_late_viewers_and_resumed_hosts_see_the_present_filter():
    stage = Stage()
    host = stage.host()
    stage.take(stage.directory.filter_changed(host, ON))
    viewer = stage.viewer()
    stage.drop(host)
    stage.told.pop(host)
    stage.host(resume="token1")
    for peer in (viewer, host):
        joined = stage.told[peer][0]
        assert isinstance(joined, Joined)
        assert joined.filter == ON


def test_the_filter_of_a_host_who_left_is_forgotten():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.take(stage.directory.filter_changed(host, ON))
    stage.leave(host)
    assert stage.last(viewer) == FilterChanged(filter=OFF)
    other = stage.host()
    joined = stage.last(other)
    assert isinstance(joined, Joined)
    assert joined.filter == OFF


# Media.


def test_everybody_is_told_when_the_hosts_media_comes_and_goes():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.go_live(host)
    for state in ("connected", "connected", "lost"):
        stage.take(stage.directory.media_changed(host, state))
    media = [HostMedia(state="connected"), HostMedia(state="lost")]
    for peer in (host, viewer):
        assert [m for m in stage.told[peer] if isinstance(m, HostMedia)] == media
    stage.go_live(host)
    assert stage.directory.media_changed(host, "lost").deliveries


# Numbers.


def test_the_number_of_viewers_is_told_at_most_once_a_second():
    stage = Stage()
    host = stage.host()
    viewers = [stage.viewer()]
    assert stage.last(host).model_dump() == {"type": "viewers_changed", "viewers": 1}
    stage.told.clear()
    viewers += [stage.viewer(), stage.viewer()]
    assert not any(m.type == "viewers_changed" for m in stage.told[host])
    stage.wait(1.0)
    assert stage.last(host).model_dump() == {"type": "viewers_changed", "viewers": 3}
    assert all(stage.last(viewer) == stage.last(host) for viewer in viewers)
    stage.told.clear()
    stage.wait(10)
    assert stage.told == {}


def test_a_number_that_is_as_it_was_is_not_told_again():
    stage = Stage()
    host, viewer = stage.host(), stage.viewer()
    stage.told.clear()
    stage.leave(viewer)
    stage.viewer()
    assert stage.directory.deadline() is None
    stage.wait(5)
    assert not any(m.type == "viewers_changed" for m in stage.told[host])


def test_an_audience_of_a_thousand_is_told_in_linear_effort():
    stage = Stage()
    host = stage.host()
    stage.go_live(host)
    viewers = [stage.viewer() for _ in range(1000)]
    stage.wait(1.0)
    joining = sum(len(messages) for messages in stage.told.values())
    # joined to each, the number twice, and the first hundred to the host
    assert joining <= 1 + 1000 + 2 + 1001 + 100
    stage.told.clear()
    for viewer in viewers:
        stage.leave(viewer)
    stage.wait(1.0)
    leaving = sum(len(messages) for messages in stage.told.values())
    assert leaving <= 1000 + 1000 + 2 + 100


def test_the_host_gets_no_more_than_a_hundred_viewers_one_by_one():
    stage = Stage(RoomLimits(announced_viewers=2))
    host = stage.host()
    viewers = [stage.viewer() for _ in range(4)]
    assert stage.types(host) == ["joined", "peer_joined", "peer_joined"]
    for viewer in reversed(viewers):
        stage.leave(viewer)
    assert stage.types(host) == ["peer_left", "peer_left"]
    stage.viewer()
    assert stage.types(host) == ["peer_joined"]


# The end.


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
