"""Where scenarios are found."""

from pathlib import Path

import pytest

from netprobe.sim import library
from tests.twelve import TWELVE


def test_the_twelve_are_there() -> None:
    """The situations that every diagnosis is measured by."""
    assert set(library.names()) >= set(TWELVE)
    assert "isp-outage-begins-and-ends" in library.timelines()


def test_a_file_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name means the built-in scenario, a path any file; a file here does not hide a built-in one."""
    mine = tmp_path / "mine.toml"
    mine.write_text("")
    monkeypatch.chdir(tmp_path)
    assert library.find(str(mine)) == mine
    assert library.find("mine.toml") == Path("mine.toml")
    built_in = library.find("healthy")
    assert built_in is not None
    assert built_in.parent == library.folder()
    assert library.find("isp-outage-begins-and-ends") is not None
    assert library.find("nothing") is None


def test_messages_do_not_show_where_netprobe_lies() -> None:
    """A built-in file is shown as in the repository."""
    assert library.shown(library.folder() / "networks" / "typical.toml") == "scenarios/networks/typical.toml"
    assert library.shown(Path("/etc/x.toml")) == "/etc/x.toml"
