"""The networks that generated worlds are made of: AS numbers and addresses that are really theirs.

A block is the first three bytes of an IPv4 /24.
"""

from typing import NamedTuple


class Provider(NamedTuple):
    """Somebody who carries packets for others: an ISP with the block of its resolvers, or a transit without."""

    asn: int
    blocks: tuple[str, ...]
    resolvers: str = ""


class Remote(NamedTuple):
    """A network at the far end: what stands there are servers of the typical network, by their names.

    `hosts` are blocks for the addresses of each server that is moved; a server that is not in it keeps its own.
    """

    asn: int
    routers: tuple[str, ...]
    servers: tuple[str, ...]
    hosts: dict[str, tuple[str, ...]] = {}


ISPS = (
    Provider(3320, ("87.186.224", "217.239.45", "62.154.14"), "194.25.2"),
    Provider(3352, ("80.58.106", "81.46.6", "213.0.254"), "80.58.61"),
    Provider(3215, ("86.192.0", "90.37.0", "92.128.1"), "90.37.1"),
    Provider(2856, ("81.128.10", "86.128.3", "109.144.2"), "81.128.53"),
    Provider(7922, ("68.32.10", "96.64.3", "76.96.20"), "76.96.53"),
    Provider(9121, ("85.96.4", "95.0.8", "78.184.130"), "85.96.53"),
    Provider(4766, ("115.0.7", "14.63.200", "119.205.190"), "115.0.53"),
    Provider(1221, ("58.160.5", "121.208.3", "203.35.1"), "203.35.53"),
    Provider(28573, ("191.176.4", "179.136.9", "177.80.3"), "191.176.53"),
    Provider(1136, ("77.160.2", "188.200.5", "84.82.6"), "77.160.53"),
)

TRANSITS = (
    Provider(1299, ("62.115.140", "62.115.136", "62.115.120")),
    Provider(3356, ("4.69.219", "4.69.209", "4.69.142")),
    Provider(174, ("130.117.14", "154.54.57", "154.54.60")),
    Provider(3257, ("89.149.128", "89.149.180", "213.200.80")),
    Provider(2914, ("129.250.2", "129.250.4", "129.250.6")),
    Provider(6762, ("195.22.199", "195.22.206", "89.221.34")),
    Provider(12956, ("94.142.97", "5.53.4", "84.16.13")),
    Provider(6453, ("80.231.130", "195.219.50", "63.243.180")),
    Provider(5511, ("193.251.129", "193.251.240", "81.52.166")),
)

#: ISP and transit of one company: Orange and its Opentransit, Telefonica and its Telxius.
SIBLINGS = frozenset({(3215, 5511), (3352, 12956)})

#: Peering LANs: DE-CIX Frankfurt, AMS-IX, LINX LON1. A router there answers with the exchange's address.
EXCHANGES = (("80.81.192", "80.81.194"), ("80.249.208", "80.249.210"), ("195.66.224", "195.66.226"))

REMOTES: dict[str, Remote] = {
    "akamai-near": Remote(
        20940,
        ("23.210.248", "95.100.1"),
        ("akamai-fra", "akamai-apple"),
        {"akamai-fra": ("23.50.131", "2.20.44", "23.32.5")},
    ),
    "akamai-far": Remote(
        20940,
        ("88.221.20", "104.64.2"),
        ("akamai-ams",),
        {"akamai-ams": ("2.16.106", "96.17.100")},
    ),
    "fastly": Remote(
        54113,
        ("151.101.64",),
        ("fastly-tiktok", "fastly-python"),
        {"fastly-tiktok": ("151.101.130", "199.232.18", "146.75.118")},
    ),
    "cdn77": Remote(60068, ("185.59.221",), ("cdn77-tiktok",), {"cdn77-tiktok": ("89.187.170", "212.102.56")}),
    "bytedance": Remote(
        396986,
        ("71.18.1", "139.177.235"),
        ("bytedance-api", "bytedance-upload"),
        {
            "bytedance-api": ("71.18.80", "71.18.20", "139.177.225"),
            "bytedance-upload": ("103.136.221", "71.18.249"),
        },
    ),
    "cloudflare": Remote(13335, ("162.158.1", "141.101.65"), ("cloudflare-dns",)),
    "google": Remote(15169, ("172.253.64", "142.250.160"), ("google-dns", "google-www")),
    "quad9": Remote(19281, ("66.220.52",), ("quad9-dns",)),
    "wikimedia": Remote(14907, ("185.15.58",), ("wikimedia-text",)),
}
