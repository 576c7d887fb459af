"""The project's own rules: what its documents, tables and files promise about each other."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from netprobe.diagnosis import signs, table
from netprobe.diagnosis.causes import tables
from tests.benchmarks.rows import HELD

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: What a file of the project must not name: where somebody's machine keeps things, and where packages come from.
FOREIGN = re.compile(
    "|".join(("/wo" + "rk/", "/ro" + "ot/", r"py" + r"pi\.", "python" + "hosted", "npm" + r"js\.", "/tmp/" + "venv"))
)


def files() -> list[Path]:
    """What git keeps, as text."""
    said = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return [ROOT / name for name in said.split("\0") if name and not name.endswith((".bin", ".pcap", ".png"))]


def words(camel: str) -> str:
    """HostState: host state."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", camel).lower()


def test_scenarios_that_documents_run_exist() -> None:
    """Whatever the documents tell the reader to run can be run."""
    for page in ("README.md", "scripts/demo.sh"):
        for name in re.findall(r"(?:lab run|^run) ([a-z][a-z0-9-]+)", (ROOT / page).read_text(), re.MULTILINE):
            assert (ROOT / "scenarios" / f"{name}.toml").is_file(), f"{page}: {name}"


def test_links_between_documents_lead_somewhere() -> None:
    """A relative link in a document names a file that is there."""
    for page in (path for path in files() if path.suffix == ".md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_no_machine_and_no_registry_is_named() -> None:
    """The tree works anywhere: no file knows where it was written or where packages come from."""
    found = [str(path.relative_to(ROOT)) for path in files() if path.is_file() and FOREIGN.search(path.read_text())]
    assert found == []


def test_every_noun_is_in_the_glossary() -> None:
    """Each record of the model is defined once in docs/glossary.md, in bold."""
    defined = re.findall(r"\*\*([^*]+)\*\*", (ROOT / "docs/glossary.md").read_text())
    known = {term.split(" (")[0].lower() for term in defined}
    for module in (ROOT / "netprobe/model").glob("*.py"):
        for node in ast.parse(module.read_text()).body:
            if isinstance(node, ast.ClassDef):
                assert words(node.name) in known, f"{module.name}: {node.name}"


def test_decisions_are_numbered_and_listed() -> None:
    """Each decision has the next number, and the list of decisions has it."""
    folder = ROOT / "docs/decisions"
    records = sorted(folder.glob("[0-9]*.md"))
    assert [path.name[:4] for path in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    listed = (folder / "README.md").read_text()
    assert [path.name for path in records if f"({path.name})" not in listed] == []


def test_the_page_of_causes_is_current() -> None:
    """docs/causes.md is what the table of causes says: `make docs` was not forgotten."""
    assert table.page(tables()) == (ROOT / "docs/causes.md").read_text(encoding="utf-8")


def test_the_page_of_signals_is_current() -> None:
    """docs/signals.md is what the table of signs says."""
    assert signs.page(signs.signs()) == (ROOT / "docs/signals.md").read_text(encoding="utf-8")


def test_every_exception_to_the_style_has_its_reason() -> None:
    """Each rule that pyproject.toml switches off says why, on its line."""
    switched_off = re.findall(r'^ +"[A-Z]+[0-9]+",.*$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert switched_off
    assert [line for line in switched_off if not re.search(r"#\s+\w", line)] == []


def test_requirements_pin_what_the_project_names() -> None:
    """Each dependency is pinned, each pin has hashes, and no line says where to get it."""
    text = (ROOT / "requirements.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert {re.match("[A-Za-z0-9-]+", line)[0].lower() for line in wanted} <= pinned  # type: ignore[index]
    assert text.count("--hash=sha256:") >= len(pinned)
    assert not re.search(r"^(-|.*https?:)", text, re.MULTILINE)
    assert "pydantic" not in pinned  # docs/decisions/0011


@pytest.mark.parametrize("path", [*(ROOT / "tests").rglob("test_*.py")], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_states_its_truth(path: Path) -> None:
    """A test's docstring is a sentence that is true when it passes."""
    silent = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("imports", "never"),
    [
        ("netprobe.__main__", {"msgspec", "typer", "rich", "ssl", "scapy"}),
        ("netprobe.engine, netprobe.live.vantage", {"typer", "rich", "scapy", "cryptography", "sqlite3", "asyncio"}),
        ("netprobe.agent", {"typer", "rich", "scapy", "cryptography"}),
        ("netprobe.lab.score", {"typer", "rich", "scapy"}),
        ("netprobe.cli.app", {"rich", "scapy", "cryptography", "pyroute2"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(imports: str, never: set[str]) -> None:
    """Starting costs what the command needs, and scapy is never on the way to a diagnosis."""
    program = f"import sys, {imports}; print(*sorted({never!r} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.split() == []


def test_what_a_test_holds_is_held() -> None:
    """The tests that the benchmark table points at are there."""
    for _, held in HELD:
        path, _, name = held.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()
