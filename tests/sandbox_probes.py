"""Every way out of a process, as a function that takes it: tried with and without the guards.

As a program (``python -m tests.sandbox_probes``) it reads lines of JSON: the name of a way, the
guards to put up before, and where the way leads. Each is tried in a fork of its own, and the
answer is ``worked``, ``refused`` or ``killed`` with the error's or the signal's name.
"""

import contextlib
import ctypes
import encodings.idna
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from mediasrv.processing import sandbox
from mediasrv.processing.confinement import Guard

CHANNEL_FD = 2  # standard error stands for the channel: nothing else is open
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
IO_URING_SETUP, PROCESS_VM_READV, PROCESS_VM_WRITEV = (
    (425, 310, 311) if os.uname().machine == "x86_64" else (425, 270, 271)
)


def checked(outcome: int) -> int:
    if outcome < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return outcome


def read_file(to: Mapping[str, Any]) -> None:
    os.close(os.open(to["file"], os.O_RDONLY))


def list_directory(to: Mapping[str, Any]) -> None:
    os.listdir(to["directory"])


def create_file(to: Mapping[str, Any]) -> None:
    os.close(os.open(to["directory"] + "/created", os.O_WRONLY | os.O_CREAT))


def append_to_file(to: Mapping[str, Any]) -> None:
    os.close(os.open(to["file"], os.O_WRONLY | os.O_APPEND))


def truncate_file(to: Mapping[str, Any]) -> None:
    os.truncate(to["file"], 3)


def rename_file(to: Mapping[str, Any]) -> None:
    os.rename(to["file"], to["file"] + ".renamed")
    os.rename(to["file"] + ".renamed", to["file"])


def make_directory(to: Mapping[str, Any]) -> None:
    os.mkdir(to["directory"] + "/made")
    os.rmdir(to["directory"] + "/made")


def link_symbolically(to: Mapping[str, Any]) -> None:
    os.symlink("0.123,0.456", to["directory"] + "/link")
    os.unlink(to["directory"] + "/link")


def set_times(to: Mapping[str, Any]) -> None:
    os.utime(to["file"], (123, 456))


def change_mode(to: Mapping[str, Any]) -> None:
    os.chmod(to["file"], 0o600)


def write_picture(to: Mapping[str, Any]) -> None:
    if not cv2.imwrite(to["directory"] + "/face.png", np.zeros((8, 8, 3), np.uint8)):
        raise OSError(errno.EPERM, "imwrite said no")


def save_array(to: Mapping[str, Any]) -> None:
    np.save(to["directory"] + "/landmarks.npy", np.zeros((478, 3), np.float32))


def write_database(to: Mapping[str, Any]) -> None:
    with contextlib.closing(sqlite3.connect(to["directory"] + "/faces.db")) as database:
        database.execute("create table if not exists faces (x real)")


def start_program(to: Mapping[str, Any]) -> None:
    del to
    subprocess.run(["/bin/true"], check=True)


def become_program(to: Mapping[str, Any]) -> None:
    del to
    os.execv("/bin/true", ["/bin/true"])  # noqa: S606


def fork(to: Mapping[str, Any]) -> None:
    del to
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def start_thread(to: Mapping[str, Any]) -> None:
    del to
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError as exc:
        raise OSError(errno.EPERM, "no thread") from exc
    thread.join()


