"""Which room is due when."""

import heapq


class Agenda:
    """Names and their times: earliest first, in logarithmic time however many rooms there are.

    A name that is moved leaves its old entry in the heap until that comes up; the dictionary
    says which entry is meant.
    """

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, name: str, when: float | None) -> None:
        """Set, move or (None) remove the time of a name. ``when`` is monotonic seconds."""
        if when is None:
            self._due.pop(name, None)
        elif self._due.get(name) != when:
            self._due[name] = when
            heapq.heappush(self._heap, (when, name))

    def next(self) -> float | None:
        """Return the earliest time, or None when nothing is due ever."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> list[str]:
        """Remove and return the names whose time has come, earliest first."""
        names = []
        while (when := self.next()) is not None and when <= now:
            name = heapq.heappop(self._heap)[1]
            del self._due[name]
            names.append(name)
        return names
