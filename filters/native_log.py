"""Keeps the native libraries' start-up chatter off the terminal, without losing their errors.

TensorFlow Lite and absl write to file descriptor 2 directly and this wheel's build listens to no
environment variable, so the descriptor itself is borrowed for the moment in which they talk.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# What they say on every start that goes well; anything else is passed on.
KNOWN_CHATTER = (
    b"INFO: Created TensorFlow Lite XNNPACK delegate",
    b"WARNING: All log messages before absl::InitializeLog()",
    b"inference_feedback_manager.cc",
    b"landmark_projection_calculator.cc",
)
STDERR = 2
CAPTURE_LIMIT_BYTES = 1 << 16


@contextmanager
def without_known_chatter() -> Iterator[None]:
    """Hold back what is written to standard error in the block; afterwards pass on the unknown.

    Other threads' lines are held back too, and come out unchanged at the end. Nothing is written
    anywhere: the text waits in a pipe of 64 KiB, and what does not fit is dropped. A process that
    is killed by a signal inside the block takes the held text with it, so keep the block short.
    """
    try:
        original = os.dup(STDERR)
    except OSError:  # no standard error at all: nothing to keep clean
        yield
        return
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)  # a full pipe must not stop the library that talks
        os.set_blocking(reader, False)
        os.dup2(writer, STDERR)
        try:
            yield
        finally:
            os.dup2(original, STDERR)
            _pass_on(reader)
    finally:
        for descriptor in (reader, writer, original):
            os.close(descriptor)


def _pass_on(reader: int) -> None:
    try:
        held = os.read(reader, CAPTURE_LIMIT_BYTES)
    except BlockingIOError:
        return
    lines = held.splitlines(keepends=True)
    unknown = b"".join(line for line in lines if not any(part in line for part in KNOWN_CHATTER))
    if unknown:
        os.write(STDERR, unknown)
