"""What a confined worker may ask of the kernel: an allow-list, assembled into a seccomp program.

Pure: tables and arithmetic. The program is classic BPF (seccomp(2), Linux' filter.h): it sees the
processor's architecture, the number of the call and its arguments, never what they point at.
"""

import errno
import struct
from collections.abc import Iterator
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

_ALLOW = 0x7FFF0000
_FAIL = 0x00050000  # | errno
_KILL_PROCESS = 0x80000000

_ARCH_OFFSET, _NUMBER_OFFSET, _ARGUMENTS_OFFSET = 4, 0, 16  # struct seccomp_data
_LOAD_WORD, _RETURN = 0x20, 0x06
_JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _JUMP_IF_BITS = 0x15, 0x35, 0x45

# The same processor's other ways in: 32-bit calls have another architecture, and these numbers
# have this bit. Neither is ever used by our interpreter.
_X32_BIT = 0x40000000

_PROT_EXEC = 4
_MAP_ANONYMOUS = 0x20
_FIONBIO = 0x5421  # a socket's "do not block"


class Machine(IntEnum):
    """Architectures that have a table here (AUDIT_ARCH_*, linux/audit.h)."""

    X86_64 = 0xC000003E
    AARCH64 = 0xC00000B7


MACHINES = MappingProxyType(
    {"x86_64": Machine.X86_64, "aarch64": Machine.AARCH64, "arm64": Machine.AARCH64}
)


class Numbers(NamedTuple):
    """Numbers of one system call (asm/unistd_64.h, asm-generic/unistd.h); None: there is none."""

    x86_64: int | None
    aarch64: int | None


# Everything that the codecs, the filters and the interpreter were seen to use after warm-up with
# every size, codec and kind of damage; and what their memory, clocks, locks and crashes may need.
ALLOWED = MappingProxyType(
    {
        # The channel, with calls that cannot carry descriptors nor name another address.
        "recvfrom": Numbers(45, 207),
        "sendto": Numbers(44, 206),
        "select": Numbers(23, None),
        "pselect6": Numbers(270, 72),
        "poll": Numbers(7, None),
        "ppoll": Numbers(271, 73),
        "close": Numbers(3, 57),
        "fstat": Numbers(5, 80),
        "read": Numbers(0, 63),
        # Memory; mmap and mprotect only as the rules below say.
        "brk": Numbers(12, 214),
        "munmap": Numbers(11, 215),
        "mremap": Numbers(25, 216),
        "madvise": Numbers(28, 233),
        # Time, randomness, processors.
        "clock_gettime": Numbers(228, 113),
        "clock_getres": Numbers(229, 114),
        "clock_nanosleep": Numbers(230, 115),
        "nanosleep": Numbers(35, 101),
        "gettimeofday": Numbers(96, 169),
        "time": Numbers(201, None),
        "getrandom": Numbers(318, 278),
        "getrusage": Numbers(98, 165),
        "times": Numbers(100, 153),
        "sysinfo": Numbers(99, 179),
        "sched_getaffinity": Numbers(204, 123),
        "sched_yield": Numbers(24, 124),
        "getcpu": Numbers(309, 168),
        # Locks, signals, the end.
        "futex": Numbers(202, 98),
        "getpid": Numbers(39, 172),
        "gettid": Numbers(186, 178),
        "rt_sigaction": Numbers(13, 134),
        "rt_sigprocmask": Numbers(14, 135),
        "rt_sigreturn": Numbers(15, 139),
        "sigaltstack": Numbers(131, 132),
        "restart_syscall": Numbers(219, 128),
        "exit": Numbers(60, 93),
        "exit_group": Numbers(231, 94),
    }
)
# Allowed only with certain arguments, see _conditions.
CONDITIONAL = MappingProxyType(
    {
        "write": Numbers(1, 64),
        "writev": Numbers(20, 66),
        "ioctl": Numbers(16, 29),
        "mmap": Numbers(9, 222),
        "mprotect": Numbers(10, 226),
        "kill": Numbers(62, 129),
        "tgkill": Numbers(234, 131),
    }
)
# Libraries look for files that help them (libvpx: how many processors are online) and do without
# when they are not there. So that is what they hear.
NOT_THERE = MappingProxyType(
    {
        "open": Numbers(2, None),
        "openat": Numbers(257, 56),
        "openat2": Numbers(437, 437),
        "stat": Numbers(4, None),
        "lstat": Numbers(6, None),
        "newfstatat": Numbers(262, 79),
        "statx": Numbers(332, 291),
        "access": Numbers(21, None),
        "faccessat": Numbers(269, 48),
        "faccessat2": Numbers(439, 439),
        "readlink": Numbers(89, None),
        "readlinkat": Numbers(267, 78),
    }
)
# Nothing in a worker asks for these by mistake: whoever does has taken it over.
FATAL = MappingProxyType(
    {
        "execve": Numbers(59, 221),
        "execveat": Numbers(322, 281),
        "ptrace": Numbers(101, 117),
        "process_vm_readv": Numbers(310, 270),
        "process_vm_writev": Numbers(311, 271),
        "pidfd_getfd": Numbers(438, 438),
        "io_uring_setup": Numbers(425, 425),
        "io_uring_enter": Numbers(426, 426),
        "io_uring_register": Numbers(427, 427),
        "bpf": Numbers(321, 280),
        "userfaultfd": Numbers(323, 282),
        "perf_event_open": Numbers(298, 241),
        "init_module": Numbers(175, 105),
        "finit_module": Numbers(313, 273),
        "delete_module": Numbers(176, 106),
        "kexec_load": Numbers(246, 104),
        "kexec_file_load": Numbers(320, 294),
    }
)


