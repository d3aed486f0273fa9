"""Which addresses we call: https, or plain http to this machine only, because keys travel with every call."""

from __future__ import annotations

from ipaddress import ip_address

import httpx


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(value: str) -> str:
    """Return an address without its last slash.

    Raises:
        ValueError: another scheme, a host of somebody else over plain http, or more than scheme, host, port and path.
            The value is not quoted, for it may hold a password.
    """
    try:
        url = httpx.URL(value.strip())
    except httpx.InvalidURL:
        url = httpx.URL("")
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))):
        raise ValueError(
            "must be an https address such as https://api.example.com; plain http is accepted only for 127.0.0.1, ::1 "
            "and localhost, because the key travels with every call"
        )
    if url.port is not None and not 0 < url.port < 2**16:
        raise ValueError("must name a port from 1 to 65535, or none")
    if url.userinfo or url.query or url.fragment or value.strip().endswith(("?", "#")):
        raise ValueError("must not hold a user name, a password, a query or a fragment")
    return str(url).rstrip("/")
