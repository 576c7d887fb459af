"""Files that the user asked for: opened while this process still may, written when there is something to write."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from netprobe.cli.failure import Failure


class Output:
    """A file that will be written once, or none at all."""

    def __init__(self, option: str, path: Path | None, descriptor: int = -1) -> None:
        self._option = option
        self.path = path
        self._descriptor = descriptor
        self._written = False

    @property
    def wanted(self) -> bool:
        """Whether the user asked for one."""
        return self.path is not None

    @classmethod
    @contextmanager
    def open(cls, option: str, path: Path | None) -> Iterator[Self]:
        """The file at `path`, named by `option`: what is in it stays until something is written.

        A file that was made here and not written is removed again, where that is still allowed. Raises `Failure` for a
        place where no file can be written, before anything is measured.
        """
        if path is None:
            yield cls(option, None)
            return
        if str(path) == "-":
            raise Failure(f"{option}: standard output is for the answer; name a file")
        made = False
        try:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                made = True
            except FileExistsError:
                descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            why = error.strerror
            msg = f"{option}: {path}: cannot be written; name a file in a folder that is there and yours ({why})"
            raise Failure(msg) from None
        output = cls(option, path, descriptor)
        try:
            if made:
                output._belong_to_who_called_sudo()
            yield output
        finally:
            os.close(descriptor)
            if made and not output._written:
                with suppress(OSError):
                    path.unlink()

    def begin(self) -> int:
        """Empty the file: a descriptor of it, which is the caller's to close. Raises OSError."""
        self._written = True
        descriptor = os.dup(self._descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a pipe or a terminal
            os.ftruncate(descriptor, 0)
        return descriptor

    def write(self, data: str) -> None:
        """Put `data` in the place of what the file had. Raises `Failure`."""
        try:
            with os.fdopen(self.begin(), "wb") as file:
                file.write(data.encode())
        except OSError as error:
            raise self.failure(error) from None

    def failure(self, error: OSError) -> Failure:
        """What to tell the user about a file that cannot be written."""
        return Failure(f"{self._option}: {self.path}: cannot be written: {error.strerror}")

    def _belong_to_who_called_sudo(self) -> None:
        if os.geteuid() == 0:
            with suppress(KeyError, ValueError, OSError):
                os.fchown(self._descriptor, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


#: No file is wanted.
NO_OUTPUT = Output("", None)
