"""The currency of all filters: one I420 image as three numpy planes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from filters.errors import ImageContractError

Plane = npt.NDArray[np.uint8]

BLACK_Y = 16
NEUTRAL_CHROMA = 128


@dataclass(slots=True)
class YuvImage:
    """One picture in I420: full-size luma, chroma at half size rounded up.

    The planes are referenced, never copied; filters write into them in place. They may be views
    with any strides (a decoder's padded rows, a crop, a mirrored picture).

    Attributes:
        y: Luma, shape (H, W), uint8, video range (16 black, 235 white).
        u: Blue difference (Cb), shape (ceil(H/2), ceil(W/2)), uint8, 128 is neutral.
        v: Red difference (Cr), same shape as ``u``.

    Raises:
        ImageContractError: A plane has another type, number of dimensions or shape.
    """

    y: Plane
    u: Plane
    v: Plane

    def __post_init__(self) -> None:
        for name, plane in (("y", self.y), ("u", self.u), ("v", self.v)):
            _check_plane(name, plane)
        expected = chroma_shape(self.y.shape[0], self.y.shape[1])
        for name, plane in (("u", self.u), ("v", self.v)):
            if plane.shape != expected:
                raise ImageContractError(
                    f"plane {name} is {plane.shape}; luma {self.y.shape} asks for {expected}"
                )

    @classmethod
    def blank(cls, width_px: int, height_px: int) -> Self:
        """Make a black picture that owns its planes.

        Raises:
            ImageContractError: A side is less than one pixel.
        """
        if width_px < 1 or height_px < 1:
            raise ImageContractError(f"a picture of {width_px}x{height_px} px holds no pixel")
        shape = chroma_shape(height_px, width_px)
        return cls(
            np.full((height_px, width_px), BLACK_Y, np.uint8),
            np.full(shape, NEUTRAL_CHROMA, np.uint8),
            np.full(shape, NEUTRAL_CHROMA, np.uint8),
        )

    @property
    def width_px(self) -> int:
        """Columns of the luma plane."""
        return self.y.shape[1]

    @property
    def height_px(self) -> int:
        """Rows of the luma plane."""
        return self.y.shape[0]

    @property
    def is_writable(self) -> bool:
        """Whether a filter may write into all three planes."""
        return all(plane.flags.writeable for plane in (self.y, self.u, self.v))

    def copy(self) -> Self:
        """Copy the picture into contiguous planes of its own."""
        return type(self)(self.y.copy("C"), self.u.copy("C"), self.v.copy("C"))


def chroma_shape(height_px: int, width_px: int) -> tuple[int, int]:
    """Shape of the chroma planes that belong to luma of this size."""
    return (height_px + 1) // 2, (width_px + 1) // 2


def _check_plane(name: str, plane: object) -> None:
    if not isinstance(plane, np.ndarray):
        raise ImageContractError(f"plane {name} is a {type(plane).__name__}, not a numpy array")
    if plane.dtype != np.uint8:
        raise ImageContractError(f"plane {name} is {plane.dtype}, not uint8")
    if plane.ndim != 2:
        raise ImageContractError(f"plane {name} has {plane.ndim} dimensions, not 2")
    if plane.size == 0:
        raise ImageContractError(f"plane {name} is {plane.shape} and holds no pixel")
