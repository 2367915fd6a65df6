"""What a host may do with its room, and who is told of it."""

import pytest

from mediasrv.rooms import Delivery, Outcome, PeerId
from mediasrv.rooms.directory import RoomListing
from signaling.errors import ErrorCode, Refused
from signaling.messages import (
    FilterChanged,
    HostLeft,
    HostLive,
    HostMedia,
    Joined,
)
from tests.unit.mediasrv.rooms.stage import OFF, ON, STARTING, Stage

NOBODY = PeerId("nobody")


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
