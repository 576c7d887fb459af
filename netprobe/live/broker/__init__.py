"""The small process that holds CAP_NET_RAW: it sends what passes its checks, and hands on what comes in unread.

It runs on the standard library alone, and on as little of that as will do: whatever is imported here is memory of a
resident process and code beside a capability. So there are no named tuples and no `socket`, but `_socket`.
"""
