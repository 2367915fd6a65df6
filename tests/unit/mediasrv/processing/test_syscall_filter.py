"""The filter's program, run by a small machine of our own for both processors."""

import errno
import re
from pathlib import Path

import pytest

from mediasrv.processing.syscall_filter import (
    ALLOWED,
    CONDITIONAL,
    FATAL,
    MACHINES,
    NOT_THERE,
    Machine,
    assemble,
    to_bytes,
)

PID, LAST_FD = 4711, 3
ALLOW, KILL = "allow", "kill"
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_PRIVATE, MAP_ANONYMOUS = 2, 0x20


def run(machine, number, *arguments, arch=None):
    """The verdict on one call: ``allow``, ``kill`` or an error number."""
    words = {0: number, 4: machine if arch is None else arch}
    for position in range(6):
        value = arguments[position] if position < len(arguments) else 0
        words[16 + 8 * position] = value & 0xFFFFFFFF
        words[20 + 8 * position] = value >> 32
    program = assemble(machine, PID, LAST_FD)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = words[operand]
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x45:
                at += if_true if accumulator & operand else if_false
            case 0x06:
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(operand, operand & 0xFFFF)
            case _:
                pytest.fail(f"an instruction that the filter does not use: {code:#x}")


def number_of(table, name, machine):
    numbers = table[name]
    return numbers.x86_64 if machine is Machine.X86_64 else numbers.aarch64


machines = pytest.mark.parametrize("machine", Machine, ids=lambda machine: machine.name)


@machines
@pytest.mark.parametrize(
    ("table", "verdict"), [(ALLOWED, ALLOW), (NOT_THERE, errno.ENOENT), (FATAL, KILL)]
)
def test_every_call_of_a_table_gets_its_verdict(machine, table, verdict):
    for name in table:
        number = number_of(table, name, machine)
        if number is not None:
            assert run(machine, number) == verdict, name


@machines
def test_whatever_is_in_no_table_is_refused(machine):
    listed = {
        number_of(table, name, machine)
        for table in (ALLOWED, NOT_THERE, FATAL, CONDITIONAL)
        for name in table
    }
    for number in set(range(600)) - listed:
        assert run(machine, number) == errno.EPERM


@machines
def test_no_number_has_two_verdicts(machine):
    numbers = [
        number
        for table in (ALLOWED, NOT_THERE, FATAL, CONDITIONAL)
        for name in table
        if (number := number_of(table, name, machine)) is not None
    ]
    assert len(numbers) == len(set(numbers))


@machines
def test_another_architecture_and_the_x32_numbers_are_fatal(machine):
    other = next(each for each in Machine if each is not machine)
    for arch in (other, 0x40000003, 0):  # the second: 32-bit x86
        assert run(machine, number_of(ALLOWED, "getpid", machine), arch=arch) == KILL
    assert run(machine, 0x40000000 | 1) == KILL
    assert run(machine, 0xFFFFFFFF) == KILL


@machines
@pytest.mark.parametrize("name", ["write", "writev"])
@pytest.mark.parametrize(
    ("fd", "verdict"), [(2, ALLOW), (3, ALLOW), (4, errno.EPERM), (0xFFFFFFFF, errno.EPERM)]
)
def test_only_the_channel_and_what_lies_below_is_written_to(machine, name, fd, verdict):
    assert run(machine, number_of(CONDITIONAL, name, machine), fd) == verdict


@machines
@pytest.mark.parametrize("name", ["kill", "tgkill"])
def test_a_worker_may_signal_only_itself(machine, name):
    number = number_of(CONDITIONAL, name, machine)
    assert run(machine, number, PID) == ALLOW
    for other in (1, 0, PID + 1, 0xFFFFFFFF):
        assert run(machine, number, other) == errno.EPERM


@machines
@pytest.mark.parametrize(
    ("protection", "flags", "verdict"),
    [
        (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, ALLOW),
        (PROT_READ, MAP_PRIVATE, errno.EPERM),
        (PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, errno.EPERM),
        (PROT_EXEC, MAP_PRIVATE, errno.EPERM),
    ],
)
def test_memory_is_plain_memory_neither_a_file_nor_code(machine, protection, flags, verdict):
    number = number_of(CONDITIONAL, "mmap", machine)
    assert run(machine, number, 0, 4096, protection, flags) == verdict


@machines
@pytest.mark.parametrize(
    ("protection", "verdict"), [(PROT_READ | PROT_WRITE, ALLOW), (PROT_EXEC, errno.EPERM)]
)
def test_memory_never_turns_into_code(machine, protection, verdict):
    assert run(machine, number_of(CONDITIONAL, "mprotect", machine), 0, 1, protection) == verdict


@machines
def test_a_socket_may_be_told_not_to_block_and_nothing_else(machine):
    number = number_of(CONDITIONAL, "ioctl", machine)
    assert run(machine, number, 3, 0x5421) == ALLOW
    for request in (0x5401, 0x5412, 0x541B):  # the second pushes input into a terminal
        assert run(machine, number, 3, request) == errno.EPERM


@machines
def test_the_program_fits_what_the_kernel_takes(machine):
    program = assemble(machine, PID, LAST_FD)
    assert len(program) < 4096
    assert len(to_bytes(program)) == 8 * len(program)
    assert all(max(step.if_true, step.if_false) < 256 for step in program)


HEADERS = {
    Machine.X86_64: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Machine.AARCH64: Path("/usr/include/asm-generic/unistd.h"),
}
# Names that the generic table spells through another one.
SPELLED = {"newfstatat": "3264_fstatat", "fstat": "3264_fstat", "mmap": "3264_mmap"}


@machines
def test_the_numbers_are_those_of_the_kernels_own_headers(machine):
    header = HEADERS[machine]
    if not header.is_file():
        pytest.skip("the kernel's headers are not installed")
    text = header.read_text()
    compared = 0
    for table in (ALLOWED, NOT_THERE, FATAL, CONDITIONAL):
        for name in table:
            spelled = SPELLED.get(name, name) if machine is Machine.AARCH64 else name
            found = re.search(rf"^#define __NR_?{spelled}\s+(\d+)$", text, re.MULTILINE)
            assert number_of(table, name, machine) == (int(found[1]) if found else None), name
            compared += found is not None
    assert compared > 50


def test_both_names_of_the_arm_processor_are_known():
    assert MACHINES["aarch64"] is MACHINES["arm64"] is Machine.AARCH64
