"""How figures and their names are said to people."""

from typing import Any

UNITS = {
    "_ms": "ms",
    "_us": "µs",
    "_s": "s",
    "_kib": "KiB",
    "_mib": "MiB",
    "_bps": "b/s",
    "_kbps": "kb/s",
    "_db": "dB",
    "_us_per_packet": "µs a packet",
}
# Words of our JSON that readers would not use.
PLAIN = {
    "cpu": "CPU time",
    "fps": "frames per second",
    "nacks": "NACKs",
    "plis": "keyframe requests",
    "psnr": "PSNR",
    "rss": "memory",
    "ssim": "SSIM",
    "vs": "against",
}
UNKNOWN = "?"
MINUS = "\N{MINUS SIGN}"


def heading(name: str) -> str:
    """Say a figure's name in words, its unit behind it: ``glass_ms p50`` is ``glass p50 (ms)``."""
    figure, _, part = name.partition(" ")
    unit = max((end for end in UNITS if figure.endswith(end)), key=len, default="")
    spoken = f"{figure.removesuffix(unit)} {part}".replace("_", " ").split()
    said = " ".join(PLAIN.get(word, word) for word in spoken)
    return f"{said} ({UNITS[unit]})" if unit else said


def shown(value: Any) -> str:
    """Say a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return figure(value) if isinstance(value, float) else str(value)


def figure(value: float | None) -> str:
    """Say a number with as many digits as anybody needs: a count in full, a measured value not."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    if size >= 100 or isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"


def exactly(value: float | None) -> str:
    """Say a number that was chosen, not measured: a limit, a tick of an axis."""
    return UNKNOWN if value is None else f"{value:,.10g}"


def signed(value: float | None) -> str:
    """Say a difference."""
    return UNKNOWN if value is None else f"{'+' if value >= 0 else MINUS}{figure(abs(value))}"


def percent(share: float | None) -> str:
    """Say a share of one."""
    return UNKNOWN if share is None else f"{figure(round(100 * share, 2))} %"


def signed_percent(share: float | None) -> str:
    """Say by which share something differs."""
    return UNKNOWN if share is None else f"{signed(round(100 * share, 2))} %"


def mebibytes(kib: float | None) -> str:
    """Say an amount of memory that was measured in KiB."""
    return UNKNOWN if kib is None else f"{kib / 1024:,.1f}"


def counted(count: int, what: str) -> str:
    """Say how many, in the plural when it is not one."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def span(values: list[float], unit: str = "") -> str:
    """Say from where to where values go."""
    if not values:
        return UNKNOWN
    low, high = figure(min(values)), figure(max(values))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
