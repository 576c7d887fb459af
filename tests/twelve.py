"""The situations that every diagnosis is measured by."""

TWELVE = (
    "healthy",
    "healthy-silent-and-rate-limited",
    "gateway-dead",
    "local-resolver-down",
    "isp-access-outage",
    "isp-core-black-hole",
    "isp-resolver-failing",
    "routing-loop",
    "transit-outage",
    "sni-reset",
    "cdn-vendor-down",
    "maintenance",
)