class Instruction(NamedTuple):
    """One step of classic BPF (struct sock_filter)."""

    code: int
    if_true: int
    if_false: int
    operand: int


def assemble(machine: Machine, pid: int, last_fd: int) -> list[Instruction]:
    """Build the program for one process.

    Args:
        machine: Whose numbers to use.
        pid: The process itself: the only one it may signal.
        last_fd: The highest descriptor that may be written to.
    """
    program = [
        Instruction(_LOAD_WORD, 0, 0, _ARCH_OFFSET),
        Instruction(_JUMP_IF_EQUAL, 1, 0, machine),
        _return(_KILL_PROCESS),
        Instruction(_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
        Instruction(_JUMP_IF_AT_LEAST, 0, 1, _X32_BIT),
        _return(_KILL_PROCESS),
    ]
    for table, verdict in (
        (ALLOWED, _ALLOW),
        (NOT_THERE, _FAIL | errno.ENOENT),
        (FATAL, _KILL_PROCESS),
    ):
        for numbers in table.values():
            program += _when(_number(numbers, machine), [_return(verdict)])
    for name, test in _conditions(pid, last_fd):
        program += _when(_number(CONDITIONAL[name], machine), test)
    program.append(_return(_FAIL | errno.EPERM))
    return program


def to_bytes(program: list[Instruction]) -> bytes:
    """Lay the program out as the kernel takes it: an array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _conditions(pid: int, last_fd: int) -> Iterator[tuple[str, list[Instruction]]]:
    """For each call its test; every path of a test ends in a verdict.

    Descriptors and process ids are 32-bit arguments, and so are these flags: their low words
    are all that the kernel looks at.
    """
    refuse = _return(_FAIL | errno.EPERM)
    allow = _return(_ALLOW)
    for name in ("write", "writev"):
        yield name, [_argument(0), Instruction(_JUMP_IF_AT_LEAST, 0, 1, last_fd + 1), refuse, allow]
    for name in ("kill", "tgkill"):
        yield name, [_argument(0), Instruction(_JUMP_IF_EQUAL, 0, 1, pid), allow, refuse]
    yield "ioctl", [_argument(1), Instruction(_JUMP_IF_EQUAL, 0, 1, _FIONBIO), allow, refuse]
    no_code = [_argument(2), Instruction(_JUMP_IF_BITS, 0, 1, _PROT_EXEC), refuse]
    yield "mprotect", [*no_code, allow]
    no_file = [_argument(3), Instruction(_JUMP_IF_BITS, 1, 0, _MAP_ANONYMOUS), refuse]
    yield "mmap", [*no_code, *no_file, allow]


def _number(numbers: Numbers, machine: Machine) -> int | None:
    return numbers.x86_64 if machine is Machine.X86_64 else numbers.aarch64


def _when(number: int | None, then: list[Instruction]) -> list[Instruction]:
    """Go through ``then`` if the call has this number; the accumulator holds it up to here."""
    if number is None:
        return []
    return [Instruction(_JUMP_IF_EQUAL, 0, len(then), number), *then]


def _argument(position: int) -> Instruction:
    """Load the low word of an argument; both machines are little-endian."""
    return Instruction(_LOAD_WORD, 0, 0, _ARGUMENTS_OFFSET + 8 * position)


def _return(verdict: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, verdict)
