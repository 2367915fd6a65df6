"""Small results of every benchmark, in the shape in which they are written."""

MACHINE = {
    "cpu": "<b>odd</b> & fast",
    "cores": 2,
    "system": "Linux 6",
    "commit": "abc1234",
    "at": "2026-01-02T03:04:05Z",
    "load_average": 0.1,
    "packages": {"av": "1"},
}


def result(benchmark, **rest):
    return {"benchmark": benchmark, "machine": MACHINE, **rest}


def spread(p50):
    return {"p50": p50, "p95": 2 * p50, "p99": 3 * p50}


def glass_row(preset, codec="vp8", size="720p", path="chromium", p50=26.0):
    return {
        "path": path,
        "preset": preset,
        "codec": codec,
        "size": size,
        "glass_ms": spread(p50),
        "jitter_ms": 5.0,
        "fps": 29.0,
        "freezes": 0,
        "longest_gap_ms": 80.0,
        "cores": {"server": 0.1, "host browser": 0.5},
        "browsers_cpu_share": 0.9,
        "samples_ms": [p50 - 1, p50, p50 + 9],
    }


GLASS = result(
    "glass",
    method="time code",
    limits={"p50_ms": {"off": 90.0, "natural": 30.0}},
    runs=[
        glass_row("off"),
        glass_row("natural", p50=40.0),
        {**glass_row("glam"), "refused": "12 % of the pictures never reached the screen (<i>)"},
        {**glass_row("soft"), "refused": "21 % of the pictures never reached the screen (99)"},
    ],
    repeats=[
        {"runs": [glass_row("off", p50=p50), glass_row("natural", p50=40.0)]}
        for p50 in (25.0, 26.0, 28.0)
    ],
)
MATRIX = result(
    "glass",
    runs=[
        glass_row(preset, codec, size)
        for preset in ("off", "none", "natural", "fresh", "soft", "glam", "studio")
        for codec in ("vp8", "h264")
        for size in ("360p", "720p", "1080p")
    ],
)
STAGES = result(
    "stages",
    limits={"apart": 0.1},
    runs=[
        {
            "preset": "off",
            "codec": "vp8",
            "size": "720p",
            "waterfall": {"host": 17.0, "network": -0.2, "viewer paint": 9.0},
            "stages": {"host": {"mean": 17.0, **spread(17.0)}, "network": {"mean": 1.0}},
            "server_ms": spread(0.4),
            "sum_of_medians_ms": 26.0,
            "apart_traced": 0.01,
            "glass_traced_ms": 26.3,
            "glass_untraced_ms": 26.1,
        },
        {"preset": "natural", "codec": "vp8", "size": "720p", "refused": "no frames"},
    ],
    plants=[
        {
            "stage": stage,
            "planted_ms": 20.0,
            "in_stage_ms": 20.1,
            "in_total_ms": total,
            "tolerance_ms": 2.0,
        }
        for stage, total in (("unprotect", 21.5), ("back", 25.0))
    ],
)
CROWD = result(
    "stages",
    crowd=[
        {
            "viewers": 50,
            "limit_p50_ms": 1.0,
            **{f"{which}_datagram_ms": spread(1.3) for which in ("each", "last", "first")},
            "stages": {"unprotect": {"mean": 0.1, **spread(0.1)}},
        }
    ],
)


def fanout_row(viewers, share, server="mediasrv"):
    return {
        "server": server,
        "viewers": viewers,
        "cpu_us_per_packet": 1 + viewers / 100,
        "server_core_share": share,
        "viewers_per_core": 700,
        "rss_per_viewer_kib": 70.0,
        "loss": 0.0,
        "arrival_ms": {"last": spread(viewers / 100)},
    }


