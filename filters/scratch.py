"""Working memory that a stage keeps between pictures, so that none is allocated per picture."""

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


class Scratch:
    """Named buffers that grow to the largest shape asked for and are handed out again and again.

    Not thread-safe: one owner, one picture at a time.
    """

    __slots__ = ("_flat",)

    def __init__(self) -> None:
        self._flat: dict[str, npt.NDArray[np.generic]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: type[Scalar]) -> npt.NDArray[Scalar]:
        """Hand out the buffer ``name`` as a contiguous array of this shape and type.

        Its contents are whatever the last user left. The array is valid until the same name is
        taken again.
        """
        wanted = math.prod(shape)
        flat = self._flat.get(name)
        if flat is None or flat.size < wanted or flat.dtype != dtype:
            flat = np.empty(wanted, dtype)
            self._flat[name] = flat
        return flat[:wanted].reshape(shape)  # type: ignore[return-value]
