"""A network of kernel routers for the packet tests: nothing in it leads out of this machine.

client 192.0.2.2 -- 192.0.2.1 first 198.51.100.1 -- 198.51.100.2 second 203.0.113.1 -- server 203.0.113.2 .. .9

The links have the IPv6 networks 2001:db8:1::/64, 2001:db8:2::/64 and 2001:db8:3::/64, with the same last numbers.
"""

import ctypes
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

CLIENT = "192.0.2.2"
HOPS = ("192.0.2.1", "198.51.100.2")
SERVER = "203.0.113.2"
HOPS_V6 = ("2001:db8:1::1", "2001:db8:2::2")
SERVER_V6 = "2001:db8:3::2"
SILENT = "203.0.113.99"  # nobody has it: the last router asks its link in vain
_CLONE_NEWNET = 0x40000000
_LIFETIME_S = "900"  # a namespace whose test run was killed goes away by itself


@dataclass
class Namespace:
    """A network namespace that lives as long as the process that holds it."""

    holder: "subprocess.Popen[bytes]"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread's sockets are made in here."""
        libc = ctypes.CDLL(None, use_errno=True)
        there_path = Path(f"/proc/{self.holder.pid}/ns/net")
        with Path("/proc/thread-self/ns/net").open("rb") as home, there_path.open("rb") as there:
            if libc.setns(there.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), _CLONE_NEWNET)

    def command(self, *words: str) -> list[str]:
        """`words` as a command that runs in here."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", "--", *words]

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a command in here and return what it printed."""
        return subprocess.run(self.command(*words), input=stdin, check=True, capture_output=True, text=True).stdout

    def sysctl(self, **values: int) -> None:
        """Set net.ipv4 values, those that this kernel has in a namespace."""
        self.run("sysctl", "-e", "-q", "-w", *(f"net.ipv4.{name}={value}" for name, value in values.items()))

    def sysctl_v6(self, **values: int) -> None:
        """Set net.ipv6 values; a double underscore stands for the slash."""
        names = (f"net.ipv6.{name.replace('__', '.')}={value}" for name, value in values.items())
        self.run("sysctl", "-e", "-q", "-w", *names)

    @contextmanager
    def capturing(self, device: str, expression: str, count: int) -> Iterator[list[str]]:
        """What tcpdump prints of the first `count` packets that fit, one string a packet, once the block has run."""
        words = ("tcpdump", "-n", "-v", "-S", "-l", "-i", device, "-c", str(count), expression)
        seen: list[str] = []
        with subprocess.Popen(self.command("timeout", "10", *words), stdout=-1, stderr=-1, text=True) as tcpdump:
            assert tcpdump.stderr is not None
            assert tcpdump.stdout is not None
            while "listening on" not in tcpdump.stderr.readline():
                assert tcpdump.poll() is None
            yield seen
            printed = tcpdump.stdout.read()
        seen += [" ".join(one.split()) for one in re.split(r"IP6? \(", printed)[1:]]

    @contextmanager
    def firewall(self, *rules: str) -> Iterator[None]:
        """Rules of nftables, each as `hook rule`, while the block runs."""
        self.run("nft", "add", "table", "ip", "test")
        try:
            for number, rule in enumerate(rules):
                hook, what = rule.split(" ", 1)
                script = f"add chain ip test c{number} {{ type filter hook {hook} priority 0; }}\n"
                self.run("nft", "-f", "-", stdin=f"{script}add rule ip test c{number} {what}\n")
            yield
        finally:
            self.run("nft", "delete", "table", "ip", "test")


def _namespace(stack: ExitStack) -> Namespace:
    holder = subprocess.Popen(
        ["unshare", "-n", "--", "sh", "-c", f"echo; exec sleep {_LIFETIME_S}"], stdout=subprocess.PIPE
    )
    stack.enter_context(holder)
    stack.callback(holder.kill)
    assert holder.stdout is not None
    holder.stdout.readline()  # it has its namespace now
    namespace = Namespace(holder)
    namespace.sysctl_v6(conf__all__accept_dad=0, conf__default__accept_dad=0)  # addresses that work at once
    namespace.run("ip", "link", "set", "lo", "up")
    return namespace


def _link(number: int, a: Namespace, a_name: str, a_address: str, b: Namespace, b_name: str, b_address: str) -> None:
    """A link; its IPv6 network is the `number`th."""
    peer = ("peer", "name", b_name, "netns", str(b.holder.pid))
    a.run("ip", "link", "add", a_name, "type", "veth", *peer)
    for end, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
        last = address.partition("/")[0].rpartition(".")[2]
        end.run("ip", "address", "add", address, "dev", name)
        end.run("ip", "address", "add", f"2001:db8:{number}::{last}/64", "dev", name, "nodad")
        end.run("ip", "link", "set", name, "up")


@dataclass
class Network:
    """The namespaces of the picture above."""

    client: Namespace
    first: Namespace
    second: Namespace
    server: Namespace


@contextmanager
def network_of_routers() -> Iterator[Network]:
    """The network of the picture above; routers answer as fast as they can."""
    with ExitStack() as stack:
        client, first, second, server = (_namespace(stack) for _ in range(4))
        _link(1, client, "uplink", f"{CLIENT}/24", first, "inner", "192.0.2.1/24")
        _link(2, first, "outer", "198.51.100.1/24", second, "inner", "198.51.100.2/24")
        _link(3, second, "outer", "203.0.113.1/24", server, "uplink", f"{SERVER}/24")
        for last in range(3, 10):
            server.run("ip", "address", "add", f"203.0.113.{last}/24", "dev", "uplink")
        client.run("ip", "route", "add", "default", "via", "192.0.2.1")
        first.run("ip", "route", "add", "default", "via", "198.51.100.2")
        second.run("ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
        server.run("ip", "route", "add", "default", "via", "203.0.113.1")
        client.run("ip", "route", "add", "default", "via", "2001:db8:1::1")
        first.run("ip", "route", "add", "default", "via", "2001:db8:2::2")
        second.run("ip", "route", "add", "2001:db8:1::/64", "via", "2001:db8:2::1")
        server.run("ip", "route", "add", "default", "via", "2001:db8:3::1")
        for answering in (first, second, server):
            answering.sysctl_v6(conf__all__forwarding=1, icmp__ratelimit=0)
            answering.sysctl(ip_forward=1, icmp_ratelimit=0, icmp_msgs_per_sec=100_000, icmp_msgs_burst=100_000)
        yield Network(client, first, second, server)
