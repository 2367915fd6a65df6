"""When a figure may not be told."""


class MeasurementRefused(Exception):
    """A check of the measurement itself failed: the figure would not be what it says it is."""
