"""Routes between networks by bird, where a scenario's faults are about them: one process a router, a session a link.

Who announces what, and which way is better, is said in `sim/interdomain.py`; here it is said to bird, and bird does it.
Wires have no addresses, so that sessions are between the routers' own. Within a network routes are reflected along its
links (RFC 4456); the sum of costs goes with them as their MED (RFC 4271, 5.1.4), which every router adds its own to.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from netprobe.sim.interdomain import Announcement, Tables
from netprobe.sim.kernel.layout import SILENT_EXIT, Layout
from netprobe.sim.namespaces import LabError, Namespaces, own_environment
from netprobe.sim.records import Fault

PROTOCOL = 12  # of bird's routes in the kernel's tables (linux/rtnetlink.h)
METRIC = 32  # of bird's routes; the way to nowhere has a larger one
_PATIENCE_S, _PAUSE_S = 15.0, 0.01
_PROGRAM = "bird"
_PLACES = "/usr/sbin:/sbin"  # where Debian puts it, and what an ordinary user's path leaves out
_DONE = ("0003", "0004", "0018")  # reconfigured; in progress; nothing to undo (doc/reply_codes of bird)


def config(layout: Layout, router: str, said: Sequence[Announcement], gone: frozenset[str] = frozenset()) -> str:
    """What bird at `router` has to be told while networks announce what is `said`; the routers `gone` are not there."""
    domains = layout.domains
    number, address = domains.numbers[router], layout.here(router)[0]
    own = [prefix for prefix in domains.prefixes if domains.owner(prefix) == number]
    unused = [one.prefix for one in said if not domains.uses(router, one)]
    mine = [one for one in said if one.router == router]
    peers = [peer for peer in domains.neighbours(router) if not gone & {router, peer}]
    wires = [(layout.here(peer)[0], layout.wire(router, peer).device(router)) for peer in peers]
    lines = [
        f"router id {address};",
        "log stderr { warning, error, fatal, bug };",
        "protocol device { scan time 3600; }",
        "ipv4 table wires;",
        "protocol static neighbours { ipv4 { table wires; };",
        *(f"route {a}/32 via {a}%'{device}' onlink;" for a, device in wires),
        "}",
        "protocol static announced { ipv4;",
        *map(_said, mine),
        "}",
        f"protocol kernel {{ scan time 3600; metric {METRIC}; ipv4 {{ import none; export filter {{",
        _reject((*own, *unused)),
        'if source = RTS_BGP || ifname != "" then accept; reject; }; }; }',
    ]
    for peer in peers:
        theirs, cost = domains.numbers[peer], domains.cost(router, peer)
        inside = theirs == number
        lines += [
            f"protocol bgp {{ local {address} as {number}; neighbor {layout.here(peer)[0]} as {theirs}; multihop 64;",
            f"passive {'on' if peer < router else 'off'}; connect delay time 1; connect retry time 1;",
            "error wait time 1, 1; hold time 3600; med metric on;",
            "rr client;" if inside else "",
            "ipv4 { igp table wires; next hop self on; import filter {",
            "" if inside else _reject(own),
            f"bgp_med = bgp_med + {cost}; accept; }};",
            "export filter { bgp_med = bgp_med; accept; }; }; }",
        ]
    return "\n".join(line for line in lines if line) + "\n"


def _said(one: Announcement) -> str:
    """An announcement: of what is here, or of what vanishes here, or of what is passed on by another route."""
    path = "+empty+"
    for number in reversed(one.behind):
        path = f"prepend({path}, {number})"
    way = f'via "{SILENT_EXIT}"' if one.kind == "hijack" else "blackhole"
    return f"route {one.prefix} {way} {{ bgp_med = 0; bgp_path = {path}; }};"


def _reject(prefixes: Iterable[str]) -> str:
    joined = ", ".join(dict.fromkeys(prefixes))
    return f"if net ~ [ {joined} ] then reject;" if joined else ""


def expected(layout: Layout, router: str, tables: Tables) -> dict[str, str]:
    """The neighbour to which `router` sends what is for each prefix, when all have heard all; empty: nowhere."""
    domains = layout.domains
    found = {}
    for prefix, choices in tables.items():
        choice = choices.get(router)
        if choice and domains.uses(router, choice.of) and domains.owner(prefix) != domains.numbers[router]:
            found[prefix] = layout.here(choice.towards)[0] if choice.towards else ""
    return found


class Birds:
    """The processes of a lab. Their files are in its `folder`."""

    def __init__(self, layout: Layout, folder: str, networks: Mapping[str, int], kernels: Mapping[str, Any]) -> None:
        self._layout = layout
        self._folder = folder
        self._networks = networks
        self._kernels = kernels
        self._numbers = {router: n for n, router in enumerate(layout.domains.numbers)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._told: dict[str, str] = {}

    def change(self, on: Sequence[Fault], gone: frozenset[str]) -> None:
        """Let networks announce what they do while the faults `on` are; back when all routers have heard it."""
        said = self._layout.domains.announcements(on, gone)
        for router in self._numbers:
            text = config(self._layout, router, said, gone)
            if text != self._told.get(router):
                self._told[router] = text
                self._file(router, "conf").write_text(text)
                self._tell(router)
        self._wait(self._layout.domains.tables(on, gone))

    def end(self) -> None:
        """They have nothing to save."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
            assert process.stderr is not None  # noqa: S101  # a pipe, as asked for
            process.stderr.close()

    def _file(self, router: str, suffix: str) -> Path:
        return Path(self._folder, f"bird-{self._numbers[router]}.{suffix}")

    def _tell(self, router: str) -> None:
        """Start it, or have it read its configuration again."""
        if router not in self._processes:
            program = shutil.which(_PROGRAM, path=f"{os.environ.get('PATH', '')}:{_PLACES}")
            if program is None:
                msg = "bird: not found; the scenario's faults are about routes between networks: install bird2"
                raise LabError(msg)
            command = [program, "-f", "-c", self._file(router, "conf").name, "-s", self._file(router, "ctl").name]
            self._processes[router] = Namespaces((self._networks[router],)).popen(
                command,
                cwd=self._folder,  # a socket's path may not be long
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=own_environment(),
            )
            return
        with _control(self._folder, self._file(router, "ctl").name) as control:
            control.sendall(b"configure\n")
            said = _reply(control)
        if not said.startswith(_DONE):
            msg = f"bird at {router}: {said}"
            raise LabError(msg)

    def _wait(self, tables: Tables) -> None:
        """Until each router has the routes that it should have in the end, by the kernel's own tables."""
        wanted = {router: expected(self._layout, router, tables) for router in self._numbers}
        until = time.monotonic() + _PATIENCE_S
        late = list(self._numbers)
        while late := [r for r in late if self._routes(r) != wanted[r]] or [
            r for r in self._numbers if self._routes(r) != wanted[r]
        ]:
            ended = [r for r, process in self._processes.items() if process.poll() is not None]
            if ended:
                stream = self._processes[ended[0]].stderr
                words = stream.read().decode(errors="replace").strip() if stream else ""
                msg = f"bird at {ended[0]} has ended: {words or 'it does not say why'}"
                raise LabError(msg)
            if time.monotonic() > until:
                found = self._routes(late[0])
                msg = f"bird at {late[0]} routes {found} instead of {wanted[late[0]]}"
                raise LabError(msg)
            time.sleep(_PAUSE_S)

    def _routes(self, router: str) -> dict[str, str]:
        """The neighbour of each prefix by what bird has told the kernel."""
        routes = self._kernels[router].get_routes(family=socket.AF_INET, proto=PROTOCOL)
        return {f"{r.get_attr('RTA_DST')}/{r['dst_len']}": r.get_attr("RTA_GATEWAY") or "" for r in routes}


@contextlib.contextmanager
def birds(
    layout: Layout, folder: str, networks: Mapping[str, int], kernels: Mapping[str, Any]
) -> Iterator[Birds | None]:
    """The processes of a lab, gone at the end; None where no fault is about routes."""
    found = Birds(layout, folder, networks, kernels) if layout.domains.used else None
    try:
        yield found
    finally:
        if found is not None:
            found.end()


@contextlib.contextmanager
def _control(folder: str, name: str) -> Iterator[socket.socket]:
    """A connection to a bird's control socket; by the folder's descriptor, because a socket's path may not be long."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(_PATIENCE_S)
            control.connect(f"/proc/self/fd/{descriptor}/{name}")
            _reply(control)  # its greeting
            yield control
    except OSError as error:
        msg = f"bird: its control socket {name}: {error.strerror or error}"
        raise LabError(msg) from error
    finally:
        os.close(descriptor)


def _reply(control: socket.socket) -> str:
    """The last line of what bird says: a code of four digits, a blank and words."""
    data = b""
    while not (data.endswith(b"\n") and data.splitlines()[-1][4:5] == b" "):
        more = control.recv(4096)
        if not more:
            raise OSError("it was closed")
        data += more
    return data.splitlines()[-1].decode(errors="replace")
