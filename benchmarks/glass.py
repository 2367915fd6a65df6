"""Glass to glass: from the moment a camera hands a picture over until a viewer's browser shows it.

Every picture carries the time at which it was captured, drawn as blocks with a checksum; the
viewer's page reads it from the decoded picture in requestVideoFrameCallback and takes the time at
which the picture is composited. Both clocks are one machine's, proven to agree or the row is
refused. ``chromium`` goes from Chromium through the server to Chromium, ``direct`` from Chromium
to Chromium without it (what is the browsers' own), ``python`` through the server without browsers.

The host sends no sound unless ``--sound`` says so: with it, Chromium holds pictures back until they
are in step with what waits in the sound's own buffer, and moves there over half a minute.
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.latency import python_path
from benchmarks.latency.chromium import (
    BITRATES_BPS,
    Setting,
    launch,
    straight,
    through_server,
)
from benchmarks.latency.clocks import require_fine_clock
from benchmarks.latency.feed import SIZES, Clip, open_clip, serving
from benchmarks.latency.sightings import Observation, figures
from benchmarks.latency.usage import browsers_share
from benchmarks.rig.lists import name_list
from benchmarks.rig.live_server import running_server
from benchmarks.rig.refusal import MeasurementRefused
from filters.presets import PRESETS
from mediasrv.client import Encoding
from mediasrv.media import Codec

# Shorter windows stand or fall with what neighbours did meanwhile: five of 10 s were 20 % apart.
SECONDS = 20.0
OFF = "off"
PATHS = ("chromium", "direct", "python")
METHOD = (
    "a time code drawn into every picture as the camera hands it over, read from the decoded "
    "picture in requestVideoFrameCallback (or from the Python viewer's decoder); CLOCK_MONOTONIC "
    "at both ends"
)
# At 720p, through the server, in browsers.
LIMITS_MS = {OFF: 90.0, "natural": 115.0}

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Case:
    """One row: which way, with which filter, codec and size."""

    path: str
    preset: str
    codec: Codec
    size: str
    sound: bool = False

    def labels(self) -> Row:
        """What tells this row from the others."""
        return {
            "path": self.path,
            "preset": self.preset,
            "codec": self.codec.value,
            "size": self.size,
            "sound": self.sound,
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this benchmark understands."""
    parser.add_argument("--paths", type=name_list(PATHS), default=["direct", "chromium", "python"])
    parser.add_argument(
        "--presets", type=name_list((OFF, *PRESETS)), default=[OFF, "natural"], help="or all"
    )
    parser.add_argument("--codecs", type=name_list(Codec), default=["vp8"], help="or all")
    parser.add_argument("--sizes", type=name_list(SIZES), default=["720p"], help="or all")
    parser.add_argument("--sound", action="store_true", help="the host has a microphone as well")
    parser.add_argument("--clip", type=Path, help="what the camera shows; default: a drawn scene")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure, print a table, return it."""
    require_fine_clock()
    cases = [
        Case(path, preset, Codec(codec), size, options.sound and path != "python")
        for size in options.sizes
        for codec in options.codecs
        for preset in options.presets
        for path in options.paths
        if not (path == "direct" and preset != OFF)
    ]
    print(HEAD)
    runs: list[Row] = []
    with stage(options.sizes, options.clip) as theatre:
        for case in cases:
            row = case.labels()
            try:
                seen = theatre.observe(case, options.seconds)
                row |= figures(seen, SIZES[case.size])
                row["browsers_cpu_share"] = round(browsers_share(seen.cores), 2)
            except MeasurementRefused as refused:
                row["refused"] = str(refused)
            runs.append(row)
            print(line(row), flush=True)
    _print_shares(runs)
    limits = {"p50_ms": LIMITS_MS}
    return {"seconds": options.seconds, "limits": limits, "runs": runs}


class Theatre:
    """Two browsers and the clips, for as many rows as wanted."""

    def __init__(self, hosts: Browser, viewers: Browser, clips: dict[str, Clip], url: str) -> None:
        self.hosts, self.viewers = hosts, viewers
        self.clips = clips
        self.clip_url = url

    def setting(self, case: Case) -> Setting:
        """What the pages need to know of a case."""
        return Setting(SIZES[case.size], case.codec, f"{self.clip_url}/{case.size}", case.sound)

    def observe(self, case: Case, seconds: float) -> Observation:
        """Watch one case for some time.

        Raises:
            MeasurementRefused: A check failed.
        """
        if case.path == "direct":
            with straight(self.hosts, self.viewers, self.clip_url, self.setting(case)) as pair:
                return pair.observe(seconds)
        filtered = case.preset != OFF
        parameters = PRESETS[case.preset].as_dict() if filtered else None
        settings = {"starting_parameters": parameters} if filtered else {}
        # A spare worker that warms up takes a core for seconds, and is no part of the way.
        with running_server(filter_spares=0, **settings) as server:
            if case.path == "python":
                bitrate_bps = BITRATES_BPS[SIZES[case.size]]
                hosting = python_path.Hosting(
                    server.url,
                    self.clips[case.size],
                    Encoding(case.codec, bitrate_bps),
                    parameters,
                )
                return python_path.observe(hosting, seconds)
            with through_server(
                self.hosts, self.viewers, server, self.setting(case), filtered=filtered
            ) as pair:
                return pair.observe(seconds)


@contextmanager
def stage(sizes: list[str], clip: Path | None) -> Iterator[Theatre]:
    """Open the clips and two browsers."""
    clips = {size: open_clip(SIZES[size], clip) for size in sizes}
    with ExitStack() as stack:
        url = stack.enter_context(serving(clips))
        playwright = stack.enter_context(sync_playwright())
        hosts, viewers = launch(playwright), launch(playwright)
        stack.callback(viewers.close)
        stack.callback(hosts.close)
        yield Theatre(hosts, viewers, clips, url)


HEAD = (
    f"{'path':9} {'preset':8} {'codec':5} {'size':5} {'glass p50/p95/p99 ms':>21} {'jitter':>7} "
    f"{'fps':>5} {'freezes':>7} {'unread':>6} {'cores':>5} {'browsers':>8}"
)


def line(row: Row) -> str:
    """Say a row in one line."""
    begin = f"{row['path']:9} {row['preset']:8} {row['codec']:5} {row['size']:5} "
    if "refused" in row:
        return f"{begin}refused: {row['refused']}"
    glass_ms = row["glass_ms"]
    assert isinstance(glass_ms, dict)
    delays = "/".join(f"{ms:.1f}" for ms in glass_ms.values())
    return (
        f"{begin}{delays:>21} {row['jitter_ms']:>7} {row['fps']:>5} {row['freezes']:>7} "
        f"{row['unread']:>6} {_cpu(row)}"
    )


def _cpu(row: Row) -> str:
    """How many cores were used in all, and which part of that was the browsers'."""
    cores = row["cores"]
    if not isinstance(cores, dict) or not cores:
        return ""
    return f"{sum(cores.values()):5.2f} {100 * float(str(row['browsers_cpu_share'])):6.0f} %"


def _print_shares(runs: list[Row]) -> None:
    """Say how much of the delay is the browsers' own, and how the limits stand."""
    p50 = {
        (r["path"], r["preset"], r["codec"], r["size"]): r["glass_ms"]["p50"]  # type: ignore[index]
        for r in runs
        if "glass_ms" in r
    }
    for (path, preset, codec, size), ms in p50.items():
        direct_ms = p50.get(("direct", OFF, codec, size))
        if path != "chromium":
            continue
        if direct_ms is not None:
            print(
                f"{codec} {size} {preset}: {direct_ms:.1f} of {ms:.1f} ms are the browsers' own"
                f" ({100 * direct_ms / ms:.0f} %), the server adds {ms - direct_ms:.1f} ms"
            )
        limit_ms = LIMITS_MS.get(str(preset))
        if limit_ms is not None and size == "720p":
            verdict = "kept" if ms <= limit_ms else "BROKEN"
            print(f"{codec} {size} {preset}: limit {limit_ms:.0f} ms, {verdict}")
