"""``python -m benchmarks report FILE.json ... --html OUT.html``: one page that needs nothing else.

Figures and plots only: no script, no request to anywhere. Several files of one benchmark become one
section. ``--screenshot`` takes a picture of the page with Chromium.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reporting.page import page
from benchmarks.reporting.reading import Source

SCREENSHOT_WIDTH_PX = 1280


def main(arguments: list[str] | None = None) -> int:
    """Write the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json")
    parser.add_argument("--html", type=Path, required=True, metavar="OUT.html")
    parser.add_argument("--screenshot", type=Path, metavar="OUT.png", help="of the whole page")
    parser.add_argument(
        "--width",
        type=int,
        default=SCREENSHOT_WIDTH_PX,
        help=f"of the screenshot, px ({SCREENSHOT_WIDTH_PX}); 390 is a phone",
    )
    options = parser.parse_args(arguments)
    try:
        write(options.files, options.html)
    except (OSError, ValueError, RecursionError) as exc:
        print(f"cannot read: {exc}", file=sys.stderr)
        return 2
    print(f"wrote {options.html}")
    if options.screenshot is not None:
        take_screenshot(options.html, options.screenshot, options.width)
        print(f"wrote {options.screenshot}")
    return 0


def write(files: Sequence[Path], html: Path) -> None:
    """Write the page of these files.

    Raises:
        OSError: A file cannot be read, or the page not be written.
        ValueError: A file does not hold a benchmark's result.
    """
    stems = [path.stem for path in files]
    sources = [
        Source(stem if stems.count(stem) == 1 else f"{path.parent.name}/{stem}", _read(path))
        for stem, path in zip(stems, files, strict=True)
    ]
    # Names may hold what no encoding has (half of a surrogate pair).
    html.write_text(page(sources), encoding="utf-8", errors="replace")


def take_screenshot(html: Path, png: Path, width_px: int) -> None:
    """Draw the whole page in Chromium; the scripts and requests that it has not are forbidden."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only this needs a browser)

    from benchmarks.rig.browsers import CHROMIUM  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(
            viewport={"width": width_px, "height": 900}, java_script_enabled=False
        )
        view = context.new_page()
        view.goto(html.resolve().as_uri())
        view.screenshot(path=png, full_page=True)
        browser.close()


def _read(path: Path) -> dict[str, object]:
    result = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(result, dict):
        raise ValueError(f"{path} holds no result of a benchmark")
    return result
