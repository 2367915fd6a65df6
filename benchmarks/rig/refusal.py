"""When a figure may not be told."""


class MeasurementRefused(Exception):
    """A check of the measurement itself failed: the figure would not be what it says it is."""


# Cameras give 30 frames per second.
HOST_FPS_MIN = 24.0


def require_host_rate(fps: float) -> None:
    """Refuse what viewers saw when the host's browser was the bottleneck.

    Args:
        fps: What the host encoded.

    Raises:
        MeasurementRefused: It is too little.
    """
    if fps < HOST_FPS_MIN:
        raise MeasurementRefused(
            f"the host's browser sent {fps:.1f} frames per second, of 30: the machine is too busy"
        )
