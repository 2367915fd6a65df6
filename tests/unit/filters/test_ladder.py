import itertools

import numpy as np
import pytest

from filters.image import YuvImage
from filters.ladder import (
    FADE,
    LAST,
    LEFT_OUT,
    LOOKS_LESS_FROM,
    MOST_PATIENCE,
    PATIENCE,
    SEGMENTS_LESS_FROM,
    SETTLE,
    SpeedLadder,
)
from filters.parameters import NAMES, SHADES, Parameters
from filters.pipeline import Pipeline
from filters.stages import default_stages
from tests.filter_faces import KnownFaces, KnownPerson, face_at, grainy_image

BUDGET_US = 10_000
EVERYTHING = Parameters(**dict.fromkeys(NAMES, 60))


def run(ladder: SpeedLadder, spent_us: int, pictures: int) -> list[int]:
    """The rung after each picture."""
    rungs = []
    for _ in range(pictures):
        ladder.plan(EVERYTHING)
        ladder.take(spent_us)
        rungs.append(ladder.rung)
    return rungs


def at_rung(rung: int) -> SpeedLadder:
    ladder = SpeedLadder(BUDGET_US)
    while ladder.rung < rung:
        run(ladder, 2 * BUDGET_US, 1)
    return ladder


def test_within_the_budget_nothing_is_left_out():
    ladder = SpeedLadder(BUDGET_US)
    assert set(run(ladder, BUDGET_US - 100, 2000)) == {0}
    assert ladder.plan(EVERYTHING).parameters == EVERYTHING


def test_over_the_budget_it_goes_down_one_rung_at_a_time_to_the_last():
    ladder = SpeedLadder(BUDGET_US)
    rungs = run(ladder, 2 * BUDGET_US, 400)
    assert rungs[-1] == LAST
    assert all(0 <= after - before <= 1 for before, after in itertools.pairwise(rungs))
    steps = np.flatnonzero(np.diff(rungs))
    assert (np.diff(steps) >= SETTLE).all()


def test_a_single_slow_picture_changes_nothing():
    ladder = SpeedLadder(BUDGET_US)
    run(ladder, BUDGET_US // 2, 100)
    assert run(ladder, 100 * BUDGET_US, 1) == [0]
    assert set(run(ladder, BUDGET_US // 2, 100)) == {0}


def test_it_goes_up_again_when_there_has_been_room_for_a_while():
    ladder = at_rung(2)
    rungs = run(ladder, BUDGET_US // 3, 3 * PATIENCE)
    assert rungs[PATIENCE // 2] == 2
    assert rungs[-1] == 0


def test_between_budget_and_room_it_stays():
    ladder = at_rung(3)
    assert set(run(ladder, int(0.85 * BUDGET_US), 20 * PATIENCE)) <= {3, 4}


def test_a_step_up_that_does_not_hold_is_tried_ever_more_rarely():
    ladder = SpeedLadder(BUDGET_US)
    rungs = []
    for _ in range(20_000):  # fits on the first rung, does not without it
        ladder.plan(EVERYTHING)
        ladder.take(BUDGET_US // 2 if ladder.rung else int(1.5 * BUDGET_US))
        rungs.append(ladder.rung)
    ups = np.flatnonzero(np.diff(rungs) < 0)
    gaps = np.diff(ups)
    assert (gaps[1:4] > 1.5 * gaps[:3]).all()
    assert gaps.max() <= 2 * MOST_PATIENCE
    assert len(ups) < 25


def test_another_budget_holds_from_the_next_picture_on():
    ladder = SpeedLadder(BUDGET_US)
    assert set(run(ladder, BUDGET_US // 2, 100)) == {0}
    ladder.allow(BUDGET_US // 4)
    assert run(ladder, BUDGET_US // 2, 100)[-1] > 0


def test_strengths_fade_instead_of_jumping():
    ladder = at_rung(1)
    values = [ladder.plan(EVERYTHING).parameters.sharpen for _ in range(2 * FADE)]
    assert all(0 <= before - after <= 60 / FADE + 1 for before, after in itertools.pairwise(values))
    assert values[-1] == 0
    run(ladder, 100, 2 * PATIENCE)
    values = [ladder.plan(EVERYTHING).parameters.sharpen for _ in range(2 * FADE)]
    assert values[-1] == 60


@pytest.mark.parametrize("rung", range(LAST + 1))
def test_each_rung_leaves_out_what_is_written_and_keeps_the_rest(rung):
    ladder = at_rung(rung)
    for _ in range(FADE + 1):
        plan = ladder.plan(EVERYTHING)
    gone = {name for names in LEFT_OUT[: rung + 1] for name in names}
    assert {name for name in NAMES if getattr(plan.parameters, name) == 0} == gone
    assert plan.look_every == (2 if rung >= LOOKS_LESS_FROM else 1)
    assert plan.segment_every == (2 if rung >= SEGMENTS_LESS_FROM else 1)


def test_smoothing_brightening_and_backgrounds_are_never_left_out():
    gone = {name for names in LEFT_OUT for name in names}
    kept = {name for name in NAMES if name not in SHADES} - gone
    assert kept == {"smooth", "brighten", "background_blur", "background_replace"}
    assert len(gone) == sum(len(names) for names in LEFT_OUT)
    assert gone <= set(NAMES)


def test_two_way_strengths_fade_from_both_sides():
    ladder = at_rung(LAST)
    tanned = Parameters(tone=-90)
    values = [ladder.plan(tanned).parameters.tone for _ in range(FADE + 1)]
    assert values[-1] == 0
    assert all(before <= after <= 0 for before, after in itertools.pairwise(values))


def test_a_reset_stands_at_the_top_at_once():
    ladder = at_rung(4)
    ladder.reset()
    assert ladder.rung == 0
    assert ladder.plan(EVERYTHING).parameters == EVERYTHING


class _SlowFaces(KnownFaces):
    """A detector that eats the whole budget by itself."""

    def detect(self, image: YuvImage):
        sum(range(60_000))
        return super().detect(image)


def test_a_pipeline_that_is_too_slow_goes_down_and_starts_at_the_top_after_a_pause():
    ladder = SpeedLadder(500)
    detector = _SlowFaces([face_at(160, 120, 100)])
    pipeline = Pipeline(detector, default_stages(KnownPerson()), look_every=1, ladder=ladder)
    parameters = Parameters(smooth=50, sharpen=50)
    stages = [
        set(pipeline.apply(grainy_image(320, 240), parameters).durations_us)
        for _ in range(2 * SETTLE + FADE)
    ]
    assert "sharpen" in stages[0]
    assert "sharpen" not in stages[-1]
    assert "smooth" in stages[-1]
    pipeline.apply(grainy_image(320, 240), Parameters())
    assert ladder.rung == 0
