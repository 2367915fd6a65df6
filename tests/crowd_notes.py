"""Recordings as a crowd of light viewers writes them, made by hand."""

import struct

from benchmarks.load.recording import Recording

VIDEO, AUDIO = 96, 111
STEP = 3000
FRAME_NS = 33_333_333
BEGAN_NS = 1_700_000_000_000_000_000


class Notes:
    """Writes a recording as the crowd's loop does."""

    def __init__(self):
        self.recording = Recording()

    def train(
        self, viewer, at_ns, sequences, *, ticks=0, kind=VIDEO, ssrc=1, segment=1000, tail=1000
    ):
        size = segment * (len(sequences) - 1) + tail
        header = struct.pack("!BBHII", 0x80, kind, sequences[0], ticks & 0xFFFFFFFF, ssrc)
        stamp = struct.pack("<qq", *divmod(at_ns, 1_000_000_000))
        # A single datagram has its own size as segment size.
        row = struct.pack("<III", viewer, size, segment if len(sequences) > 1 else size)
        self.recording.trains += row + stamp + header
        self.recording.high += bytes(s >> 8 for s in sequences)
        self.recording.low += bytes(s & 0xFF for s in sequences)


def sent_frames(frames):
    return [(i * STEP & 0xFFFFFFFF, BEGAN_NS + i * FRAME_NS) for i in range(frames)]


def play(notes, viewer, delays_ms, *, first=3, offset=0xFFFF_F000):
    """Let a viewer get frames ``first``, ... with timestamps of the server's own."""
    for i, delay_ms in enumerate(delays_ms, first):
        at_ns = BEGAN_NS + i * FRAME_NS + round(delay_ms * 1e6)
        notes.train(viewer, at_ns - 1000, [10 * i, 10 * i + 1], ticks=i * STEP + offset)
        notes.train(viewer, at_ns, [10 * i + 2], ticks=i * STEP + offset)
