"""Glass to glass and quality behind every combination of loss, jitter and rate."""

from dataclasses import dataclass
from itertools import product

from benchmarks.glass import OFF, Case, Theatre
from benchmarks.latency.chromium import Pair, through_server
from benchmarks.latency.sightings import figures
from benchmarks.rig.impairment import Conditions
from benchmarks.rig.impairment_proxy import Lane, impaired_server
from benchmarks.rig.refusal import MeasurementRefused
from mediasrv.media import Codec

DELAY_S = 0.010
QUEUE_BYTES = 64_000
PER_S = 30.0

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is combined.

    Attributes:
        losses: Shares of datagrams, both ways.
        jitters_ms: What a datagram takes longer at most.
        rates_bps: Of the way to the viewer; None: no limit.
    """

    losses: tuple[float, ...] = (0.0, 0.02, 0.05, 0.10)
    jitters_ms: tuple[float, ...] = (0.0, 20.0, 50.0)
    rates_bps: tuple[int | None, ...] = (None, 1_000_000)


def walk(theatre: Theatre, grid: Grid, seconds: float, seed: int) -> list[Row]:
    """Measure every combination; the viewer stays, its network changes."""
    case = Case("chromium", OFF, Codec.VP8, "720p")
    rows: list[Row] = []
    lanes: list[Lane] = []
    print(f"{'rate':>10} {'loss':>6} {'jitter':>7} {'glass p50/p95':>16} {'fps':>6} {'freezes':>8}")
    with (
        impaired_server(seed=seed, filter_spares=0) as (server, proxy),
        through_server(
            theatre.hosts,
            theatre.viewers,
            server,
            theatre.setting(case),
            filtered=False,
            host_is_live=lambda: lanes.append(proxy.next_lane("viewer")),
        ) as pair,
    ):
        for rate_bps, loss, jitter_ms in product(grid.rates_bps, grid.losses, grid.jitters_ms):
            rows.append(_cell(pair, lanes[0], (rate_bps, loss, jitter_ms), seconds))
            print(_line(rows[-1]), flush=True)
        _set(lanes[0], Conditions())
    return rows


def _cell(pair: Pair, lane: Lane, at: tuple[int | None, float, float], seconds: float) -> Row:
    rate_bps, loss, jitter_ms = at
    row: Row = {
        "rate": "none" if rate_bps is None else f"{rate_bps / 1e6:g} Mb/s",
        "loss": f"{100 * loss:g} %",
        "jitter": f"{jitter_ms:g} ms",
    }
    _set(
        lane,
        Conditions(
            loss=loss,
            delay_s=DELAY_S,
            jitter_s=jitter_ms / 1000,
            rate_bps=rate_bps,
            queue_bytes=QUEUE_BYTES,
        ),
    )
    pair.viewer.wait_for_timeout(3000)
    before = _repairs(pair)
    try:
        # Frames that never come, and smaller ones, are what is measured here: no reason to refuse.
        seen = pair.observe(seconds)
        found = figures(seen, None, dropped_max=1.0)
    except MeasurementRefused as refused:
        return {**row, "refused": str(refused)}
    after = _repairs(pair)
    glass_ms, freezes = found["glass_ms"], found["freezes"]
    assert isinstance(glass_ms, dict)
    assert isinstance(freezes, int)
    return {
        **row,
        "picture": f"{seen.size[1]}p",
        "glass_p50_ms": glass_ms["p50"],
        "glass_p95_ms": glass_ms["p95"],
        "fps": found["fps"],
        "freezes": round(freezes * PER_S / seconds, 1),
        **{name: after[name] - before[name] for name in after},
    }


def _set(lane: Lane, down: Conditions) -> None:
    """Change the viewer's network; the host's stays as good as it is."""
    up = Conditions(loss=down.loss, delay_s=down.delay_s, jitter_s=down.jitter_s)
    lane.set(up=up, down=down)


def _repairs(pair: Pair) -> dict[str, int]:
    counted: dict[str, int] = pair.viewer.evaluate(
        """async () => {
          let found = {};
          (await window.mediasrv.pc.getStats()).forEach((r) => {
            if (r.type === "inbound-rtp" && r.kind === "video") found = r;
          });
          const names = { nacks: "nackCount", plis: "pliCount", lost: "packetsLost",
            repaired: "retransmittedPacketsReceived" };
          return Object.fromEntries(
            Object.entries(names).map(([name, key]) => [name, found[key] ?? 0]));
        }"""
    )
    return counted


def _line(row: Row) -> str:
    begin = f"{row['rate']:>10} {row['loss']:>6} {row['jitter']:>7} "
    if "refused" in row:
        return f"{begin}refused: {row['refused']}"
    delays = f"{row['glass_p50_ms']:.0f}/{row['glass_p95_ms']:.0f}"
    return f"{begin}{delays:>16} {row['fps']:>6} {row['freezes']:>8}"
