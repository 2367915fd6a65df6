"""Whether a worker keeps up with its stream, and what has to be quicker so that it does; pure.

A worker often shares its core. How busy the core is it sees from within: its own part of the time,
and what others ran of the time in which it was at work itself. Three that share one core evenly and
cannot keep up see a third and two thirds; one that is alone and just keeps up sees all and nothing.
"""

# Of the core. The rest is for what comes now and then: a search for faces, a keyframe, whatever
# else the machine does.
FULL = 0.85
# The encoder goes first: what it gives up is seen least (libvpx.HURRIED). It takes its time again
# after so many images with more room than that saved.
HURRY_ABOVE, RELAX_BELOW, RELAX_AFTER = 0.7, 0.45, 300
FOLLOWS = 0.1  # weight of the newest image
LEAST_BUDGET_US = 1000
LEAST_LOAD = 0.05
NOMINAL_INTERVAL_US = 33_333


class Pace:
    """Follows what images take, against the time that there is for each.

    Attributes:
        is_hurried: Whether the encoder is to be quick rather than good.
    """

    def __init__(self) -> None:
        self.is_hurried = False
        self._interval_us = float(NOMINAL_INTERVAL_US)
        self._busy_us = 0.0
        self._cpu_us = 0.0
        self._filter_us = 0.0
        self._with_room = 0

    @property
    def load(self) -> float:
        """How much of the core is taken, by us and by others; from 1 on, images are skipped."""
        others = max(0.0, 1 - self._cpu_us / self._busy_us) if self._busy_us else 0.0
        return self._cpu_us / self._interval_us + others

    @property
    def filter_budget_us(self) -> int:
        """What the filters may take of each image: what they take, when the core is just full."""
        return max(LEAST_BUDGET_US, round(self._filter_us * FULL / max(self.load, LEAST_LOAD)))

    def note(self, *, interval_us: float, busy_us: float, cpu_us: float, filter_us: float) -> None:
        """Learn how the time since the image before was spent.

        Args:
            interval_us: By the timestamps of the two images.
            busy_us: At work on images, also on those that were skipped, on the wall.
            cpu_us: Of the processor.
            filter_us: In the filters, on the wall.
        """
        self._interval_us += FOLLOWS * (interval_us - self._interval_us)
        self._busy_us += FOLLOWS * (busy_us - self._busy_us)
        self._cpu_us += FOLLOWS * (cpu_us - self._cpu_us)
        self._filter_us += FOLLOWS * (filter_us - self._filter_us)
        self._with_room = self._with_room + 1 if self.load < RELAX_BELOW else 0
        if self.load > HURRY_ABOVE:
            self.is_hurried = True
        elif self._with_room >= RELAX_AFTER:
            self.is_hurried = False
