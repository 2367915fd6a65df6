"""What can go wrong in filters, by who must act on it."""


class FilterError(Exception):
    """A filter could not do its work; the text is one line for the person who reads it."""


class ImageContractError(FilterError):
    """The caller handed over planes that break the contract of :class:`filters.image.YuvImage`."""


class ModelMissing(FilterError):
    """The face model cannot be loaded; whoever installed the program must act."""


class ParameterError(FilterError):
    """A filter parameter is unknown or out of range; the text is meant for its sender."""
