"""What a SYN offers: the options of TCP in bytes, and what a cookie has room for."""

from functools import lru_cache

from netprobe.model.replies import parse_options

_DEFAULT = 536  # of a peer that offers none (RFC 9293, 3.7.1)
ETHERNET_MSS = 1460

read_options = lru_cache(maxsize=256)(parse_options)  # most segments have the same ones


@lru_cache(maxsize=256)
def syn_options(mss: int = ETHERNET_MSS) -> bytes:
    """What a SYN of Linux offers: MSS, SACK, time stamps, window scale."""
    return b"\x02\x04" + mss.to_bytes(2, "big") + bytes.fromhex("0402080a000000010000000001030307")


#: What Linux's cookies have room for (net/ipv4/syncookies.c, net/ipv6/syncookies.c).
COOKIE_MSS, COOKIE_MSS_V6 = (536, 1300, 1440, 1460), (1220, 1420, 1440, 8940)
_COOKIE_BITS = 6  # of a time stamp: window scale, SACK, ECN


def cookie_options(offered: bytes, mss: int, now: float) -> bytes:
    """The options of a SYN-ACK that is a SYN cookie, as Linux sends it.

    What the client offered is kept in the low bits of the time stamp; of a client without time stamps nothing is kept.
    """
    options = {option.name: option.value for option in read_options(offered)}
    start = b"\x02\x04" + mss.to_bytes(2, "big")
    if "timestamps" not in options:
        return start
    scale = options.get("window_scale")
    bits = (15 if scale is None else scale & 15) | ("sack" in options) << 4
    stamp = round(now * 1e3) >> _COOKIE_BITS << _COOKIE_BITS | bits
    sack, scaled = ("sack" in options) * b"\x04\x02", b"" if scale is None else b"\x01\x03\x03\x07"
    echo = (options["timestamps"] or 0).to_bytes(4, "big")
    return start + (sack or b"\x01\x01") + b"\x08\x0a" + stamp.to_bytes(4, "big") + echo + scaled


def offered_mss(options: bytes) -> int:
    """The MSS that the options of a SYN offer."""
    return next((option.value for option in read_options(options) if option.name == "mss"), _DEFAULT)