def connect_tcp(to: Mapping[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", to["tcp_port"]), timeout=1).close()


def listen_tcp(to: Mapping[str, Any]) -> None:
    del to
    socket.create_server(("127.0.0.1", 0)).close()


def send_udp(to: Mapping[str, Any]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"0.123", ("127.0.0.1", to["tcp_port"]))


def resolve_name(to: Mapping[str, Any]) -> None:
    del to
    socket.getaddrinfo("localhost", 80, family=socket.AF_INET)


def connect_unix(to: Mapping[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("\0" + to["abstract"])


def make_memory_file(to: Mapping[str, Any]) -> None:
    del to
    os.close(os.memfd_create("faces"))


def share_posix_memory(to: Mapping[str, Any]) -> None:
    name = f"/dev/shm/mediasrv-test-{to['victim']}"  # noqa: S108 - what shm_open does
    os.close(os.open(name, os.O_RDWR | os.O_CREAT, 0o600))
    os.unlink(name)


def share_sysv_memory(to: Mapping[str, Any]) -> None:
    del to
    segment = checked(libc.shmget(0, 4096, 0o1600))
    libc.shmctl(segment, 0, None)


def queue_message(to: Mapping[str, Any]) -> None:
    del to
    queue = checked(libc.msgget(0, 0o1600))
    libc.msgctl(queue, 0, None)


def trace(to: Mapping[str, Any]) -> None:
    checked(libc.ptrace(PTRACE_SEIZE, to["victim"], None, None))


class _Piece(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _other_memory(call: int, to: Mapping[str, Any]) -> None:
    # The interpreter's own code lies where its parent's does: it was forked from it.
    ours = ctypes.create_string_buffer(8)
    local = _Piece(ctypes.addressof(ours), 8)
    remote = _Piece(to["address"], 8)
    arguments = (ctypes.byref(local), ctypes.c_long(1), ctypes.byref(remote), ctypes.c_long(1))
    checked(libc.syscall(ctypes.c_long(call), to["victim"], *arguments, ctypes.c_long(0)))


def read_other_memory(to: Mapping[str, Any]) -> None:
    _other_memory(PROCESS_VM_READV, to)


def write_other_memory(to: Mapping[str, Any]) -> None:
    _other_memory(PROCESS_VM_WRITEV, to)


def read_memory_of_proc(to: Mapping[str, Any]) -> None:
    os.close(os.open(f"/proc/{to['victim']}/mem", os.O_RDONLY))


def ring(to: Mapping[str, Any]) -> None:
    del to
    checked(libc.syscall(ctypes.c_long(IO_URING_SETUP), 1, ctypes.create_string_buffer(120)))


def signal_other(to: Mapping[str, Any]) -> None:
    os.kill(to["victim"], 0)


def map_code(to: Mapping[str, Any]) -> None:
    del to
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()


def turn_memory_into_code(to: Mapping[str, Any]) -> None:
    page = mmap.mmap(-1, 4096)
    place = ctypes.addressof(ctypes.c_char.from_buffer(page))
    checked(libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(4096), 5))


def become_dumpable(to: Mapping[str, Any]) -> None:
    del to
    checked(libc.prctl(4, 1, 0, 0, 0))


def raise_priority(to: Mapping[str, Any]) -> None:
    del to
    os.nice(-1)


def write_to_what_was_open(to: Mapping[str, Any]) -> None:
    os.write(to["open_fd"], b"0.123")


def dump_core(to: Mapping[str, Any]) -> None:
    del to
    os.kill(os.getpid(), signal.SIGSEGV)


def gain_rights(to: Mapping[str, Any]) -> None:
    os.execv(to["setuid_cat"], ["cat", to["secret"]])  # noqa: S606


WAYS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    way.__name__: way
    for way in (
        *(read_file, list_directory, create_file, append_to_file, truncate_file, rename_file),
        *(make_directory, link_symbolically, set_times, change_mode),
        *(write_picture, save_array, write_database),
        *(start_program, become_program, fork, start_thread),
        *(connect_tcp, listen_tcp, send_udp, resolve_name, connect_unix),
        *(make_memory_file, share_posix_memory, share_sysv_memory, queue_message),
        *(trace, read_other_memory, write_other_memory, read_memory_of_proc, ring, signal_other),
        *(map_code, turn_memory_into_code, become_dumpable, raise_priority),
        *(write_to_what_was_open, dump_core, gain_rights),
    )
}


def outcome_of(way: Callable[[Mapping[str, Any]], None], to: Mapping[str, Any]) -> str:
    """Take the way in this process and say how it went."""
    try:
        way(to)
    except OSError as exc:  # gaierror and friends have numbers of their own
        return f"refused {errno.errorcode.get(exc.errno or 0, type(exc).__name__)}"
    except sqlite3.OperationalError:
        return "refused sqlite3"
    return "worked"


def attempt(name: str, guards: list[str], to: dict[str, Any]) -> str:
    """Take the way in a fork, behind these guards only."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _prepare(name, to)
        # Taken as the channel: the answer goes through it, and nothing else is left open.
        os.dup2(writer, CHANNEL_FD)
        os.close(writer)
        if name == "write_to_what_was_open":
            to["open_fd"] = os.open(to["file"], os.O_WRONLY)
        if guards:
            sandbox.confine(CHANNEL_FD, [Guard(guard) for guard in guards])
        try:
            outcome = outcome_of(WAYS[name], to)
        except BaseException as exc:  # noqa: BLE001 - never back into the loop
            outcome = f"broken {exc!r}"
        os.write(CHANNEL_FD, b"\0" + outcome.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        said = answers.read().rpartition(b"\0")[2].decode()  # libraries complain before it
    _, status = os.waitpid(pid, 0)
    return _judge(name, status, said)


def _prepare(name: str, to: dict[str, Any]) -> None:
    if name == "dump_core":
        os.chdir(to["directory"])
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    if name == "gain_rights":
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _judge(name: str, status: int, said: str) -> str:
    if name == "dump_core":
        return "worked" if os.WCOREDUMP(status) else "refused core"
    if os.WIFSIGNALED(status):
        return f"killed {signal.Signals(os.WTERMSIG(status)).name}"
    if name in ("become_program", "gain_rights") and not said.startswith("refused"):
        return "worked" if os.WEXITSTATUS(status) == 0 else "refused by the program"
    return said


def main() -> None:
    encodings.idna.ToASCII("localhost")  # loaded now: behind the guards nothing can be imported
    cv2.setNumThreads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        print(attempt(asked["way"], asked["guards"], asked["to"]), flush=True)


if __name__ == "__main__":
    main()
