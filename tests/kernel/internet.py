"""An Internet of kernel routers: nothing of ours in it but the client's `netprobe diagnose`.

Run as `python internet.py ADDRESSING FAULT`: it re-executes itself in namespaces of its own (network, mounts,
processes), builds routers as network namespaces joined by veth pairs, starts nginx and dnsmasq as servers, breaks what
FAULT says with routes, nftables and configuration, and prints the JSON of one diagnosis. Everything is gone when it
ends.

    client - home - bng - core - border - ixp --- akamai
                                        |      +- cloudflare
                                        |      +- google
                                        +-- transit - bytedance
                                                    +- fastly
                                                    +- wikimedia
                                                    +- quad9
"""

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROUTERS = ("home", "bng", "core", "border", "ixp", "transit")
CHAIN = (
    ("client", "home"),
    ("home", "bng"),
    ("bng", "core"),
    ("core", "border"),
    ("border", "ixp"),
    ("border", "transit"),
)
BEHIND = {
    "akamai": "ixp",
    "cloudflare": "ixp",
    "google": "ixp",
    "bytedance": "transit",
    "fastly": "transit",
    "wikimedia": "transit",
    "quad9": "transit",
}
NAMES = {
    "akamai": ["www.tiktok.com", "api16-normal-c-useast1a.tiktokv.com", "v16-webapp.tiktok.com", "www.apple.com"],
    "bytedance": ["api-h2.tiktokv.com", "login.tiktok.com", "open-upload.tiktokapis.com"],
    "fastly": ["v19.tiktokcdn.com", "www.python.org"],
    "wikimedia": ["www.wikipedia.org"],
    "google": ["www.google.com"],
}
#: The first address of each link's two ends (x, then x + 1), and what each server holds.
REAL = {
    "links": ["192.168.1", "87.186.224", "217.5.116", "217.239.45", "80.81.192", "62.115.140"],
    "last": ["23.210.248", "141.101.65", "142.250.160", "71.18.1", "151.101.128", "185.15.58", "66.220.52"],
    "akamai": "23.50.131.10",
    "cloudflare": "1.1.1.1",
    "google": "8.8.8.8",
    "bytedance": "71.18.80.20",
    "fastly": "151.101.194.73",
    "wikimedia": "185.15.59.224",
    "quad9": "9.9.9.9",
    "isp-resolver": "194.25.2.129",
}
#: The same network where no address belongs to any AS, but for the resolvers that everybody knows.
PLAIN = {
    **REAL,
    "links": ["192.168.7", "10.1.1", "10.2.1", "10.2.2", "10.3.1", "10.4.1"],
    "last": ["10.5.1", "10.5.2", "10.5.3", "10.6.1", "10.6.2", "10.6.3", "10.6.4"],
    "akamai": "198.18.1.10",
    "bytedance": "198.18.2.20",
    "fastly": "198.18.3.73",
    "wikimedia": "198.18.4.224",
    "isp-resolver": "10.2.9.53",
}


#: What devices ask to learn whether there is an Internet, and what they are to be answered.
CHECKS = (
    "location = /generate_204 { return 204; } location = /library/test/success.html { "
    "return 200 '<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>'; }"
)


def run(*words: str, check: bool = True) -> None:
    subprocess.run(words, check=check, stdout=subprocess.DEVNULL)


def inside(node: str, *words: str) -> None:
    run("ip", "netns", "exec", node, *words)


