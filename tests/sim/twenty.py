"""Twenty routers in a row, the last with a server: what the kernel lab's time to be made and gone is measured with."""

from netprobe.sim.records import Client, Entry, Expect, Link, Resolver, Router, Scenario, Server
from netprobe.sim.routing import CLIENT

ROUTERS = 20


def twenty() -> Scenario:
    """The network."""
    names = [f"router-{number}" for number in range(1, ROUTERS + 1)]
    addresses = ["192.168.1.1", *(f"62.154.0.{number}" for number in range(2, ROUTERS + 1))]
    ends = zip([CLIENT, *names], names, strict=False)
    return Scenario(
        name="twenty",
        sentence="Twenty routers in a row.",
        expect=Expect("none", "none.app_device"),
        client=Client("192.168.1.23/24", names[0], ("192.168.1.1",)),
        routers=tuple(Router(name, address) for name, address in zip(names, addresses, strict=True)),
        links=tuple(Link((one, other), 1.0) for one, other in ends),
        servers=(Server("edge", ("23.50.131.10",), names[-1], serves=("*.tiktok.com",)),),
        resolvers=(Resolver("home-resolver", "192.168.1.1", names[0]),),
        names={"www.tiktok.com": Entry(("23.50.131.10",))},
    )
