"""Which system calls each of the two processes may make, as programs for seccomp(2). Pure: nothing is installed here.

The worker is refused what could give it back what it gave up, or a raw socket; the broker is allowed what serving takes
and nothing else. A refused call fails with EPERM, as it would for want of a right: whoever made it goes on. On machines
whose numbers are not in the table there is no filter.
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping, Sequence

from netprobe.live.bpf import Instruction, assemble

# linux/audit.h, linux/seccomp.h, linux/bpf_common.h
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
MACHINES = tuple(_ARCHITECTURES)
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_LOAD, _JEQ, _JGE, _JSET, _AND, _RET = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data; the low word of each argument
_X32 = 0x40000000  # the second table of x86_64

_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_KIND_MASK = 0xF  # beside it stand SOCK_CLOEXEC and SOCK_NONBLOCK
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW*
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the shell that started us

#: Name: number on x86_64, and on the machines that follow asm-generic (aarch64, riscv64); -1 where there is none.
NUMBERS: Mapping[str, tuple[int, int]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "poll": (7, -1), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233),
    "socket": (41, 198), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "bind": (49, 200), "getsockname": (51, 204), "setsockopt": (54, 208), "getsockopt": (55, 209), "clone": (56, 220),
    "execve": (59, 221), "exit": (60, 93), "fcntl": (72, 25), "ptrace": (101, 117), "syslog": (103, 116),
    "futex": (202, 98), "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "epoll_wait": (232, -1), "epoll_ctl": (233, 21), "epoll_pwait": (281, 22),
    "getrandom": (318, 278), "rseq": (334, 293), "pivot_root": (155, 41), "adjtimex": (159, 171), "chroot": (161, 51),
    "acct": (163, 89), "settimeofday": (164, 170), "mount": (165, 40), "umount2": (166, 39), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, -1), "ioperm": (173, -1), "init_module": (175, 105), "delete_module": (176, 106),
    "quotactl": (179, 60), "clock_settime": (227, 112), "kexec_load": (246, 104), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "unshare": (272, 97), "perf_event_open": (298, 241),
    "fanotify_init": (300, 262), "open_by_handle_at": (304, 265), "clock_adjtime": (305, 266), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "finit_module": (313, 273),
    "kexec_file_load": (320, 294), "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "clone3": (435, 435), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "mount_setattr": (442, 442),
}  # fmt: skip

#: What no code of the worker calls, and what somebody would who has got hold of it.
REFUSED: tuple[str, ...] = (
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
    "execve", "execveat",
    "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns", "open_by_handle_at", "fanotify_init", "quotactl", "acct", "swapon", "swapoff",
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "add_key", "request_key", "keyctl", "syslog", "iopl", "ioperm",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
)  # fmt: skip

#: What the broker's loop makes of system calls, and the interpreter below it.
SERVING: tuple[str, ...] = (
    "recvmsg", "recvfrom", "sendto", "sendmsg", "epoll_wait", "epoll_pwait", "epoll_ctl", "poll", "bind", "close",
    "setsockopt", "getsockopt", "getsockname", "ioctl", "fcntl", "write", "read",
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "futex", "sched_yield", "restart_syscall",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "clock_gettime", "clock_nanosleep", "getrandom", "rseq",
    "exit", "exit_group",
)  # fmt: skip


def machine() -> str:
    """The machine whose system calls this kernel makes, as the table calls it."""
    return os.uname().machine


def worker_filter(name: str) -> bytes:
    """The program of the worker on machine `name`; empty where the machine is not in the table."""
    if name not in _ARCHITECTURES:
        return b""
    call = _calls(name)
    return assemble(
        [
            *_lead(name),
            *_on(call["socket"], "socket"),
            *_on(call["clone"], "clone"),
            *_on(call["clone3"], "unknown"),  # its flags lie in memory: the C library falls back to clone
            *_on(call["ioctl"], "ioctl"),
            *(step for refused in REFUSED if refused in call for step in _on(call[refused], "refuse")),
            Instruction(_RET, _ALLOW),
            *_argument(0, "socket"),
            *(Instruction(_JEQ, family, "kind") for family in _FAMILIES[:-1]),
            Instruction(_JEQ, socket.AF_NETLINK, "allow", "refuse"),  # all of its sockets are raw in name
            *_argument(1, "kind"),
            Instruction(_AND, _KIND_MASK),
            Instruction(_JEQ, socket.SOCK_STREAM, "allow"),
            Instruction(_JEQ, socket.SOCK_DGRAM, "allow"),
            Instruction(_JEQ, socket.SOCK_SEQPACKET, "allow", "refuse"),
            *_argument(0, "clone"),
            Instruction(_JSET, _NEW_NAMESPACES, "refuse", "allow"),
            *_argument(1, "ioctl"),
            *(Instruction(_JEQ, request, "refuse") for request in _TERMINAL_INPUT),
            Instruction(_RET, _ALLOW, label="allow"),
            Instruction(_RET, _ERROR | errno.ENOSYS, label="unknown"),
            Instruction(_RET, _ERROR | errno.EPERM, label="refuse"),
        ]
    )


def broker_filter(name: str) -> bytes:
    """The program of the broker on machine `name`; empty where the machine is not in the table."""
    if name not in _ARCHITECTURES:
        return b""
    call = _calls(name)
    return assemble(
        [
            *_lead(name),
            *_on(call["socket"], "socket"),
            *(step for served in SERVING if served in call for step in _on(call[served], "allow")),
            Instruction(_RET, _ERROR | errno.EPERM),
            *_argument(0, "socket"),
            Instruction(_JEQ, socket.AF_PACKET, "kind"),  # the tap
            Instruction(_JEQ, socket.AF_INET, "kind"),  # to ask whether an address is its own
            Instruction(_JEQ, socket.AF_INET6, "kind", "refuse"),
            *_argument(1, "kind"),
            Instruction(_AND, _KIND_MASK),
            Instruction(_JEQ, socket.SOCK_DGRAM, "allow", "refuse"),
            Instruction(_RET, _ALLOW, label="allow"),
            Instruction(_RET, _ERROR | errno.EPERM, label="refuse"),
        ]
    )


def _calls(name: str) -> dict[str, int]:
    column = 0 if name == "x86_64" else 1
    return {call: numbers[column] for call, numbers in NUMBERS.items() if numbers[column] >= 0}


def _lead(name: str) -> Sequence[Instruction]:
    """Refuse the calls of other machines, whose numbers mean other things, and leave the number in the accumulator."""
    return (
        Instruction(_LOAD, _ARCHITECTURE_AT),
        Instruction(_JEQ, _ARCHITECTURES[name], "native", "refuse"),
        Instruction(_LOAD, _NUMBER_AT, label="native"),
        *((Instruction(_JGE, _X32, "refuse"),) if name == "x86_64" else ()),
    )


def _on(number: int, label: str) -> Iterator[Instruction]:
    yield Instruction(_JEQ, number, label)


def _argument(number: int, label: str) -> Iterator[Instruction]:
    yield Instruction(_LOAD, _ARGUMENTS_AT + 8 * number, label=label)
