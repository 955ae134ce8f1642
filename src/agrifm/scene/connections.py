"""Connections to servers, with limits: on which network a server may be, and how long and how slowly it may answer."""

import io
import ipaddress
import socket
import time
from functools import lru_cache
from http.client import HTTPResponse
from typing import Any, Literal
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from agrifm.scene import limits

Network = Literal["any", "private", "public"]
"""Where a server may be. "any": the user named it. A catalogue may lead to servers with a "public" address; one that is
itself on this machine or in a private network also to "private" ones. Link-local addresses, where clouds serve the
credentials of their machines, are neither."""
NETWORKS: tuple[Network, ...] = ("any", "private", "public")
_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IPV4_IN_IPV6 = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96")
"""Prefixes of IPv6 addresses whose last 32 bits are an IPv4 address, in addition to those that Python unwraps."""


class ForbiddenAddressError(urllib3.exceptions.LocationValueError):
    """A server has an address that whoever named it may not lead to."""


class TooSlowError(TimeoutError):
    """An answer comes too slowly, or does not end."""


def network_of(url: str) -> Network:
    """Return "public" if all addresses of a URL's host are, otherwise "private"; a name that is unknown is public."""
    try:
        host = _host(url)
    except ValueError:  # not an address, which is refused when it is asked
        return "public"
    return "public" if all(_is_allowed(address, "public") for address in _addresses(host)) else "private"


def require_allowed(url: str, network: Network) -> None:
    """Refuse an address in numbers, or the name of this machine, before anything is asked, even through a proxy.

    Raises:
        ForbiddenAddressError: it is not in that network.
    """
    host = _host(url).rstrip(".").lower()
    if network == "any":
        return
    local = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
    try:
        address = str(ipaddress.ip_address(local))
    except ValueError:
        try:
            address = socket.inet_ntoa(socket.inet_aton(local))  # 127.1, 0x7f000001 and 2130706433 are 127.0.0.1
        except OSError:
            return
    _require((address,), network)


def pool_of(proxy: str | None, network: Network) -> urllib3.PoolManager:
    """Connections that are kept open, at most `MAX_CONNECTIONS` to one host; to servers of this network only."""
    return _pool(proxy, network, limits.MAX_CONNECTIONS)


@lru_cache(maxsize=16)
def _pool(proxy: str | None, network: Network, most: int) -> urllib3.PoolManager:
    settings: dict[str, Any] = {"num_pools": 64, "maxsize": most, "block": True}
    pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)
    pool.pool_classes_by_scheme = _POOLS[network]
    return pool


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _addresses(host: str) -> tuple[str, ...]:
    try:
        return tuple({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return ()


def _require(addresses: tuple[str, ...], network: Network) -> None:
    for address in addresses:
        if not _is_allowed(address, network):
            raise ForbiddenAddressError(f"address {address}")


def _is_allowed(address: str, network: Network) -> bool:
    if network == "any":
        return True
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if network == "private":
        return ip.is_loopback or not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)
    return ip.is_global and not ip.is_multicast


def _unwrapped(ip: _IPAddress) -> _IPAddress:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    if inner is None and any(ip in prefix for prefix in _IPV4_IN_IPV6) and int(ip) > 1:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner or ip


class _Paced(io.RawIOBase):
    """The bytes of an answer as they arrive, header included; ends one that is too slow or too long."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw, self._count = raw, 0
        self._begun = time.monotonic()
        self._first: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        now = time.monotonic()
        self._first = self._first or now
        self._count += count or 0
        seconds = now - self._first
        if now - self._begun > limits.MAX_SECONDS:
            raise TooSlowError(f"the answer did not end within {limits.MAX_SECONDS:.0f} seconds")
        if count and seconds > limits.RATE_SECONDS and self._count < limits.MIN_RATE * seconds:
            raise TooSlowError(f"the answer came too slowly: {self._count} bytes in {seconds:.0f} seconds")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **settings: Any) -> None:
        super().__init__(sock, *args, **settings)
        self.fp = io.BufferedReader(_Paced(self.fp.detach()))


def _connection(base: type[HTTPConnection], allowed: Network) -> type[HTTPConnection]:
    class Connection(base):  # type: ignore[misc, valid-type]  # the base is HTTP's or HTTPS's
        response_class = _PacedResponse

        def _new_conn(self) -> socket.socket:
            through_proxy = self.proxy is not None
            if allowed == "any" or through_proxy:
                return super()._new_conn()  # type: ignore[no-any-return]
            _require(_addresses(self.host), allowed)
            connected: socket.socket = super()._new_conn()
            try:
                _require((str(connected.getpeername()[0]),), allowed)  # the name may lead elsewhere by now
            except BaseException:
                connected.close()
                raise
            return connected

    return Connection


def _pools(network: Network) -> dict[str, type[HTTPConnectionPool]]:
    return {
        "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _connection(HTTPConnection, network)}),
        "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _connection(HTTPSConnection, network)}),
    }


_POOLS = {network: _pools(network) for network in NETWORKS}
