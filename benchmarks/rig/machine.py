"""What a figure was measured on: machine, versions, time, commit."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Return what a reader needs to judge a figure, ready for JSON."""
    packages = ("aiortc", "av", "mediapipe", "numpy", "pylibsrtp", "uvloop")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {platform.python_version()}",
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "commit": _commit(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_average": os.getloadavg()[0],
    }


def say_machine(machine: dict[str, object]) -> str:
    """Say in two lines what a figure was measured on."""
    packages = machine["packages"]
    assert isinstance(packages, dict)
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, {machine['python']}, "
        f"load {machine['load_average']:.2f}\n"
        f"commit {machine['commit']}; {versions}"
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown CPU"


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 (git as the PATH has it)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` (0..1) of ``values`` lie, by linear interpolation."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (position - lower)
