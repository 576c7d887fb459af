"""The folder of a lab: who lives uses it, and what the dead have left is removed by the next who makes one.

A lab's namespaces, devices and mounts go with its processes. What a SIGKILL can leave are its folder, and processes
that its commands have started. Whoever needs the folder holds a lock on it (flock(2)), so that nobody has to guess.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

_PREFIX = "netprobe-world-"
_AT_WORK_S = 60.0  # longer than it takes from making a folder to its lock


def make() -> tuple[str, int]:
    """Remove what the dead have left, and make a folder; its lock lives as long as the descriptor."""
    sweep()
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    Path(folder).chmod(0o755)  # a command may run as another user; no secret is in it
    return folder, hold(folder)


def hold(folder: str) -> int:
    """Another descriptor with the lock, for another process. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def sweep() -> None:
    """Remove the folders of this user that nobody holds, and end who still lives in such a lab."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # held, somebody else's, or gone meanwhile
            _sweep(folder)


def _sweep(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        being_made = not any(folder.iterdir()) and time.time() - status.st_mtime < _AT_WORK_S
        if status.st_uid == os.geteuid() and not being_made:
            for pid in _inhabitants(folder):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def _inhabitants(folder: Path) -> list[int]:
    """The processes that see a file of this folder in place of one of the machine's (proc_pid_mountinfo(5))."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{folder.name}/" in (entry / "mountinfo").read_text():
                    found.append(int(entry.name))
    return found
