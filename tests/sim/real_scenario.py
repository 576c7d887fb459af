"""A small network for tests with real packets: no jitter, no loss, every delay known."""

from pathlib import Path

from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load

EDGE = "23.50.131.10"
CONTROL = "93.184.216.34"
HOPS = ("192.168.1.1", "87.186.224.94", "217.5.116.114")
EDGE_V6 = "2001:db8:ed::10"
CONTROL_V6 = "2001:db8:c::34"
RESOLVER_V6 = "2001:db8:53::129"
HOPS_V6 = ("2001:db8:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1")
RTT_MS = 24.0  # to a server, by the links of the file; a seed moves each by up to a fifth

NETWORK = """
sentence = "A line of three routers."

[expect]
component = "none"
cause = "none.app_device"

[client]
address = "192.168.1.23/24"
gateway = "home"
resolvers = ["192.168.1.1"]

[[router]]
name = "home"
address = "192.168.1.1"
icmp_jitter_ms = 0

[[router]]
name = "access"
address = "87.186.224.94"
icmp_jitter_ms = 0

[[router]]
name = "core"
address = "217.5.116.114"
icmp_jitter_ms = 0

[[link]]
ends = ["client", "home"]
delay_ms = 1.0

[[link]]
ends = ["home", "access"]
delay_ms = 3.0

[[link]]
ends = ["access", "core"]
delay_ms = 8.0

[[server]]
name = "edge"
addresses = ["23.50.131.10", "23.50.131.11"]
at = "core"
serves = ["*.tiktok.com", "tiktok.com"]
headers = { server = "Edge", x-cache = "HIT" }

[[server]]
name = "control"
addresses = ["93.184.216.34"]
at = "core"
serves = ["www.example.com"]
initial_ttl = 128

[[resolver]]
name = "forwarder"
address = "192.168.1.1"
at = "home"
upstream = "provider"

[[resolver]]
name = "provider"
address = "194.25.2.129"
at = "access"

[names]
"www.tiktok.com" = { alias = "www.tiktok.com.edge.net", addresses = ["23.50.131.10", "23.50.131.11"] }
"www.example.com" = ["93.184.216.34"]
"""


#: What stands behind a line of the network, so that it has IPv6 too.
_V6 = {
    'address = "192.168.1.23/24"\n': 'address6 = "2001:db8:1::23/64"\n',
    'address = "192.168.1.1"\nicmp': f'address6 = "{HOPS_V6[0]}"\n',
    'address = "87.186.224.94"\n': f'address6 = "{HOPS_V6[1]}"\n',
    'address = "217.5.116.114"\n': f'address6 = "{HOPS_V6[2]}"\n',
    'address = "192.168.1.1"\nat': f'address6 = "{HOPS_V6[0]}"\n',
    'address = "194.25.2.129"\n': f'address6 = "{RESOLVER_V6}"\n',
}


def dual(folder: Path, faults: str = "") -> Scenario:
    """The same network with IPv6 beside IPv4."""
    text = NETWORK
    for line, more in _V6.items():
        text = text.replace(line, more + line, 1)
    text = text.replace('["23.50.131.10", "23.50.131.11"]\nat', f'["23.50.131.10", "23.50.131.11", "{EDGE_V6}"]\nat')
    text = text.replace('["93.184.216.34"]\nat', f'["93.184.216.34", "{CONTROL_V6}"]\nat')
    text = text.replace('["23.50.131.10", "23.50.131.11"] }', f'["23.50.131.10"], aaaa = ["{EDGE_V6}"] }}')
    text = text.replace('= ["93.184.216.34"]', f'= {{ addresses = ["93.184.216.34"], aaaa = ["{CONTROL_V6}"] }}')
    file = folder / "dual.toml"
    file.write_text(text + faults)
    return load(file)


def scenario(folder: Path, faults: str = "") -> Scenario:
    """The network with `faults` in TOML."""
    file = folder / "line.toml"
    file.write_text(NETWORK + faults)
    return load(file)
