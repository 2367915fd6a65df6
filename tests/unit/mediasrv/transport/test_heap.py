"""When a crowd's memory goes back, and that it really does."""

import subprocess
import sys

import pytest

from mediasrv.transport.heap import CROWD_GONE_BY_S, CROWD_PEERS, CrowdHeap


class Trims:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1


@pytest.fixture
def trims():
    return Trims()


@pytest.fixture
def heap(trims):
    return CrowdHeap(trims)


def enter(heap, count, now):
    for _ in range(count):
        heap.entered(now)


def test_memory_goes_back_once_a_crowd_is_in(heap, trims):
    enter(heap, CROWD_PEERS, now=10.0)
    heap.tick(10.0 + CROWD_GONE_BY_S - 0.01)
    assert trims.count == 0
    heap.tick(10.0 + CROWD_GONE_BY_S)
    assert trims.count == 1


def test_it_goes_back_once_per_crowd(heap, trims):
    enter(heap, CROWD_PEERS, now=0.0)
    for now in (5.0, 6.0, 7.0):
        heap.tick(now)
    enter(heap, CROWD_PEERS - 1, now=8.0)
    heap.tick(20.0)
    assert trims.count == 1


def test_nobody_waits_while_others_still_come(heap, trims):
    for second in range(100):
        heap.entered(float(second))
        heap.tick(float(second))
    assert trims.count == 0


# A list of small pieces with one kept in ten: what is free lies between what is not.
_SCRAPS = """
import ctypes
from mediasrv.transport.heap import trim_heap
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
pieces = [libc.malloc(60_000) for _ in range(500)]
for piece in pieces:
    ctypes.memset(piece, 1, 60_000)
for position, piece in enumerate(pieces):
    if position % 10:
        libc.free(piece)
before = resident()
trim_heap()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; other allocators differ")
def test_what_is_free_between_what_is_not_goes_back():
    ran = subprocess.run(
        [sys.executable, "-c", _SCRAPS], check=True, capture_output=True, text=True
    )
    assert int(ran.stdout) > 20_000_000
