"""Which system calls the two processes may make: the table, and what the kernel makes of it."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netprobe.live import seccomp

_HEADERS = {
    0: (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), r"#define __NR_(\w+) (\d+)"),
    1: (Path("/usr/include/asm-generic/unistd.h"), r"#define __NR(?:3264)?_(\w+) (\d+)"),
}

#: Becomes a worker, or a broker, and says which errno each attempt ends with; 0 for none.
_ATTEMPTS = """
import ctypes, json, os, signal, socket, subprocess, sys, threading
from netprobe.live import seccomp
from netprobe.live.broker import kernel

libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return libc.syscall(number, *map(ctypes.c_long, arguments)) >= 0 or ctypes.get_errno()
def attempt(action):
    try:
        return action() or 0
    except OSError as error:
        return error.errno
def open_socket(*kind):
    socket.socket(*kind).close()
def thread():
    worker = threading.Thread(target=lambda: None)
    worker.start()
    worker.join()

column = 0 if seccomp.machine() == "x86_64" else 1
number = {name: row[column] for name, row in seccomp.NUMBERS.items()}
kernel.give_up(None)
kernel.install_filter(getattr(seccomp, sys.argv[1])(seccomp.machine()))
said = {name: attempt(lambda: call(number[name], -1, -1, -1, -1, -1)) for name in sys.argv[2].split(",")}
said |= {
    "raw": attempt(lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "raw, cloexec": attempt(lambda: open_socket(socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 58)),
    "packet": attempt(lambda: open_socket(socket.AF_PACKET, socket.SOCK_DGRAM, 3)),
    "vsock": attempt(lambda: open_socket(40, socket.SOCK_STREAM, 0)),
    "netlink": attempt(lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)),
    "tcp": attempt(lambda: open_socket(socket.AF_INET, socket.SOCK_STREAM)),
    "udp": attempt(lambda: open_socket(socket.AF_INET6, socket.SOCK_DGRAM)),
    "unix": attempt(lambda: open_socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
    "user namespace": attempt(lambda: call(number["clone"], 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)),
}
if sys.argv[1] == "worker_filter":
    said |= {"thread": attempt(thread), "program": attempt(lambda: subprocess.run(["true"]).returncode)}
    said["file"] = attempt(lambda: open(__file__ if "__file__" in globals() else "/dev/null").close())
os.write(1, json.dumps(said).encode())
"""


filtered = pytest.mark.skipif(
    not seccomp.worker_filter(seccomp.machine()),
    reason=f"system calls have other numbers on {seccomp.machine()}, and there is no filter for it",
)


def attempts(program: str, calls: tuple[str, ...]) -> dict[str, int]:
    """What became of each attempt under `program`."""
    words = [sys.executable, "-c", _ATTEMPTS, program, ",".join(calls)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    answer: dict[str, int] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("column", _HEADERS)
def test_the_numbers_are_the_kernels(column: int) -> None:
    """Each system call has the number that the kernel's headers give it, where those are installed."""
    path, pattern = _HEADERS[column]
    if not path.exists():
        pytest.skip(f"only the kernel's headers tell its numbers, and {path} is not installed")
    theirs = {name: int(number) for name, number in re.findall(pattern, path.read_text())}
    wrong = {
        name: (row[column], theirs[name])
        for name, row in seccomp.NUMBERS.items()
        if name in theirs and row[column] != theirs[name]
    }
    assert wrong == {}


def test_what_is_refused_or_served_is_in_the_table() -> None:
    """No name is misspelt, none is on both lists."""
    assert set(seccomp.REFUSED) | set(seccomp.SERVING) <= seccomp.NUMBERS.keys()
    assert set(seccomp.REFUSED).isdisjoint(seccomp.SERVING)


def test_an_unknown_machine_has_no_filter() -> None:
    """Rather none than one with other calls' numbers."""
    assert seccomp.worker_filter("mips") == seccomp.broker_filter("mips") == b""
    for machine in ("x86_64", "aarch64", "riscv64"):
        assert seccomp.worker_filter(machine)
        assert seccomp.broker_filter(machine)


@filtered
def test_the_worker_cannot_get_back_what_it_gave_up() -> None:
    """No raw socket, no other family, no namespace, no program, no tracing: as if it had no right; the rest works."""
    call = {name: row[0 if seccomp.machine() == "x86_64" else 1] for name, row in seccomp.NUMBERS.items()}
    refused = tuple(name for name in seccomp.REFUSED if call[name] >= 0)
    said = attempts("worker_filter", refused)
    assert {said.pop(name) for name in refused} == {errno.EPERM}
    for name in ("raw", "raw, cloexec", "packet", "vsock", "user namespace", "program"):
        assert said.pop(name) == errno.EPERM, name
    assert set(said.values()) == {0}, said


@filtered
def test_the_broker_can_do_nothing_but_serve() -> None:
    """It opens no file, no raw socket and no connection any more, and starts nothing."""
    said = attempts("broker_filter", ("execve", "ptrace", "clone", "unshare", "bpf", "mount"))
    assert said.pop("udp") == 0
    assert set(said.values()) == {errno.EPERM}
