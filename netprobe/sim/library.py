"""Where scenario files are: the folder that comes with netprobe, and paths that a user gives."""

import re
from pathlib import Path

_HERE = Path(__file__).resolve()
#: In an installed wheel the folder lies inside the package, in the repository beside it.
_PLACES = (_HERE.parents[1] / "scenarios", _HERE.parents[2] / "scenarios")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def folder() -> Path:
    """The folder of the built-in scenarios."""
    return next((place for place in _PLACES if (place / "networks").is_dir()), _PLACES[-1])


def names() -> tuple[str, ...]:
    """The built-in scenarios in which one thing is so all the time, in order of their names; incidents among them."""
    return tuple(sorted(path.stem for place in (folder(), folder() / "incidents") for path in place.glob("*.toml")))


def timelines() -> tuple[str, ...]:
    """The built-in scenarios in which something begins and ends: for those who watch, not for a single diagnosis."""
    return tuple(sorted(path.stem for path in (folder() / "timelines").glob("*.toml")))


def find(name_or_path: str | Path) -> Path | None:
    """The file that is meant: a path that exists, or a built-in scenario."""
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and _NAME.fullmatch(name_or_path):
        places = (folder(), folder() / "incidents", folder() / "timelines")
        path = next((file for place in places if (file := place / f"{name_or_path}.toml").is_file()), path)
    return path if path.is_file() else None


def find_network(name: str, scenario: Path) -> Path | None:
    """The network that a scenario names: in `networks/` beside it, a built-in one, or a path from there."""
    candidates = [place / f"{name}.toml" for place in _network_folders(scenario)] if _NAME.fullmatch(name) else []
    candidates.append(scenario.parent / name)
    return next((path for path in candidates if path.is_file()), None)


def networks(scenario: Path) -> list[str]:
    """The networks that `scenario` may name."""
    return sorted({path.stem for place in _network_folders(scenario) for path in place.glob("*.toml")})


def shown(path: Path) -> str:
    """A path as messages show it: a built-in file without the folders above `scenarios`."""
    try:
        return str(Path("scenarios") / path.resolve().relative_to(folder()))
    except ValueError:
        return str(path)


def _network_folders(scenario: Path) -> tuple[Path, ...]:
    return scenario.resolve().parent / "networks", folder() / "networks"
