"""Makes the pictures of ``filters/README.md``: ``python -m benchmarks.beauty.pictures``.

One sheet per group of parameters: scikit-image's astronaut (NASA, public domain) as she is, and
under each parameter at its end.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from benchmarks.beauty.measure import filtered
from benchmarks.beauty.quality import image_of_rgb
from benchmarks.beauty.scenes import Rgb, astronaut, rgb_of
from filters.looks import LOOKS
from filters.parameters import MINIMA, NAMES, SHADES, Parameters
from filters.presets import PRESETS
from filters.stages import default_stages
from mediasrv.processing.face_pipeline import open_detector, open_segmenter

TARGET = Path(__file__).resolve().parents[2] / "filters" / "pictures"
# Enlarged, for what filters do is in the detail.
SCALE = 2
FACE = (slice(110, 390), slice(310, 590))
TILE_PX, LABEL_PX, COLUMNS = 200, 22, 5
QUALITY = 82


def main() -> None:
    """Write all sheets."""
    TARGET.mkdir(exist_ok=True)
    groups: dict[str, dict[str, Parameters]] = {"presets": dict(PRESETS)}
    properties = Parameters.json_schema()["properties"]
    for name in NAMES:
        if name in SHADES or name in ("look_amount", "low_light", "background_replace"):
            continue
        sheet = groups.setdefault(properties[name]["group"], {"before": Parameters()})
        sheet[f"{name} 100"] = Parameters(**{name: 100})
        if MINIMA[name] < 0:
            sheet[f"{name} -100"] = Parameters(**{name: -100})
    places = {name: round((n + 0.5) * 100 / len(LOOKS)) for n, name in enumerate(LOOKS)}
    groups["looks"] = {"before": Parameters()} | {
        name: Parameters(look_amount=100, look=place) for name, place in places.items()
    }
    groups["background"] |= {
        f"replace, colour {place}": Parameters(background_replace=100, background_shade=place)
        for place in (0, 60, 80)
    }
    for name, sheet in groups.items():
        _write(TARGET / f"{name}.webp", sheet)


def _write(path: Path, sheet: Mapping[str, Parameters]) -> None:
    size = (astronaut().shape[1] * SCALE, astronaut().shape[0] * SCALE)
    large = cv2.resize(astronaut(), size, interpolation=cv2.INTER_CUBIC)
    image = image_of_rgb(np.asarray(large, np.uint8))
    detector, segmenter = open_detector(1), open_segmenter()
    tiles = [
        _tile(rgb_of(filtered(image, parameters, detector, default_stages(segmenter))), name)
        for name, parameters in sheet.items()
    ]
    detector.close()
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[n : n + COLUMNS]) for n in range(0, len(tiles), COLUMNS)]
    bgr = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes())


def _tile(rgb: Rgb, name: str) -> Rgb:
    face = cv2.resize(rgb[FACE], (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    labelled = np.pad(
        np.asarray(face, np.uint8), ((LABEL_PX, 0), (0, 0), (0, 0)), constant_values=255
    )
    place, ink = (4, LABEL_PX - 7), (20, 20, 20)
    cv2.putText(labelled, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    return labelled


if __name__ == "__main__":
    main()
