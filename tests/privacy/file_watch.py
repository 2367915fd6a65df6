"""Hears of every file that is written on this machine, and by whom: fanotify(7), needs root."""

import ctypes
import os
import struct
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, Self

# linux/fanotify.h
_UNLIMITED_QUEUE, _NONBLOCK, _CLOEXEC = 0x10, 0x2, 0x1
_ADD, _FILESYSTEM = 0x1, 0x100
_MODIFY, _CLOSE_WRITE = 0x2, 0x8
_AT_FDCWD = -100
_EVENT = struct.Struct("=IBBHQii")
_READ_BYTES = 64 * 1024
_NOT_WRITABLE = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "bpf", "tracefs", "securityfs"}


class Written(NamedTuple):
    """A file and who wrote to it."""

    pid: int
    path: str


class FileWatch:
    """Watches all writable file systems from its creation on; ``with`` ends it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = _UNLIMITED_QUEUE | _NONBLOCK | _CLOEXEC
        self._fd = self._checked(self._libc.fanotify_init(flags, os.O_RDONLY))
        self.places = sorted(place for place in _writable_places() if self._mark(place))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def written(self) -> set[Written]:
        """What has been written since the last call."""
        found: set[Written] = set()
        while True:
            try:
                events = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return found
            at = 0
            while at < len(events):
                length, _, _, _, _, fd, pid = _EVENT.unpack_from(events, at)
                at += length
                assert fd >= 0, "the queue has overflowed"
                found.add(Written(pid, os.readlink(f"/proc/self/fd/{fd}")))
                os.close(fd)

    def written_by(self, pids: Collection[int]) -> list[str]:
        return sorted(each.path for each in self.written() if each.pid in pids)

    def _mark(self, place: str) -> bool:
        mask = ctypes.c_uint64(_MODIFY | _CLOSE_WRITE)
        flags = _ADD | _FILESYSTEM
        return not self._libc.fanotify_mark(self._fd, flags, mask, _AT_FDCWD, place.encode())

    def _checked(self, outcome: int) -> int:
        if outcome < 0:
            raise OSError(ctypes.get_errno(), "no fanotify")
        return outcome


def _writable_places() -> set[str]:
    places = set()
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind not in _NOT_WRITABLE and "rw" in options.split(","):
            places.add(place)
    return places
