"""Locks a worker in: after this nothing leaves it but through its channel.

Called once everything is loaded and has run. Each guard is applied, then tried: a guard counts only
when the kernel has been seen to refuse. None of them can be taken back, by nobody. Two or three
stand in every way out (a file: Landlock, the call filter and the descriptor limit), so a kernel
that lacks one, or a mistake in one, opens nothing.

All threads: the call filter is set for all of them at once (TSYNC) or not at all. Landlock and
capabilities bind the calling thread only, so they count as missing while there are others; a worker
has one.
"""

import ctypes
import errno
import os
import platform
import resource
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from mediasrv.processing.confinement import GUARDS, NOT_ASKED, Confinement, Guard
from mediasrv.processing.syscall_filter import MACHINES, assemble, to_bytes

# linux/prctl.h
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h: two words of each set

# Numbers of the calls that glibc has no names for: (x86_64, aarch64) are the same since 2019.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_SECCOMP = {"x86_64": 317, "aarch64": 277, "arm64": 277}
_MEMFD_CREATE = {"x86_64": 319, "aarch64": 279, "arm64": 279}
_LANDLOCK_VERSION_FLAG = 1
_SECCOMP_SET_MODE_FILTER, _SECCOMP_TSYNC = 1, 1

# linux/landlock.h: what a ruleset can forbid, by the version that brought it.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP_BIND_AND_CONNECT, _TCP_SINCE = 0b11, 4
_ABSTRACT_SOCKETS_AND_SIGNALS, _SCOPES_SINCE = 0b11, 6

_AF_INET, _SOCK_STREAM = 2, 1
_STANDARD_FDS = frozenset({0, 1, 2})


def confine(channel_fd: int, guards: Collection[Guard] = GUARDS) -> Confinement:
    """Give up everything but ``channel_fd``, standard error and the memory that is there.

    Args:
        channel_fd: The one socket to keep, best the lowest free descriptor: the limit on
            descriptors leaves no gap then.
        guards: All of them, unless a test asks what one alone holds back.

    Returns:
        What holds, as tried in this process. A guard that fails does not stop the others.
    """
    lock = _Lock(channel_fd)
    outcomes = {guard: _attempt(lock.acts[guard]) for guard in GUARDS if guard in guards}
    errors = {guard.value: outcomes.get(guard, NOT_ASKED) for guard in GUARDS}
    return Confinement(landlock_abi=lock.landlock_abi, threads=lock.threads, **errors)


def _attempt(act: Callable[[], None]) -> int:
    try:
        act()
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