class Internet:
    """The network as it is when nothing is broken, and handles to break it with."""

    def __init__(self, addresses: dict[str, Any], folder: Path) -> None:
        self.addresses = addresses
        self.folder = folder
        self.links: dict[tuple[str, str], str] = {}
        self.services: dict[str, subprocess.Popen[bytes]] = {}
        self.ca_file = folder / "ca.pem"
        self.nameserver = ""  # the client's; empty: the home router

    def build(self) -> None:
        nodes = ("client", *ROUTERS, *BEHIND)
        for node in nodes:
            run("ip", "netns", "add", node)
            inside(node, "ip", "link", "set", "lo", "up")
            inside(node, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=1")
        for (near, far), net in zip(CHAIN, self.addresses["links"], strict=True):
            self.link(near, far, net)
        for (server, router), net in zip(BEHIND.items(), self.addresses["last"], strict=True):
            self.link(router, server, net)
            inside(server, "ip", "address", "add", self.addresses[server] + "/32", "dev", "lo")
        inside("core", "ip", "address", "add", self.addresses["isp-resolver"] + "/32", "dev", "lo")
        self.route()

    def link(self, near: str, far: str, net: str) -> None:
        """Join two nodes; the nearer end is `net`.1, the farther `net`.2."""
        end, other = f"to-{far}"[:15], f"to-{near}"[:15]
        run("ip", "link", "add", end, "netns", near, "type", "veth", "peer", "name", other, "netns", far)
        # A home network's router is the first address, and so is every farther link's nearer end.
        ends = (".23", ".1") if near == "client" else (".1", ".2")
        inside(near, "ip", "address", "add", net + ends[0] + "/24", "dev", end)
        inside(far, "ip", "address", "add", net + ends[1] + "/24", "dev", other)
        inside(near, "ip", "link", "set", end, "up")
        inside(far, "ip", "link", "set", other, "up")
        self.links[near, far] = net

    def route(self) -> None:
        """The network is a tree: everybody gets a route to all links and servers, by the neighbour they lie behind."""
        places = [(net + ".0/24", near) for (near, _), net in self.links.items()]
        places += [(self.addresses[server] + "/32", server) for server in BEHIND]
        places.append((self.addresses["isp-resolver"] + "/32", "core"))
        for node in ("client", *ROUTERS, *BEHIND):
            own = [net for ends, net in self.links.items() if node in ends]
            for prefix, place in places:
                if prefix.split("/")[0].rpartition(".")[0] not in own and place != node:
                    inside(node, "ip", "route", "replace", prefix, "via", self.towards(node, place))
        for node, outwards in (pair for pair in CHAIN if pair[1] != "ixp"):
            inside(node, "ip", "route", "replace", "default", "via", self.towards(node, outwards))

    def towards(self, node: str, place: str) -> str:
        """The address of the neighbour of `node` on the way to `place`."""
        inwards = {far: near for near, far in self.links}
        step = place
        while step in inwards and inwards[step] != node:
            step = inwards[step]
        if step in inwards:  # `place` lies farther out, behind this neighbour
            return self.links[node, step] + (".1" if node == "client" else ".2")
        return self.links[inwards[node], node] + (".23" if inwards[node] == "client" else ".1")

    def serve(self) -> None:
        """Start nginx for pages and dnsmasq for names."""
        make_authority(self.folder, sorted({name for names in NAMES.values() for name in names}))
        for server in BEHIND:
            self.pages(server, "return 200 'ok';")
        names = [f"--host-record={name},{self.addresses[s]}" for s, served in NAMES.items() for name in served]
        for place in ("core", "cloudflare", "google", "quad9"):
            self.resolver(place, names)
        self.resolver("home", ["--server=" + self.addresses["isp-resolver"]])

    def pages(self, server: str, answer: str, checks: str = CHECKS) -> None:
        self.stop(f"nginx-{server}")
        conf = self.folder / f"{server}.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {self.folder}/{server}.pid; error_log {self.folder}/{server}.log;\n"
            "events {} http { access_log off; server { listen 443 ssl; listen 80;\n"
            f"ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.key;\n"
            f"{checks} location / {{ {answer} }} }} }}\n"
        )
        self.start(f"nginx-{server}", server, "nginx", "-c", str(conf), "-e", f"{self.folder}/{server}.log")

    def resolver(self, place: str, options: list[str]) -> None:
        self.stop(f"dnsmasq-{place}")
        words = ["dnsmasq", "-k", "--no-resolv", "--no-hosts", "--user=root", "--pid-file", "--conf-file=/dev/null"]
        self.start(f"dnsmasq-{place}", place, *words, "--cache-size=0", *options)

    def start(self, name: str, node: str, *words: str) -> None:
        log = (self.folder / f"{name}.out").open("w")
        self.services[name] = subprocess.Popen(["ip", "netns", "exec", node, *words], stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        service = self.services.pop(name, None)
        if service is None:
            return
        for _ in range(50):  # nginx forgets a signal that comes while it starts
            service.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.wait(0.1)
                return
        service.wait(1)

    def nft(self, node: str, *rules: str) -> None:
        """Drop or reject what `node` forwards."""
        text = "table ip t { chain f { type filter hook forward priority 0;\n" + "\n".join(rules) + "\n}\n}\n"
        subprocess.run(["ip", "netns", "exec", node, "nft", "-f", "-"], input=text.encode(), check=True)

    def diagnose(self) -> Any:
        resolv = self.folder / "resolv.conf"
        resolv.write_text(f"nameserver {self.nameserver or self.links['client', 'home'] + '.1'}\n")
        run("mount", "--bind", str(resolv), "/etc/resolv.conf")
        done = subprocess.run(
            ["ip", "netns", "exec", "client", sys.executable, "-m", "netprobe", "diagnose", "--json"],
            capture_output=True,
            env={**os.environ, "SSL_CERT_FILE": str(self.ca_file)},
            check=False,
            timeout=120,
        )
        if not done.stdout:
            raise RuntimeError(done.stderr.decode())
        return json.loads(done.stdout)


def make_authority(folder: Path, names: list[str]) -> None:
    """An own CA, and one certificate for all names and for the resolvers' own."""
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kernel lab CA")])

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
        )

    authority = x509.BasicConstraints(ca=True, path_length=None)
    root = certificate(issuer, key.public_key()).add_extension(authority, critical=True)
    (folder / "ca.pem").write_bytes(root.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    own = ec.generate_private_key(ec.SECP256R1())
    every = [*names, "one.one.one.one", "dns.google", "dns.quad9.net"]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in every])
    leaf = certificate(subject, own.public_key()).add_extension(alternatives, critical=False)
    (folder / "server.pem").write_bytes(leaf.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "server.key").write_bytes(own.private_bytes(serialization.Encoding.PEM, form, plain))


