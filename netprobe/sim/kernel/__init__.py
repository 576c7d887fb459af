"""The network of a scenario out of Linux itself: routers are network namespaces, faults are nftables and routes."""
