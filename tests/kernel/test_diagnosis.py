"""The diagnosis against routers, servers and resolvers that nobody of us wrote: Linux, nginx, dnsmasq."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.packets, pytest.mark.patient]

INTERNET = Path(__file__).with_name("internet.py")

#: What is broken, and who is at fault. `real` addresses belong to the networks they would in life.
KNOWN = {
    "healthy": "none",
    "healthy-direct": "none",
    "silent-router": "none",
    "narrow-line": "none",
    "narrow-line-unclamped": "home",
    "mtu-black-hole": "isp",
    "mtu-black-hole-back": "isp",
    "dead-branch": "isp",
    "one-control-dead": "none",
    "no-public-resolvers": "none",
    "port-80-filtered": "none",
    "portal": "home",
    "gateway-dead": "home",
    "local-resolver-dead": "home",
    "own-firewall-drops": "home",
    "own-firewall-drops-platform": "home",
    "own-firewall-forbids": "home",
    "own-firewall-forbids-platform": "home",
    "own-firewall-drops-errors": "none",
    "own-queue-swallows": "home",
    "own-route-prohibits-platform": "home",
    "own-route-throws-platform-away": "home",
    "access-outage": "isp",
    "core-black-hole": "isp",
    "routing-loop": "isp",
    "isp-resolver-dead": "isp",
    "direct-resolver-refuses": "isp",
    "direct-resolver-dead": "isp",
    "uplink-dead": "isp",
    "transit-outage": "transit",
    "ip-block-said": "policy",
    "direct-tampering": "policy",
    "maintenance": "platform",
    "origin-500": "platform",
}
#: Where packets get lost by chance.
LOSSY = {"lossy-home": "home", "lossy-line": "isp", "lossy-transit": "transit"}
#: What cannot be told for certain here: without any delay a local lie looks like one that was passed on, and a router
#: that carries one destination only dies like that destination.
HARD = {"dns-tampering": "policy", "own-blocklist": "home", "vendor-down": "platform", "ip-block": "policy"}
#: The same without any AS data: whose router it is cannot be known, but what needs no names of networks can.
NAMELESS = {
    "healthy": "none",
    "one-control-dead": "none",
    "gateway-dead": "home",
    "access-outage": "isp",
    "maintenance": "platform",
    "ip-block-said": "policy",
}
NAMELESS_HARD = {"routing-loop": "isp", "transit-outage": "transit", "ip-block": "policy"}


def verdict(addressing: str, fault: str) -> dict[str, Any]:
    found: dict[str, Any] = report(addressing, fault)["verdict"]
    return found


def report(addressing: str, fault: str) -> dict[str, Any]:
    command = [sys.executable, str(INTERNET), addressing, fault]
    done = subprocess.run(command, capture_output=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("addressing", "fault", "component"),
    [*(("real", f, c) for f, c in KNOWN.items()), *(("plain", f, c) for f, c in NAMELESS.items())],
)
def test_fault_is_found(addressing: str, fault: str, component: str) -> None:
    """What the packets of real routers and servers show is enough to name who is at fault."""
    found = verdict(addressing, fault)
    assert (found["component"], found["abstained"]) == (component, False), found["cause"]


@pytest.mark.parametrize(("fault", "component"), LOSSY.items())
def test_loss_is_found(fault: str, component: str) -> None:
    """Chance may hide it from one survey in fifty, but never from two, and nobody else is blamed for it."""
    for _ in range(2):
        found = verdict("real", fault)
        assert found["component"] in {component, "undetermined", "none"}, found["cause"]
        if found["component"] == component:
            return
    pytest.fail(f"{found['component']}: {found['cause']}")


@pytest.mark.parametrize(
    ("addressing", "fault", "component"),
    [*(("real", f, c) for f, c in HARD.items()), *(("plain", f, c) for f, c in NAMELESS_HARD.items())],
)
def test_nobody_innocent_is_blamed(addressing: str, fault: str, component: str) -> None:
    """Where the evidence does not do, the verdict abstains and says what would settle it; it blames nobody else."""
    found = verdict(addressing, fault)
    assert found["component"] in {component, "undetermined"}, found["cause"]
    assert found["component"] == component or found["next_probe"]


def test_a_portal_is_named() -> None:
    """The answers of nginx behind a redirect of Linux's are a portal's, and nobody else is accused beside it."""
    found = verdict("real", "portal")
    assert (found["cause"], found["also"]) == ("home.portal.captive", [])


def test_the_own_firewall_is_seen_through() -> None:
    """It drops everything that comes in: the verdict is home, nobody else is blamed, and still every hop is known."""
    found = report("real", "own-firewall-drops")
    assert found["verdict"]["cause"] == "home.firewall.block"
    paths = [o["fact"] for o in found["observations"] if o["purpose"] == "control.path"]
    assert paths
    for path in paths:
        assert path["reached"]
        replies = [[x["reply"] for x in hop["exchanges"] if x.get("reply")] for hop in path["hops"]]
        assert len(replies) == 6
        assert all(reply and all(r["source"] and r["dropped_locally"] for r in reply) for reply in replies)