def _platform(net: Internet) -> str:
    return ", ".join(net.addresses[server] for server in ("akamai", "bytedance", "fastly"))


def _tampering(net: Internet) -> None:
    lies = [f"--address=/{zone}/127.0.0.1" for zone in ("tiktok.com", "tiktokv.com", "tiktokcdn.com", "tiktokapis.com")]
    truth = [f"--host-record={n},{net.addresses[s]}" for s, names in NAMES.items() for n in names if "tiktok" not in n]
    net.resolver("core", lies + truth)


def _loop(net: Internet) -> None:
    for server in ("bytedance", "fastly", "wikimedia"):
        via = net.links["core", "border"] + ".1"
        inside("border", "ip", "route", "replace", net.addresses[server] + "/32", "via", via)


def _maintenance(net: Internet) -> None:
    for server in ("akamai", "bytedance", "fastly"):
        net.pages(server, "add_header Retry-After 3600 always; return 503 'back soon';")


def _broken_origin(net: Internet) -> None:
    for server in ("akamai", "bytedance", "fastly"):
        net.pages(server, "return 500 'oops';")


def _hook(node: str, hook: str, rule: str) -> None:
    """Add an nftables rule to what `node` itself sends (`output`) or gets (`input`)."""
    chain = f"add chain ip s c {{ type filter hook {hook} priority 0; }}"
    inside(node, "nft", f"add table ip s; {chain}; add rule ip s c {rule}")


