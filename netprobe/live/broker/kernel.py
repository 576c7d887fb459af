"""Giving up rights for good: capabilities, credentials, no_new_privs, seccomp. Used by the broker and by the worker.

Every function raises OSError when the kernel refuses. What is given up does not come back (capabilities(7), prctl(2)).
"""

import ctypes
import os

CAP_SETPCAP, CAP_NET_RAW = 8, 13

# linux/prctl.h
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_KEEPCAPS, _SET_NAME, _SET_SECCOMP = 1, 4, 8, 15, 22
_CAPBSET_READ, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 23, 24, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h: version 3, two words a set
_MOST_CAPABILITIES = 64
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def _prctl(option: int, first: int = 0, second: int = 0) -> int:
    return _checked(_libc.prctl(option, ctypes.c_ulong(first), ctypes.c_ulong(second), ctypes.c_ulong(0), 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def set_name(name: str) -> None:
    """What `ps` calls this thread; 15 bytes."""
    _checked(_libc.prctl(_SET_NAME, name.encode(), 0, 0, 0))


def die_with_parent() -> None:
    """Be killed when the parent is gone. A change of credentials undoes this: to be called after it."""
    _prctl(_SET_PDEATHSIG, _SIGKILL)


def refuse_inspection() -> None:
    """No core dump, no ptrace and no look into /proc by others of the same user."""
    _prctl(_SET_DUMPABLE, 0)


def effective_capabilities() -> int:
    """The effective set of this thread, as a mask."""
    effective, _, _ = _capabilities()
    return effective


def set_capabilities(mask: int, *, inheritable: int = 0) -> None:
    """Have exactly the capabilities of `mask`, effective and permitted."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    words = [part >> shift & 0xFFFFFFFF for shift in (0, 32) for part in (mask, mask, inheritable)]
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)(*words)))


def _capabilities() -> tuple[int, int, int]:
    """Effective, permitted and inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, data))
    low, high = data[:3], data[3:]
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def pass_on(capability: int) -> None:
    """Let a program that this process starts have `capability` too, though it is not root's (ambient set)."""
    _, permitted, _ = _capabilities()
    set_capabilities(permitted, inheritable=1 << capability)
    _prctl(_CAP_AMBIENT, _AMBIENT_RAISE, capability)


def give_up(user: tuple[int, int] | None, *, keep: int = 0) -> None:
    """Become `user` (uid, gid) if there is one, keep the capabilities of the mask `keep`, and never get more.

    The bounding set is emptied where CAP_SETPCAP allows it; without that it says what could be had once, and
    no_new_privs that it cannot.
    """
    if effective_capabilities() >> CAP_SETPCAP & 1:
        for capability in range(_MOST_CAPABILITIES):
            try:
                _prctl(_CAPBSET_DROP, capability)
            except OSError:  # beyond the last one that this kernel knows
                break
    _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    if user is not None:
        uid, gid = user
        _prctl(_SET_KEEPCAPS, int(bool(keep)))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        _prctl(_SET_KEEPCAPS, 0)
    set_capabilities(keep)
    _prctl(_SET_NO_NEW_PRIVS, 1)


def install_filter(program: bytes) -> None:
    """Have the kernel check every system call of this thread and those that it starts (seccomp(2)).

    `program` is an array of struct sock_filter. Needs no_new_privs.
    """
    fprog = _FilterProgram(len(program) // 8, program)
    _checked(_libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(fprog), 0, 0))
