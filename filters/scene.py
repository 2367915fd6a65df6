"""Notices when a stream shows another scene: a cut, another camera, another size."""

import numpy as np
import numpy.typing as npt

from filters.image import YuvImage

Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

# A sparse sample of luma is enough: a cut changes most of the picture.
ROWS, COLUMNS = 12, 20
# Mean change in code values. From picture to picture within our test clips it stays below 6,
# fast moves included; from one clip to another it is above 30.
CUT_LEVEL = 20.0


class SceneWatch:
    """Compares each picture with the one before."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._sample: npt.NDArray[np.int16] | None = None
        self._places: Places = _places(1, 1)

    def has_changed(self, image: YuvImage) -> bool:
        """Whether this picture shows another scene than the one before; the first does not."""
        size = (image.width_px, image.height_px)
        if size != self._size:
            self._places = _places(*size)
        sample: npt.NDArray[np.int16] = image.y[self._places].astype(np.int16)
        before, self._sample = self._sample, sample
        resized = self._size is not None and self._size != size
        self._size = size
        if before is None:
            return False
        return resized or float(np.abs(sample - before).mean()) > CUT_LEVEL


def _places(width_px: int, height_px: int) -> Places:
    """Index of the pixels at the centres of a grid of ROWS x COLUMNS."""
    rows = (np.arange(ROWS) * 2 + 1) * height_px // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width_px // (2 * COLUMNS)
    return rows[:, None], columns