def _own_routes(kind: str, addresses: str) -> None:
    for address in addresses.split(", "):
        inside("client", "ip", "route", "replace", kind, address + "/32")


def _no_public_resolvers(net: Internet) -> None:
    for place in ("cloudflare", "google", "quad9"):
        net.stop(f"dnsmasq-{place}")


def _direct(net: Internet) -> None:
    """The client asks the provider's resolver itself."""
    net.nameserver = net.addresses["isp-resolver"]


def _direct_resolver_refuses(net: Internet) -> None:
    _direct(net)
    net.resolver("core", [])


def _direct_resolver_dead(net: Internet) -> None:
    _direct(net)
    net.stop("dnsmasq-core")


def _direct_tampering(net: Internet) -> None:
    _direct(net)
    _tampering(net)


def _own_blocklist(net: Internet) -> None:
    """What a filter at home does: the home's own resolver denies the platform, and passes on the rest."""
    zones = ("tiktok.com", "tiktokv.com", "tiktokcdn.com", "tiktokapis.com")
    net.resolver("home", ["--server=" + net.addresses["isp-resolver"], *(f"--address=/{z}/0.0.0.0" for z in zones)])


def _uplink_dead(_: Internet) -> None:
    """Everything behind the border goes."""
    for far in ("ixp", "transit"):
        inside("border", "ip", "link", "set", f"to-{far}", "down")


def _narrow(near: str, far: str, *quiet: str, mtu: int = 700) -> None:
    """The link between two routers carries `mtu` bytes, which those in `quiet` keep to themselves."""
    inside(near, "ip", "link", "set", f"to-{far}", "mtu", str(mtu))
    inside(far, "ip", "link", "set", f"to-{near}", "mtu", str(mtu))
    for node in quiet:
        _hook(node, "output", "icmp type destination-unreachable drop")


def _small_only_back(net: Internet) -> None:
    """What comes back to the client in large packets is swallowed in the provider's core."""
    net.nft("core", f"ip daddr {net.links['client', 'home']}.0/24 ip length > 700 drop")


