"""Where announcements come from: addresses of feeds and local files, as the configuration and the option name them.

A file is opened while this process may still do so and read within bounds; what it says is parsed later, without
privilege, because whoever wrote it may have got it from a stranger.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from netprobe.cli.failure import Failure
from netprobe.model.announcements import Announced
from netprobe.model.targets import Platform
from netprobe.probing.announced import MOST_BYTES, MOST_SOURCES, SourceError, Sources, place_of, understood

OPTION = "--announcements"


def check(values: Sequence[str], where: str) -> None:
    """Refuse what can be no source, or too many; `where` is what the message calls the place."""
    if len(values) > MOST_SOURCES:
        msg = f"{where}: {len(values)} sources; at most {MOST_SOURCES} are read"
        raise Failure(msg)
    for value in values:
        if not value or not value.isprintable():
            msg = f"{where}: {value!a}: give an https address, or the path of a file that can be printed"
            raise Failure(msg)
        try:
            if _is_address(value):
                place_of(value)
        except SourceError as error:
            msg = f"{where}: '{value}': {error}"
            raise Failure(msg) from None


def _is_address(value: str) -> bool:
    return "://" in value


class Document(NamedTuple):
    """A local file: its first bytes, or why they cannot be read."""

    path: str
    data: bytes = b""
    error: str = ""


class Announcements(NamedTuple):
    """All sources of one diagnosis, with what the files held when they were last read."""

    urls: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any source."""
        return bool(self.urls or self.documents)

    def again(self) -> "Announcements":
        """The same files as they are now: one that cannot be read any more is said to be unreadable."""
        return self._replace(documents=tuple(_read(document.path) for document in self.documents))

    def sources(self, platform: Platform) -> Sources:
        """What a diagnosis of `platform` is given."""
        return Sources(self.urls, tuple(_understood(document, platform) for document in self.documents))


def gather(values: Sequence[str], where: str) -> Announcements:
    """Read the files among `values`. Raises `Failure` where one is no source, or a file that cannot be read."""
    check(values, where)
    values = list(dict.fromkeys(values))
    documents = tuple(_read(value) for value in values if not _is_address(value))
    for document in documents:
        if document.error:
            msg = f"{where}: {document.path}: {document.error}; give a feed that is a file, or its https address"
            raise Failure(msg)
    return Announcements(tuple(value for value in values if _is_address(value)), documents)


def _read(path: str) -> Document:
    try:
        if not Path(path).is_file():  # a device or a pipe would never end
            return Document(path, error="is no file" if Path(path).exists() else "no such file")
        with Path(path).open("rb") as file:
            return Document(path, file.read(MOST_BYTES))
    except OSError as error:
        return Document(path, error=f"cannot be read: {error.strerror}")


def _understood(document: Document, platform: Platform) -> Announced:
    if document.error:
        return Announced(document.path, error="unreadable")
    return understood(document.path, document.data, platform)
