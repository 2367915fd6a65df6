"""How many viewers there are, and who is named to the host."""

from mediasrv.rooms import RoomLimits
from tests.unit.mediasrv.rooms.stage import Stage


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