def _dead_branch(net: Internet) -> None:
    """Two lines between the provider's routers, over which flows are balanced; one swallows what comes from customers."""
    run("ip", "link", "add", "core-b", "netns", "bng", "type", "veth", "peer", "name", "bng-b", "netns", "core")
    for node, device, address in (("bng", "core-b", "217.5.118.1/24"), ("core", "bng-b", "217.5.118.2/24")):
        inside(node, "ip", "address", "add", address, "dev", device)
        inside(node, "ip", "link", "set", device, "up")
        inside(node, "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
    one = net.links["bng", "core"] + ".2"
    listed = subprocess.run(["ip", "-n", "bng", "route"], capture_output=True, text=True, check=True).stdout
    for prefix in [row.split()[0] for row in listed.splitlines() if f"via {one} " in row]:
        ways = ["nexthop", "via", one, "nexthop", "via", "217.5.118.2"]
        inside("bng", "ip", "route", "replace", prefix, *ways)
    _hook("core", "prerouting", "iifname bng-b drop")


def _portal(net: Internet) -> None:
    """The home router leads plain HTTP to its own page, and drops what is encrypted."""
    net.pages("home", "return 302 http://login.hotel.example/;", checks="")
    inside("home", "nft", "add table ip n; add chain ip n p { type nat hook prerouting priority -100; }")
    inside("home", "nft", "add rule ip n p iifname to-client tcp dport 80 redirect")
    net.nft("home", "tcp dport 443 drop", "udp dport 443 drop")


_AN_EIGHTH = "numgen random mod 100 < 12 drop"


def _lossy_home(_: Internet) -> None:
    """The radio link loses both ways, what the home router says itself too."""
    _hook("home", "prerouting", f"iifname to-client {_AN_EIGHTH}")
    inside("home", "nft", "add chain ip s out { type filter hook postrouting priority 0; }")
    inside("home", "nft", f"add rule ip s out oifname to-client {_AN_EIGHTH}")


FAULTS: dict[str, Callable[[Internet], None]] = {
    "healthy": lambda _: None,
    "healthy-direct": _direct,
    "direct-resolver-refuses": _direct_resolver_refuses,
    "direct-resolver-dead": _direct_resolver_dead,
    "direct-tampering": _direct_tampering,
    "own-blocklist": _own_blocklist,
    "uplink-dead": _uplink_dead,
    "silent-router": lambda _: _hook("core", "output", "icmp type time-exceeded drop"),
    "gateway-dead": lambda _: inside("home", "ip", "link", "set", "to-client", "down"),
    "access-outage": lambda _: inside("bng", "ip", "link", "set", "to-home", "down"),
    "core-black-hole": lambda net: net.nft("core", "drop"),
    "routing-loop": _loop,
    "transit-outage": lambda net: net.nft("transit", "drop"),
    "local-resolver-dead": lambda net: net.stop("dnsmasq-home"),
    "isp-resolver-dead": lambda net: net.stop("dnsmasq-core"),
    "dns-tampering": _tampering,
    "ip-block": lambda net: net.nft("border", f"ip daddr {{ {_platform(net)} }} drop"),
    "ip-block-said": lambda net: net.nft(
        "border", f"ip daddr {{ {_platform(net)} }} reject with icmp type admin-prohibited"
    ),
    "vendor-down": lambda _: _hook("akamai", "input", "drop"),
    "maintenance": _maintenance,
    "origin-500": _broken_origin,
    "own-firewall-drops": lambda _: _hook("client", "input", "drop"),
    "own-firewall-drops-platform": lambda net: _hook("client", "input", f"ip saddr {{ {_platform(net)} }} drop"),
    "own-firewall-forbids": lambda _: _hook("client", "output", "drop"),
    "own-firewall-forbids-platform": lambda net: _hook("client", "output", f"ip daddr {{ {_platform(net)} }} drop"),
    "own-firewall-drops-errors": lambda _: _hook("client", "input", "icmp type time-exceeded drop"),
    "own-route-prohibits-platform": lambda net: _own_routes("prohibit", _platform(net)),
    "own-route-throws-platform-away": lambda net: _own_routes("blackhole", _platform(net)),
    "own-queue-swallows": lambda _: inside("client", "tc", "qdisc", "add", "dev", "to-home", "root", "blackhole"),
    "one-control-dead": lambda _: _hook("wikimedia", "input", "drop"),
    "narrow-line": lambda _: _narrow("home", "bng"),
    "narrow-line-unclamped": lambda _: _narrow("home", "bng", "bng"),
    "mtu-black-hole": lambda _: _narrow("core", "border", "core", "border"),
    "mtu-black-hole-back": _small_only_back,
    "dead-branch": _dead_branch,
    "lossy-home": _lossy_home,
    "lossy-line": lambda net: net.nft("bng", _AN_EIGHTH),
    "lossy-transit": lambda net: net.nft("transit", _AN_EIGHTH),
    "no-public-resolvers": _no_public_resolvers,
    "portal": _portal,
    "port-80-filtered": lambda net: net.nft("bng", "tcp dport 80 drop"),
}


def main(addressing: str, fault: str) -> None:
    if os.environ.get("KERNEL_INTERNET") != "inside":
        os.environ["KERNEL_INTERNET"] = "inside"
        own = [
            "unshare",
            "--net",
            "--mount",
            "--propagation=private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        os.execvp(own[0], [*own, sys.executable, *sys.argv])  # noqa: S606
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/netns").mkdir()
    with tempfile.TemporaryDirectory(prefix="kernel-internet-") as folder:
        Path(folder).chmod(0o755)
        net = Internet(REAL if addressing == "real" else PLAIN, Path(folder))
        net.build()
        net.serve()
        FAULTS[fault](net)
        json.dump(net.diagnose(), sys.stdout)
        for name in list(net.services):
            net.stop(name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
