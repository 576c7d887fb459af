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

from netprobe.sim.interdomain import Announcement, Interdomain, Tables
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
    lines = [
        f"router id {layout.here(router)[0]};",
        "log stderr { warning, error, fatal, bug };",
        "protocol device { scan time 3600; }",
    ]
    for over_v6, domains in enumerate((layout.domains, layout.domains_v6)):
        if domains.used and router in domains.numbers:
            ours = [one for one in said if (":" in one.prefix) is bool(over_v6)]
            lines += _version(layout, domains, router, ours, gone, over_v6=bool(over_v6))
    return "\n".join(line for line in lines if line) + "\n"


def _version(
    layout: Layout,
    domains: Interdomain,
    router: str,
    said: Sequence[Announcement],
    gone: frozenset[str],
    *,
    over_v6: bool,
) -> Iterator[str]:
    """All of one version of IP. Sessions of IPv6 are between the link-local addresses of a wire, which is enough."""
    version, number = "ipv6" if over_v6 else "ipv4", domains.numbers[router]
    own = [prefix for prefix in domains.prefixes if domains.owner(prefix) == number]
    unused = [one.prefix for one in said if not domains.uses(router, one)]
    peers = [peer for peer in domains.neighbours(router) if not gone & {router, peer}]
    if not over_v6:
        yield "ipv4 table wires;"
        yield "protocol static neighbours { ipv4 { table wires; };"
        for peer in peers:
            address, device = layout.here(peer)[0], layout.wire(router, peer).device(router)
            yield f"route {address}/32 via {address}%'{device}' onlink;"
        yield "}"
    yield f"protocol static {{ {version};"
    yield from (_said(one) for one in said if one.router == router)
    yield "}"
    yield f"protocol kernel {{ scan time 3600; metric {METRIC}; {version} {{ import none; export filter {{"
    yield _reject((*own, *unused))
    yield 'if source = RTS_BGP || ifname != "" then accept; reject; }; }; }'
    for peer in peers:
        theirs, cost, wire = domains.numbers[peer], domains.cost(router, peer), layout.wire(router, peer)
        inside = theirs == number
        if over_v6:
            yield f"protocol bgp {{ local {layout.link_local(wire, router)} as {number}; direct;"
            yield f'neighbor {layout.link_local(wire, peer)} as {theirs}; interface "{wire.device(router)}";'
        else:
            yield f"protocol bgp {{ local {layout.here(router)[0]} as {number}; multihop 64;"
            yield f"neighbor {layout.here(peer)[0]} as {theirs};"
        yield f"passive {'on' if peer < router else 'off'}; connect delay time 1; connect retry time 1;"
        yield "error wait time 1, 1; hold time 3600; med metric on;"
        yield "rr client;" if inside else ""
        yield f"{version} {{ {'' if over_v6 else 'igp table wires; '}next hop self on; import filter {{"
        yield "" if inside else _reject(own)
        yield f"bgp_med = bgp_med + {cost}; accept; }};"
        yield "export filter { bgp_med = bgp_med; accept; }; }; }"


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


def expected(layout: Layout, domains: Interdomain, router: str, tables: Tables) -> dict[str, str]:
    """The neighbour to which `router` sends what is for each prefix, when all have heard all; empty: nowhere."""
    found = {}
    for prefix, choices in tables.items():
        choice = choices.get(router)
        if choice and domains.uses(router, choice.of) and domains.owner(prefix) != domains.numbers[router]:
            towards = choice.towards
            by_v6 = layout.link_local(layout.wire(router, towards), towards) if towards and ":" in prefix else ""
            found[prefix] = by_v6 or (layout.here(towards)[0] if towards else "")
    return found


class Birds:
    """The processes of a lab. Their files are in its `folder`."""

    def __init__(self, layout: Layout, folder: str, networks: Mapping[str, int], kernels: Mapping[str, Any]) -> None:
        self._layout = layout
        self._folder = folder
        self._networks = networks
        self._kernels = kernels
        self._domains = [domains for domains in (layout.domains, layout.domains_v6) if domains.used]
        routers = dict.fromkeys(router for domains in self._domains for router in domains.numbers)
        self._numbers = {router: n for n, router in enumerate(routers)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._told: dict[str, str] = {}

    def change(self, on: Sequence[Fault], gone: frozenset[str]) -> None:
        """Let networks announce what they do while the faults `on` are; back when all routers have heard it."""
        said = [one for domains in self._domains for one in domains.announcements(on, gone)]
        for router in self._numbers:
            text = config(self._layout, router, said, gone)
            if text != self._told.get(router):
                self._told[router] = text
                self._file(router, "conf").write_text(text)
                self._tell(router)
        self._wait([(domains, domains.tables(on, gone)) for domains in self._domains])

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

    def _wait(self, tables: Sequence[tuple[Interdomain, Tables]]) -> None:
        """Until each router has the routes that it should have in the end, by the kernel's own tables."""
        wanted: dict[str, dict[str, str]] = {router: {} for router in self._numbers}
        for domains, choices in tables:
            for router in domains.numbers:
                wanted[router] |= expected(self._layout, domains, router, choices)
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
        families = [socket.AF_INET6 if ":" in domains.prefixes[0] else socket.AF_INET for domains in self._domains]
        kernel = self._kernels[router]
        routes = [route for family in families for route in kernel.get_routes(family=family, proto=PROTOCOL)]
        return {f"{r.get_attr('RTA_DST')}/{r['dst_len']}": r.get_attr("RTA_GATEWAY") or "" for r in routes}


@contextlib.contextmanager
def birds(
    layout: Layout, folder: str, networks: Mapping[str, int], kernels: Mapping[str, Any]
) -> Iterator[Birds | None]:
    """The processes of a lab, gone at the end; None where no fault is about routes."""
    used = layout.domains.used or layout.domains_v6.used
    found = Birds(layout, folder, networks, kernels) if used else None
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
