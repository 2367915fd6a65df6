"""Seeded random lives of many rooms: whatever happens, the books balance."""

import random

import pytest

from mediasrv.rooms import HostGone, PeerId, RoomClosed, RoomLimits
from signaling.errors import SignalingError
from signaling.messages import HostLeft, HostLive, Joined, Left
from tests.unit.mediasrv.rooms.stage import OFF, ON, STARTING, Stage


class Books:
    """What must be true, kept in the plainest way."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.connected: dict[PeerId, tuple[str, str]] = {}
        self.away: dict[PeerId, str] = {}
        self.tokens: dict[PeerId, str] = {}

    def read_mail(self) -> None:
        for peer, messages in self.stage.told.items():
            assert peer in self.connected, f"{messages[0].type} for somebody who is not there"
            for message in messages:
                if isinstance(message, Joined):
                    assert message.peer == peer
                    assert message.viewers == self.viewers(message.room)
                if isinstance(message, HostLive | HostLeft):
                    assert self.connected[peer][1] == "viewer"
                if isinstance(message, Left):
                    assert messages[-1] is message
        self.stage.told.clear()
        for event in self.stage.events:
            if isinstance(event, HostGone):
                self.away.pop(event.peer, None)
            if isinstance(event, RoomClosed):
                assert event.room not in {room for room, _ in self.connected.values()}
        self.stage.events.clear()

    def viewers(self, room: str) -> int:
        return sum(place == (room, "viewer") for place in self.connected.values())

    def check(self) -> None:
        rooms = {room for room, _ in self.connected.values()} | set(self.away.values())
        listing = {entry.room: entry for entry in self.stage.directory.listing()}
        assert listing.keys() == rooms
        for name, entry in listing.items():
            assert entry.viewers == self.viewers(name)
            assert (entry.state == "away") is (name in self.away.values())
        for peer, (room, _) in self.connected.items():
            assert self.stage.directory.room_of(peer) == room


def join(books: Books, chance: random.Random) -> None:
    stage = books.stage
    room, role = chance.choice("abc"), chance.choice(("host", "viewer"))
    token = chance.choice([None, "guess", *books.tokens.values()])
    try:
        admission = stage.admit(room, role, token)  # type: ignore[arg-type]
    except SignalingError:
        return
    if admission.resumed:
        assert books.tokens[admission.peer] == token
        assert admission.replaced is (admission.peer not in books.away)
        books.away.pop(admission.peer, None)
    books.connected[admission.peer] = (room, role)
    joined = stage.told[admission.peer][0]
    assert isinstance(joined, Joined)
    if joined.resume is not None:
        books.tokens[admission.peer] = joined.resume


def depart(books: Books, chance: random.Random) -> None:
    peer = chance.choice(list(books.connected))
    room, role = books.connected[peer]
    if chance.random() < 0.5:
        books.stage.leave(peer)
        assert books.stage.told.pop(peer) == [Left(reason="left")]
    else:
        books.stage.drop(peer)
        if role == "host":
            books.away[peer] = room
    del books.connected[peer]


def act(books: Books, chance: random.Random) -> None:
    stage = books.stage
    peer = chance.choice(list(books.connected))
    command = chance.choice(
        [
            lambda: stage.go_live(peer),
            lambda: stage.stop(peer),
            lambda: stage.take(stage.directory.filter_changed(peer, chance.choice([OFF, ON]))),
            lambda: stage.take(stage.directory.filter_changed(peer, STARTING, reply_to="1")),
            lambda: stage.take(stage.directory.media_changed(peer, "lost")),
        ]
    )
    try:
        command()
    except SignalingError:
        assert books.connected[peer][1] == "viewer"


@pytest.mark.parametrize("seed", range(20))
def test_the_books_of_a_random_evening_balance(seed):
    chance = random.Random(seed)
    stage = Stage(RoomLimits(viewers=8, announced_viewers=3))
    books = Books(stage)
    for _ in range(400):
        kind = chance.random()
        if kind < 0.4 or not books.connected:
            join(books, chance)
        elif kind < 0.65:
            depart(books, chance)
        elif kind < 0.9:
            act(books, chance)
        else:
            stage.wait(chance.choice((0.1, 1.0, 4.0, 11.0)))
        books.read_mail()
        books.check()
    for peer in list(books.connected):
        stage.leave(peer)
    stage.wait(60)
    assert stage.directory.listing() == []
    assert stage.directory.deadline() is None
