"""The fence in the types: what is derived from a face cannot be stored, copied or printed.

Facial data lives in the memory of the process that looks at the picture and nowhere else. Whoever
writes it to a log, a message or a file by accident gets a ``TypeError`` or the word "redacted".
"""

from typing import Any, NoReturn, SupportsIndex

import numpy as np


def _refuse(what: str) -> NoReturn:
    raise TypeError(f"facial data stays in this process: {what} is refused")


class FacialData:
    """Base of every object that holds something derived from a face.

    Subclasses declare ``__slots__``, so there is no ``__dict__`` for ``vars``. Everything that
    serialises, copies or iterates in Python asks one of the methods below.
    """

    __slots__ = ()
    __iter__: None = None
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        _refuse("pickling")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        _refuse("pickling")

    def __getstate__(self) -> NoReturn:
        _refuse("taking its state")

    def __setstate__(self, state: object) -> NoReturn:
        _refuse("restoring it")

    def __copy__(self) -> NoReturn:
        _refuse("copying")

    def __deepcopy__(self, memo: object) -> NoReturn:
        _refuse("copying")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        _refuse("turning it into an array")


class FacialArray(np.ndarray[Any, Any]):
    """Numbers derived from a face: computes like any array, but neither prints nor pickles.

    Results of arithmetic and views stay of this type, so an intermediate value in a traceback
    that shows local variables is redacted too.
    """

    def __repr__(self) -> str:
        return "<FacialArray redacted>"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        _refuse("pickling")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        _refuse("pickling")

    def __copy__(self) -> NoReturn:
        _refuse("copying")

    def __deepcopy__(self, memo: object) -> NoReturn:
        _refuse("copying")

    def tofile(self, *_: object, **__: object) -> NoReturn:
        """Refuse: facial data is never written."""
        _refuse("writing it to a file")

    def dump(self, *_: object, **__: object) -> NoReturn:
        """Refuse: facial data is never written."""
        _refuse("pickling")

    def dumps(self, *_: object, **__: object) -> NoReturn:
        """Refuse: facial data is never written."""
        _refuse("pickling")
