"""Delays planted in one stage, and whether they turn up there and in the whole."""

from benchmarks.glass import OFF, Case, Theatre
from benchmarks.latency import planting
from benchmarks.latency.planted_stage import PLANTED_MS, TURN_S
from benchmarks.latency.traced import Frames, traceable
from benchmarks.latency.waterfall import sum_up
from benchmarks.rig.machine import percentile
from benchmarks.rig.refusal import MeasurementRefused
from mediasrv.media import Codec

PLANTS = (*planting.IN_SERVER, planting.IN_WORKER)
# How often a planted delay comes and goes, and how long after each change frames do not count:
# jitter buffers and the bandwidth estimate have to get used to it.
PERIODS = 4
CALM_DOWN_S, BEFORE_CHANGE_S = 1.5, 0.2
TURN_FRAMES_MIN = 100
TOLERANCE_MS = 2.0
SIZE = "360p"
# Pictures wait up to a refresh (60 Hz) for being composited. With the golden ratio between the two
# rates, any few of them wait for evenly different times, so that medians can be compared.
FPS = 60 / 4.382

Row = dict[str, object]


def planted_row(theatre: Theatre, planted: str, codec: Codec) -> Row:
    """Find a delay that comes and goes: everything else is the same with it and without it.

    The camera is slow and its pictures are small: a frame that is 20 ms late would else be decoded
    and painted while the host's browser encodes the next one, and on two cores they slow each other
    down by 2 to 5 ms. That is no fault of the measurement, but it is not what was planted.
    """
    case = case_for(planted, codec)
    try:
        with traceable(theatre, case, plant=planted, fps=FPS) as traced:
            _, frames = traced.observe(PERIODS * 2 * TURN_S)
        calm, slowed = by_turn(frames)
    except MeasurementRefused as refused:
        print(f"planted in {planted}: refused: {refused}", flush=True)
        return {"stage": planted, "refused": str(refused)}
    in_stage_ms = _median(slowed, planted) - _median(calm, planted)
    total_ms = _glass(slowed) - _glass(calm)
    print(
        f"planted {PLANTED_MS:.0f} ms in {planted!r}: {in_stage_ms:+.1f} ms there"
        f" ({_verdict(in_stage_ms)}), {total_ms:+.1f} ms in the total ({_verdict(total_ms)});"
        f" {len(slowed)} frames with it, {len(calm)} without",
        flush=True,
    )
    return {
        "stage": planted,
        "preset": case.preset,
        "size": case.size,
        "planted_ms": PLANTED_MS,
        "tolerance_ms": TOLERANCE_MS,
        "in_stage_ms": round(in_stage_ms, 2),
        "in_total_ms": round(total_ms, 2),
        "stages_with": sum_up([one for _, one in slowed]),
        "stages_without": sum_up([one for _, one in calm]),
    }


def case_for(planted: str, codec: Codec) -> Case:
    """Return a case that has this stage."""
    preset = "natural" if planted in planting.IN_FILTER else OFF
    return Case("chromium", preset, codec, SIZE)


def by_turn(frames: Frames) -> tuple[Frames, Frames]:
    """Part frames without from those with the planted delay, leaving out what follows a change.

    Raises:
        MeasurementRefused: There are too few of one kind.
    """
    calm: Frames = []
    slowed: Frames = []
    for sighting, stages in frames:
        turn, into_s = divmod(sighting.captured_ms / 1000, TURN_S)
        if into_s < CALM_DOWN_S or into_s > TURN_S - BEFORE_CHANGE_S:
            continue
        (slowed if turn % 2 else calm).append((sighting, stages))
    if min(len(calm), len(slowed)) < TURN_FRAMES_MIN:
        raise MeasurementRefused("too few frames with or without the delay")
    return calm, slowed


def _verdict(found_ms: float) -> str:
    return "found" if abs(found_ms - PLANTED_MS) <= TOLERANCE_MS else "NOT FOUND"


def _glass(frames: Frames) -> float:
    return percentile([sighting.glass_ms for sighting, _ in frames], 0.5)


def _median(frames: Frames, name: str) -> float:
    return percentile([stages.get(name, 0.0) for _, stages in frames], 0.5)