FANOUT = result(
    "fanout",
    stream={"tempo": 1.0},
    runs=[
        fanout_row(10, 0.05),
        fanout_row(100, 0.5),
        {"server": "mediasrv", "viewers": 400, "refused": "the load used 96 % of its core"},
    ],
    vs={"janus": [{**fanout_row(100, 0.9, "janus"), "ratio": 0.47}]},
)
TEMPO = result("fanout", stream={"tempo": 0.2}, runs=[fanout_row(1000, 0.97)])
NETWORK = result(
    "network",
    rows=[
        {"network": name, "fps": 28.0, "freezes": freezes, "longest_ms": 90.0, "recovered_ms": back}
        for name, freezes, back in (
            ("clean", 0.0, None),
            ("loss 5 %", 1.5, None),
            ("blackout 5 s", 1.0, 1100.0),
        )
    ],
)
GRID = result(
    "network",
    grid=[
        {"rate": rate, "loss": loss, "jitter": jitter, "glass_p50_ms": 40.0, "freezes": 0.0}
        for rate in ("none", "1 Mb/s")
        for loss in ("0 %", "5 %")
        for jitter in ("0 ms", "20 ms")
    ]
    + [{"rate": "1 Mb/s", "loss": "9 %", "jitter": "0 ms", "refused": "only 3 pictures"}],
)
ARRIVALS = {
    "viewers": 200,
    "saw_a_frame": 200,
    "wait_ms": {**spread(18.0), "max": 49.0},
    "steps_ms": {"ice": {**spread(1.0), "max": 5.0}, "whole frame": spread(3.0)},
    "keyframe_requests": 5,
}
JOIN = result(
    "join",
    first_frame_ms=spread(79.0),
    from_navigation_ms=spread(400.0),
    phases=[{"phase": "ice", **spread(20.0)}, {"phase": "first frame", **spread(12.0)}],
    joins_ms=[70.0, 79.0, 101.0],
    limit_p95_ms=300.0,
    at_once=[ARRIVALS],
)
RUSH = result("rush", limits={"wait_ms": 1000.0, "keyframe_requests": 4}, runs=[ARRIVALS])
NARROW = result(
    "narrow",
    limits={"change": 0.05},
    change=-0.02,
    runs={
        "wide": [{"p50_ms": 1.5, "p95_ms": 2.0, "lost": 0, "guest_kbps": 1600.0}],
        "narrow": [{"p50_ms": 1.4, "p95_ms": 2.1, "lost": 0, "guest_kbps": 203.0}],
    },
)
STALLED = result(
    "stalled",
    limits={"growth_kib": 2048, "loss": 0},
    runs=[
        {
            "stalled": 20,
            "others": 20,
            "rss_before_kib": 148600,
            "rss_most_kib": 148608,
            "rss_after_kib": 148608,
            "rss_kib": [148600, 148604, 148608],
            "others_packets": 100,
            "others_lost": 0,
        }
    ],
)
FILTERED = result(
    "filtered",
    life={"warm_start_ms": 32.0, "end_ms": 10.0},
    rooms=[
        {
            "codec": "vp8",
            "rooms": rooms,
            "fps": 30.0,
            "frames_missing": 0.0014,
            "latency_p50_ms": 11.7,
            "latency_p95_ms": 17.0,
            "cpu_ms_per_frame": 11.0,
        }
        for rooms in (1, 3)
    ],
    quality=[{"encoder": "ours", "codec": "vp8", "psnr_db": 45.7, "ssim": 0.9873}],
)
FILTERS = result(
    "filters",
    timings=[
        {
            "preset": preset,
            "size": "720p",
            "faces": 1,
            "p50_ms": 3.1,
            "p95_ms": 7.0,
            "stages": {"landmarks": 0.5, "low_light": 0.6},
        }
        for preset in ("natural", "all")
    ],
    quality=[
        {"metric": "time_natural_p50_ms", "value": 3.1, "limit": "<= 4.5", "passed": True},
        {"metric": "time_all_p50_ms", "value": 14.5, "limit": "<= 12", "passed": False},
    ],
)
SOAK = result(
    "soak",
    slopes=[
        {
            "what": "rss_kib",
            "first": 147456.0,
            "last": 149504.0,
            "per_minute": 1024.0,
            "allowed": 512.0,
            "kept": False,
        },
        {"what": "threads", "first": 6.0, "last": 6.0, "per_minute": 0.0, "kept": True},
    ],
    joins=191,
    failed_joins=0,
    toggles=42,
    exceptions=[],
    samples={
        "rss_kib": [[0.0, 147456.0], [1.0, 148480.0], [2.0, 149504.0]],
        "threads": [[0.0, 6.0], [1.0, 6.0], [2.0, 6.0]],
    },
)
TRACING = result(
    "tracing",
    runs=[
        {"mode": "without hooks", "cpu_us_per_packet": 1.95, "more": 0.0, "rounds": 500},
        {"mode": "off", "cpu_us_per_packet": 1.96, "more": 0.001, "rounds": 500},
    ],
)
TRIAL = result("trial", runs=[{"times": 10, "slower_percent": 20.0, "quiet": 10, "found": 9}])
INTERRUPTIONS = result(
    "interruptions", undisturbed_ms=50.0, toggles_ms=[80.0, 100.0], kills_ms=[900.0]
)
WATCH = result("watch", rows=[{"viewers": 1, "filter": "on", "fps_lowest": 29.0, "lost": 0}])
VIEWERS = result("viewers", viewers=30, lost=0, server_cpu_us_per_packet=12.5)
SUITE = result(
    "suite",
    outcomes=[
        {"name": "glass", "outcome": "measured", "took_s": 60.0, "command": "glass", "why": ""},
        {"name": "rush", "outcome": "refused", "took_s": 3.0, "why": "<too> busy"},
    ],
)
ALL = (
    *(GLASS, MATRIX, STAGES, CROWD, FANOUT, TEMPO, NETWORK, GRID, JOIN, RUSH, NARROW, STALLED),
    *(FILTERED, FILTERS, SOAK, TRACING, TRIAL, INTERRUPTIONS, WATCH, VIEWERS, SUITE),
)
