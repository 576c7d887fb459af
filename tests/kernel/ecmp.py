"""Kernel routers that balance over several ways, and one multipath discovery through them.

Run as `python -m tests.kernel.ecmp WAYS [far] [-- COMMAND...]`: it re-executes itself in namespaces of its own, builds the routers,
leaves all of their limits as Linux has them, and prints the graph and what the routers' kernels kept back as JSON. With
a COMMAND it runs that on the client instead, and adds what was kept back as a last line.
Everything is gone when it ends.

    client - near -+- way0 -+- server             client - near -+- way0 -+- far - server
                   +- way1 -+              far:                  +- way1 -+
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Protocol
from netprobe.model.record import to_json
from netprobe.probing.multipath import MultipathSession
from netprobe.probing.run import one, run

SERVER = "203.0.113.1"
OURSELVES = (sys.executable, "-m", "tests.kernel.ecmp")


def command(*words: str) -> str:
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def inside(node: str, *words: str) -> str:
    return command("ip", "netns", "exec", node, *words)


def make(node: str) -> None:
    command("ip", "netns", "add", node)
    inside(node, "ip", "link", "set", "lo", "up")
    inside(
        node,
        "sysctl",
        "-qw",
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.default.rp_filter=0",
    )


def link(near: str, far: str, net: str) -> None:
    """Join two nodes: `net`.1 and `net`.2."""
    command("ip", "link", "add", f"to-{far}", "netns", near, "type", "veth", "peer", "name", f"to-{near}", "netns", far)
    for node, peer, last in ((near, far, 1), (far, near, 2)):
        inside(node, "ip", "address", "add", f"{net}.{last}/24", "dev", f"to-{peer}")
        inside(node, "ip", "link", "set", f"to-{peer}", "up")


def build(ways: int, *, far: bool) -> list[str]:
    """The network of the picture; returns its routers."""
    names = [f"way{number}" for number in range(ways)]
    end = "far" if far else "server"
    for node in ("client", "near", *names, *(["far"] if far else []), "server"):
        make(node)
    link("near", "client", "192.0.2")
    inside("client", "ip", "route", "add", "default", "via", "192.0.2.1")
    hops = []
    for number, way in enumerate(names):
        link("near", way, f"10.1.{number}")
        link(way, end, f"10.2.{number}")
        inside(way, "ip", "route", "add", f"{SERVER}/32", "via", f"10.2.{number}.2")
        inside(way, "ip", "route", "add", "192.0.2.0/24", "via", f"10.1.{number}.1")
        hops += ["nexthop", "via", f"10.1.{number}.2"]
    inside("near", "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")  # ports too
    inside("near", "ip", "route", "add", f"{SERVER}/32", *hops)
    inside(end, "ip", "route", "add", "192.0.2.0/24", "via", "10.2.0.1")
    if far:
        link("far", "server", "10.3.0")
        inside("far", "ip", "route", "add", f"{SERVER}/32", "via", "10.3.0.2")
        inside("server", "ip", "route", "add", "default", "via", "10.3.0.1")
    inside("server", "ip", "address", "add", f"{SERVER}/32", "dev", "lo")
    return ["near", *names, *(["far"] if far else [])]


def kept_back(node: str) -> int:
    """ICMP errors that the kernel of `node` did not send because of its limits."""
    names, values = (
        line.split()[1:] for line in inside(node, "cat", "/proc/net/snmp").splitlines() if line.startswith("Icmp:")
    )
    counted = dict(zip(names, map(int, values), strict=True))
    return sum(count for name, count in counted.items() if name.startswith("OutRateLimit"))


def discover() -> None:
    """On the client: print the graph."""
    with LiveVantage() as vantage:
        graph = run(one(MultipathSession(Flow(Protocol.TCP, SERVER, 443))), vantage)
    sys.stdout.write(to_json(graph).decode())


def main(ways: int, *, far: bool, words: list[str]) -> None:
    if os.environ.get("KERNEL_ECMP") != "inside":
        os.environ["KERNEL_ECMP"] = "inside"
        own = [
            "unshare",
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        os.execvp(own[0], [*own, *OURSELVES, *sys.argv[1:]])  # noqa: S606
    command("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/netns").mkdir()
    routers = build(ways, far=far)
    if words:
        subprocess.run(["ip", "netns", "exec", "client", *words], check=True)
        sys.stdout.write(f"kept back: {sum(map(kept_back, routers))}\n")
        return
    graph = json.loads(inside("client", *OURSELVES, "discover"))
    json.dump({"graph": graph, "kept_back": sum(map(kept_back, routers))}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "discover":
        discover()
    else:
        own, _, rest = " ".join(sys.argv[1:]).partition(" -- ")
        main(int(sys.argv[1]), far=own.endswith(" far"), words=rest.split())
