from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from open_speech.sandbox.seccomp import (
    ABSENT,
    ALLOW,
    ARCHITECTURES,
    CONDITIONS,
    INSTRUCTION,
    KILL_PROCESS,
    NUMBERS,
    REFUSED,
    program,
)

MACHINES = sorted(ARCHITECTURES)
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
THREAD_OF_GLIBC = 0x3D0F00
FORK_OF_GLIBC = 0x1200011


def answer(code: bytes, number: int, *arguments: int, audit: int) -> int:
    """Run a filter as the kernel does, on one system call."""
    words = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *words)
    program, at, accumulator = list(INSTRUCTION.iter_unpack(code)), 0, 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"unknown operation {operation:#x}")


def of(machine: str, name: str, *arguments: int) -> int:
    architecture = ARCHITECTURES[machine]
    return answer(program(machine), NUMBERS[name][architecture.column], *arguments, audit=architecture.audit)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_on_the_list_is_allowed_and_every_other_system_call_is_refused(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    unconditional = {numbers[architecture.column] for name, numbers in NUMBERS.items() if name not in (*CONDITIONS, "clone3")}
    listed = {numbers[architecture.column] for numbers in NUMBERS.values()}
    assert len(listed) == len(NUMBERS)
    for number in [*range(1000), 0x40000000, 0x40000001, 0xFFFFFFFF]:
        found = answer(program(machine), number, audit=architecture.audit)
        if number in unconditional:
            assert found == ALLOW
        elif number not in listed:
            assert found == REFUSED


@pytest.mark.parametrize("machine", MACHINES)
def test_a_system_call_of_another_architecture_ends_the_process(machine: str) -> None:
    for audit in (0x40000003, 0x40000028, 0, *(a.audit for name, a in ARCHITECTURES.items() if name != machine)):
        assert answer(program(machine), 0, audit=audit) == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (THREAD_OF_GLIBC,), ALLOW),
        ("clone", (FORK_OF_GLIBC,), REFUSED),
        ("clone", (THREAD_OF_GLIBC | 0x10000000,), REFUSED),  # in a new user namespace
        ("clone", (17,), REFUSED),
        ("clone3", (), ABSENT),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 7), REFUSED),
        ("mmap", (0, 4096, 5), REFUSED),
        ("mprotect", (4096, 4096, 1), ALLOW),
        ("mprotect", (4096, 4096, 5), REFUSED),
        ("fcntl", (0, 1030, 0), ALLOW),  # F_DUPFD_CLOEXEC
        ("fcntl", (0, 8, 1), REFUSED),  # F_SETOWN
        ("fcntl", (0, 4, 0), REFUSED),  # F_SETFL
        ("newfstatat", (3, 0, 0, 0x1000), ALLOW),
        ("newfstatat", (-100, 0, 0, 0), REFUSED),
        ("prlimit64", (0, 7, 0, 0), ALLOW),
        ("prlimit64", (1, 7, 0, 0), REFUSED),
        ("prlimit64", (0xFFFFFFFF00000001, 7, 0, 0), REFUSED),
    ],
)
def test_some_are_allowed_with_certain_arguments_only(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert of(machine, name, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_no_jump_leads_out_of_the_program_and_it_fits_into_the_kernels_bound(machine: str) -> None:
    code = list(INSTRUCTION.iter_unpack(program(machine)))
    assert len(code) <= 4096
    assert all(at + 1 + max(jumps) < len(code) for at, (operation, *jumps, _) in enumerate(code) if operation == 0x15)
    assert code[-1][0] == 0x06


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].is_file():
        pytest.skip(f"{HEADERS[machine]} is not installed")
    text = HEADERS[machine].read_text(encoding="ascii")
    stated = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", text)}
    stated.setdefault("newfstatat", stated.get("fstatat", -1))  # the generic table's name of it
    assert {name: numbers[ARCHITECTURES[machine].column] for name, numbers in NUMBERS.items()} == {name: stated[name] for name in NUMBERS}


def test_a_machine_without_a_table_has_no_filter() -> None:
    with pytest.raises(KeyError):
        program("riscv64")
