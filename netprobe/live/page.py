"""HTTP: the request's head, and what is kept of an answer: headers that matter and a page's title, hostile text."""

import re

import h11

from netprobe.live.text import clean
from netprobe.model.services import HEADERS_THAT_MATTER, Fetch

_USER_AGENT = "netprobe (network diagnosis)"
_TITLE_LIMIT = 120
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,2000})", re.IGNORECASE)


def request(fetch: Fetch) -> h11.Request:
    """The head of the request, as it is sent."""
    fields = [
        ("Host", fetch.host or fetch.handshake.server_name or fetch.handshake.address),
        ("User-Agent", _USER_AGENT),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ]
    if fetch.upload_bytes:
        fields.append(("Content-Length", str(fetch.upload_bytes)))
    return h11.Request(method=fetch.method, target=fetch.path, headers=fields)


def headers(answer: h11.Response) -> dict[str, str]:
    """The headers that matter; several of one name joined by commas (RFC 9110, 5.3)."""
    kept: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1"), clean(raw_value.decode("latin-1"))
        if name in HEADERS_THAT_MATTER:
            kept[name] = clean(f"{kept[name]}, {value}" if name in kept else value)
    return kept


def title(body: bytes) -> str:
    """The text of the first <title> of a page, on one line."""
    match = _TITLE.search(body)
    return clean(" ".join(match[1].decode("utf-8", "replace").split()), _TITLE_LIMIT) if match else ""
