"""What to leave out when time is short: a ladder of small savings, one rung at a time.

Fed with how long pictures took; holds no clock and looks at no picture. Over budget it steps down,
well under it for a while it steps up again, and it takes longer to step up each time that proved
too early. Each rung hides behind slowness that the eye does not follow, and strengths that a rung
takes away fade, so that no step shows.

The order, from what nobody misses to what everybody sees:

====  ==================================================================
rung  saves
====  ==================================================================
0     nothing
1     sharpening and clarity: fine contrast, first lost in the codec anyway
2     landmarks are looked for half as often; faces are followed between
3     the background's net looks at every fourth picture instead of every second
4     brows, eye shadow, smile lines, shine: small areas, small effects
5     blemishes, under the eyes, eyes and teeth, lipstick and blush
6     shape
7     looks and low light
8     all but smoothing, brightening and the background
====  ==================================================================

Smoothing, brightening and backgrounds are never left out: the first two are what a host switched
the filter on for, the last hides what must not be seen.
"""

from dataclasses import dataclass, replace
from typing import Final

from filters.parameters import Parameters

# Names of parameters that each rung takes away, besides those of the rungs above it.
LEFT_OUT: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("sharpen", "clarity"),
    (),
    (),
    ("brow", "eye_shadow", "smile_lines", "shine"),
    ("blemish", "under_eye", "eye_bright", "teeth_white", "lipstick", "blush"),
    (
        *("slim", "narrow", "v_shape", "jaw", "chin", "cheekbones", "forehead", "eye_size"),
        *("eye_distance", "nose_width", "nose_length", "mouth_size", "smile"),
    ),
    ("look_amount", "low_light"),
    ("tone", "rosy"),
)
LOOKS_LESS_FROM, SEGMENTS_LESS_FROM = 2, 3
LAST: Final = len(LEFT_OUT) - 1
# Weight of the newest picture in the mean of their times: about ten pictures count.
FOLLOWS = 0.1
# A single picture counts as this many budgets at most: one hiccup is no reason to step.
MOST_BUDGETS = 2
# Down when the mean is above the budget, up when it is below this part of it.
ROOM = 0.7
# Pictures after a step before the next one down: the mean has to learn what the step saved.
SETTLE = 15
# Pictures of room before a step up, at first and at most; doubled when a step up did not hold.
PATIENCE, MOST_PATIENCE = 300, 300 * 16
# A step up that is taken back within so many pictures was too early.
TOO_EARLY = 150
# A strength goes or comes back over so many pictures.
FADE = 15


@dataclass(frozen=True, slots=True)
class Plan:
    """How to filter one picture.

    Attributes:
        parameters: Strengths, of which some may be on their way to 0.
        look_every: As in :class:`filters.finding.FaceFinder`, times this.
        segment_every: Pictures per look of the background's net, times this.
    """

    parameters: Parameters
    look_every: int = 1
    segment_every: int = 1


class SpeedLadder:
    """Steps down when pictures take too long, and up again when there is room."""

    def __init__(self, budget_us: int) -> None:
        """Start at the top.

        Args:
            budget_us: What filtering one picture may take on average, more than 0.
        """
        self._budget_us = budget_us
        self.reset()

    def allow(self, budget_us: int) -> None:
        """Change what filtering one picture may take on average, more than 0."""
        self._budget_us = budget_us

    def reset(self) -> None:
        """Forget all times and stand at the top, at once: another stream, or none for a while."""
        self._mean_us: float | None = None
        self._rung = 0
        self._since_step = 0
        self._since_up: int | None = None
        self._with_room = 0
        self._patience = PATIENCE
        # How much of each strength that may be left out is there, 0 to 1.
        self._shares = dict.fromkeys((name for names in LEFT_OUT for name in names), 1.0)

    @property
    def rung(self) -> int:
        """How far down it stands; 0 saves nothing."""
        return self._rung

    def take(self, spent_us: int) -> None:
        """Learn how long the last picture took, all stages together."""
        spent_us = min(spent_us, MOST_BUDGETS * self._budget_us)
        mean_us = spent_us if self._mean_us is None else self._mean_us
        self._mean_us = mean_us + FOLLOWS * (spent_us - mean_us)
        self._since_step += 1
        if self._since_up is not None:
            self._since_up += 1
        if self._since_step < SETTLE:
            return
        if self._mean_us > self._budget_us:
            self._with_room = 0
            if self._rung < LAST:
                self._step_down()
            return
        has_room = self._mean_us < ROOM * self._budget_us
        self._with_room = self._with_room + 1 if has_room else 0
        if self._rung and self._with_room >= self._patience:
            self._step_up()

    def plan(self, wanted: Parameters) -> Plan:
        """How to filter the next picture; call it once per picture, for strengths fade here."""
        gone = {name for names in LEFT_OUT[: self._rung + 1] for name in names}
        changed = {}
        for name, share in self._shares.items():
            step = -1 / FADE if name in gone else 1 / FADE
            moved = self._shares[name] = min(max(share + step, 0.0), 1.0)
            value = getattr(wanted, name)
            if value and moved < 1:
                changed[name] = round(value * moved)
        parameters = replace(wanted, **changed) if changed else wanted
        return Plan(
            parameters,
            look_every=1 + (self._rung >= LOOKS_LESS_FROM),
            segment_every=1 + (self._rung >= SEGMENTS_LESS_FROM),
        )

    def _step_down(self) -> None:
        if self._since_up is not None and self._since_up < TOO_EARLY:
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        self._rung += 1
        self._since_step, self._since_up = 0, None

    def _step_up(self) -> None:
        self._rung -= 1
        self._since_step = self._since_up = self._with_room = 0