class _Lock:
    """The guards in their order: what a later one needs, no earlier one has taken away."""

    def __init__(self, channel_fd: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._machine = platform.machine()  # asks the system only the first time
        self._channel_fd = channel_fd
        self._is_linux = sys.platform == "linux"
        self.threads = len(os.listdir("/proc/self/task")) if self._is_linux else 1
        self.landlock_abi = self._ask_landlock_abi()
        self.acts: dict[Guard, Callable[[], None]] = {
            Guard.DESCRIPTORS: self._check_descriptors,
            Guard.NO_NEW_PRIVILEGES: self._refuse_privileges,
            Guard.UNDUMPABLE: self._refuse_dumps,
            Guard.CAPABILITIES: self._drop_capabilities,
            Guard.LANDLOCK: self._refuse_files_and_ports,
            Guard.LIMITS: self._limit_resources,
            Guard.SYSTEM_CALLS: self._refuse_system_calls,
        }

    def _check_descriptors(self) -> None:
        """What a library has left open could be written to; there must be nothing."""
        if _open_fds() - _STANDARD_FDS - {self._channel_fd}:
            raise OSError(errno.EBUSY, "more is open than the channel")

    def _refuse_privileges(self) -> None:
        self._need_linux()
        self._prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _expect(self._prctl(_PR_GET_NO_NEW_PRIVS) == 1)

    def _refuse_dumps(self) -> None:
        """No core file whatever the system does with cores, and no tracer without root's powers."""
        self._need_linux()
        self._prctl(_PR_SET_DUMPABLE, 0)
        _expect(self._prctl(_PR_GET_DUMPABLE) == 0)

    def _drop_capabilities(self) -> None:
        self._need_linux()
        self._need_one_thread()
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)()
        self._check(self._libc.capset(header, sets))
        self._check(self._libc.capget(header, sets))
        _expect(not any(sets))

    def _refuse_files_and_ports(self) -> None:
        """Forbid every right that this kernel's Landlock knows, without an exception."""
        self._need_linux()
        self._need_one_thread()
        if not self.landlock_abi:
            raise OSError(errno.ENOSYS, "the kernel has no Landlock")
        attributes = landlock_attributes(self.landlock_abi)
        words = (ctypes.c_uint64 * len(attributes))(*attributes)
        size_bytes = ctypes.sizeof(words)
        ruleset = self._check(self._syscall(_LANDLOCK_CREATE_RULESET, words, size_bytes, 0))
        try:
            self._check(self._syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0))
        finally:
            os.close(ruleset)
        self._expect_refusal(errno.EACCES, self._libc.open, b"/", os.O_RDONLY)
        self._expect_refusal(errno.EACCES, self._libc.open, b"/dev/null", os.O_WRONLY)
        if self.landlock_abi >= _TCP_SINCE:
            self._expect_no_tcp()

    def _limit_resources(self) -> None:
        """Nothing more may be opened, no file may grow, no core be written, nobody be forked."""
        limits = {
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_NOFILE: max(_STANDARD_FDS | {self._channel_fd}) + 1,
        }
        for kind, limit in limits.items():
            resource.setrlimit(kind, (limit, limit))
            _expect(resource.getrlimit(kind) == (limit, limit))
        self._expect_refusal(errno.EMFILE, self._libc.dup, 0)

    def _refuse_system_calls(self) -> None:
        """Set the call filter for all threads, then see it refuse."""
        self._need_linux()
        machine = MACHINES.get(self._machine)
        if machine is None or sys.maxsize < 2**32:
            raise OSError(errno.ENOSYS, "no filter for this processor")
        program = to_bytes(assemble(machine, os.getpid(), self._channel_fd))
        steps = ctypes.create_string_buffer(program, len(program))
        described = _Program(len(program) // 8, ctypes.addressof(steps))
        failed = self._syscall(
            _SECCOMP[self._machine],
            _SECCOMP_SET_MODE_FILTER,
            _SECCOMP_TSYNC,
            ctypes.byref(described),
        )
        self._check(failed)
        _expect(failed == 0)  # else the id of a thread that could not be bound
        self._expect_refusal(errno.ENOENT, self._libc.open, b"/", os.O_RDONLY)
        self._expect_refusal(errno.EPERM, self._libc.socket, _AF_INET, _SOCK_STREAM, 0)
        self._expect_refusal(errno.EPERM, self._syscall, _MEMFD_CREATE[self._machine], b"", 0)
        self._expect_refusal(errno.EPERM, self._libc.prctl, _PR_SET_DUMPABLE, 1, 0, 0, 0)

    def _ask_landlock_abi(self) -> int:
        if not self._is_linux:
            return 0
        return max(0, self._syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION_FLAG))

    def _expect_no_tcp(self) -> None:
        """A port would be bound on this machine only, and only if the guard did not work."""
        address = (ctypes.c_uint8 * 16)(_AF_INET, 0, 0, 0, 127, 0, 0, 1)
        end = self._libc.socket(_AF_INET, _SOCK_STREAM, 0)
        if end < 0:
            return  # no TCP here at all
        try:
            self._expect_refusal(errno.EACCES, self._libc.bind, end, address, 16)
        finally:
            os.close(end)

    def _expect_refusal(self, error: int, call: Callable[..., int], *arguments: object) -> None:
        """Try what must not work; whatever it gave is given back at once."""
        ctypes.set_errno(0)
        outcome = call(*arguments)
        seen = ctypes.get_errno()
        if outcome >= 0 and call in (self._libc.open, self._libc.dup, self._libc.socket):
            os.close(outcome)
        _expect(outcome == -1 and seen == error)

    def _need_linux(self) -> None:
        if not self._is_linux:
            raise OSError(errno.ENOSYS, "this system has no such guard")

    def _need_one_thread(self) -> None:
        if self.threads > 1:
            raise OSError(errno.EBUSY, "other threads would stay free")

    def _prctl(self, option: int, value: int = 0) -> int:
        return self._check(self._libc.prctl(option, value, 0, 0, 0))

    def _syscall(self, *arguments: object) -> int:
        words = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
        outcome: int = self._libc.syscall(*words)
        return outcome

    def _check(self, outcome: int) -> int:
        if outcome < 0:
            raise OSError(ctypes.get_errno(), "the kernel refused the guard")
        return outcome


class _Program(ctypes.Structure):
    """How the kernel takes a filter: struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def landlock_attributes(abi: int) -> list[int]:
    """The ruleset that forbids all that this version knows: files, ports, scopes."""
    attributes = [sum(rights for since, rights in _FILE_RIGHTS.items() if since <= abi)]
    if abi >= _TCP_SINCE:
        attributes.append(_TCP_BIND_AND_CONNECT)
    if abi >= _SCOPES_SINCE:
        attributes.append(_ABSTRACT_SOCKETS_AND_SIGNALS)
    return attributes


def _open_fds() -> frozenset[int]:
    """What is open now, without the one that looking takes."""
    directory = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    found = set()
    for name in os.listdir(directory):
        try:
            os.fstat(int(name))
        except OSError:
            continue
        found.add(int(name))
    return frozenset(found)


def _expect(holds: bool) -> None:
    """A guard that the kernel took but that does not work is worse than none: say so."""
    if not holds:
        raise OSError(errno.ENOTRECOVERABLE, "the guard does not hold")
