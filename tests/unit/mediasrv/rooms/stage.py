"""A directory with a clock of its own and peers who remember what they were told."""

from collections import defaultdict
from itertools import count

from mediasrv.rooms import Admission, Directory, Outcome, PeerId, RoomEvent, RoomLimits
from signaling.messages import FilterView, Role, ServerMessage

OFF = FilterView(state="off", enabled=False, params={"smooth": 0, "brighten": 0})
STARTING = FilterView(state="starting", enabled=True, params={"smooth": 60, "brighten": 0})
ON = FilterView(state="on", enabled=True, params={"smooth": 60, "brighten": 0})


class Stage:
    """Runs commands at ``now`` and keeps every delivery by peer, and every event."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        ids, tokens = count(1), count(1)
        self.now = 100.0
        self.directory = Directory(
            new_id=lambda: f"p{next(ids)}",
            new_token=lambda: f"token{next(tokens)}",
            initial_filter=OFF,
            limits=limits,
        )
        self.told: dict[PeerId, list[ServerMessage]] = defaultdict(list)
        self.events: list[RoomEvent] = []

    def take(self, outcome: Outcome) -> Outcome:
        for delivery in outcome.deliveries:
            self.told[delivery.peer].append(delivery.message)
        self.events += outcome.events
        return outcome

    def admit(self, room: str, role: Role, resume: str | None = None) -> Admission:
        admission = self.directory.join(room, role, None, resume, self.now)
        self.take(admission)
        return admission

    def host(self, room: str = "r", resume: str | None = None) -> PeerId:
        return self.admit(room, "host", resume).peer

    def viewer(self, room: str = "r") -> PeerId:
        return self.admit(room, "viewer").peer

    def leave(self, peer: PeerId) -> Outcome:
        return self.take(self.directory.leave(peer, self.now))

    def drop(self, peer: PeerId) -> Outcome:
        return self.take(self.directory.drop(peer, self.now))

    def go_live(self, peer: PeerId) -> Outcome:
        return self.take(self.directory.went_live(peer, self.now))

    def stop(self, peer: PeerId) -> Outcome:
        return self.take(self.directory.stopped(peer))

    def wait(self, seconds: float) -> None:
        """Let time pass, waking the directory exactly when it asks for it."""
        until = self.now + seconds
        for _ in range(1000):
            deadline = self.directory.deadline()
            if deadline is None or deadline > until:
                self.now = until
                return
            self.now = max(self.now, deadline)
            self.take(self.directory.expire(self.now))
        raise AssertionError("the directory asks for the same moment again and again")

    def types(self, peer: PeerId) -> list[str]:
        """Take the types of what a peer was told, apart from the number of viewers."""
        messages = self.told.pop(peer, [])
        return [message.type for message in messages if message.type != "viewers_changed"]

    def last(self, peer: PeerId) -> ServerMessage:
        return self.told[peer][-1]
