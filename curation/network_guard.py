"""Where requests may go: never to link-local addresses, and never inwards.

A list may name any host, a private or loopback one too: intranets and tests do. What a server says
after that is not the list's word: a redirect, a media link found in a page or a playlist's segment
may not lead to a more private network than the first connection went to, and only to http(s).

Addresses are checked after name resolution, on the address that is then connected to, so that a
name which changes its address between check and use gains nothing. Behind a proxy, names are
resolved by the proxy: only addresses written in the URL itself can be checked there.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from enum import IntEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

if TYPE_CHECKING:
    from typing import Any

    IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_SERVICES = frozenset(
    map(
        ipaddress.ip_address,
        ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    )
)
"""Cloud metadata outside the link-local networks: AWS, Alibaba, Azure, Oracle."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


class Zone(IntEnum):
    """How private a network is; larger is more private."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2


class ForbiddenAddressError(Exception):
    """A request would have gone where it may not."""


def zone_of_address(text: str) -> Zone:
    """Tell how private an IP address is; one that wraps an IPv4 address is as private as that.

    Raises:
        ForbiddenAddressError: nobody fetches videos from there: link-local, multicast,
            unspecified or reserved, or a cloud's metadata service.

    >>> zone_of_address("::ffff:10.0.0.1").name
    'PRIVATE'
    """
    address = _unwrap(ipaddress.ip_address(text.partition("%")[0]))
    if (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA_SERVICES
        or (address.version == 4 and (address in _THIS_NETWORK or address.is_reserved))
    ):
        raise ForbiddenAddressError(f"{text} is a link-local, multicast or reserved address")
    if address.is_loopback:
        return Zone.LOOPBACK
    return Zone.PUBLIC if address.is_global else Zone.PRIVATE


def _unwrap(address: IPAddress) -> IPAddress:
    """Return the IPv4 address inside a mapped, compatible, 6to4 or NAT64 one, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    low_bits = int(address) & 0xFFFF_FFFF
    if address in _NAT64 or (int(address) >> 32 == 0 and low_bits > 1):
        return ipaddress.IPv4Address(low_bits)
    return address


def address_in_url(host: str) -> str | None:
    """Return the address that a URL's host is, in any notation that resolvers take, else None.

    >>> address_in_url("2852039166"), address_in_url("0251.0376.0xa9.254")
    ('169.254.169.254', '169.254.169.254')
    >>> address_in_url("[::1]"), address_in_url("example.org") is None
    ('::1', True)
    """
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass  # not in the usual notation
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


class NetworkGuard:
    """Says of one source's URLs and addresses whether they may be asked.

    ``reach`` is the most private network allowed. None: the next connection, which is to the
    list's own URL, decides it.
    """

    def __init__(self, reach: Zone | None = None) -> None:
        """Allow networks up to ``reach``."""
        self.reach = reach

    def check_url(self, url: str, *, proxied: bool = False) -> None:
        """Check the scheme, and the host as far as the URL gives an address.

        Args:
            url: that is about to be asked.
            proxied: whether through a proxy, so that no connection will tell the address.

        Raises:
            ForbiddenAddressError: it may not be asked.
        """
        parts = urlsplit(url)
        if parts.scheme.lower() not in {"http", "https"}:
            raise ForbiddenAddressError(f"{parts.scheme}: links are not followed, only http(s)")
        address = address_in_url(parts.hostname or "")
        if address is not None:
            self.connected(address)
        elif proxied and self.reach is None:
            self.reach = Zone.PUBLIC

    def check_address(self, address: str) -> None:
        """Check an IP address.

        Raises:
            ForbiddenAddressError: it may not be connected to.
        """
        zone = zone_of_address(address)
        if self.reach is not None and zone > self.reach:
            raise ForbiddenAddressError(
                f"{address} is a {zone.name.lower()} address, "
                f"which a {self.reach.name.lower()} site may not lead to"
            )

    def connected(self, address: str) -> None:
        """Check the address that a request is about to be sent to; the first decides ``reach``."""
        self.check_address(address)
        if self.reach is None:
            self.reach = zone_of_address(address)

    def connect(
        self,
        host: str,
        port: int,
        *,
        timeout: Any,
        source_address: tuple[str, int] | None,
        socket_options: Any,
    ) -> socket.socket:
        """Resolve a host and connect to the first of its allowed addresses that answers.

        Raises:
            ForbiddenAddressError: none of its addresses is allowed.
            OSError: none of those that are could be reached.
        """
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        refused: ForbiddenAddressError | None = None
        failure: OSError | None = None
        for address in dict.fromkeys(str(info[4][0]) for info in found):
            if source_address is not None and (":" in address) != (":" in source_address[0]):
                continue
            try:
                self.check_address(address)
                return create_connection((address, port), timeout, source_address, socket_options)
            except ForbiddenAddressError as error:
                refused = error
            except OSError as error:
                failure = error
        raise failure or refused or OSError(f"{host} has no address to connect to")


def guarded_pools(guard: NetworkGuard) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Make pool classes for a `urllib3.PoolManager` whose every connection asks ``guard``.

    It is asked on connecting, and again before each request over a connection that is kept open.
    The headers of a response must be complete within twice the time that a single read may take,
    so that a server can't hold a worker by sending them a byte at a time.
    """

    class Guarded(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            try:
                return guard.connect(
                    self.host,
                    self.port,
                    timeout=self.timeout,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"connecting to {self.host} timed out") from error
            except OSError as error:
                raise NewConnectionError(self, f"connecting failed: {error}") from error

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            assert self.sock is not None
            guard.connected(str(self.sock.getpeername()[0]))
            super().request(*args, **kwargs)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3's
            sock = self.sock
            if sock is None or not self.timeout:
                return super().getresponse()
            late = threading.Event()
            watch = threading.Timer(2 * float(self.timeout), _break_off, (sock, late))
            watch.daemon = True
            watch.start()
            try:
                response = super().getresponse()
            except Exception as error:
                if late.is_set():
                    raise TimeoutError("the response's headers took too long") from error
                raise
            finally:
                watch.cancel()
            if late.is_set():  # breaking off looks like the end of the headers
                response.close()
                raise TimeoutError("the response's headers took too long")
            return response

    class GuardedTls(Guarded, urllib3.connection.HTTPSConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Guarded

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = GuardedTls

    return {"http": Pool, "https": TlsPool}


def _break_off(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # it has just ended by itself
        connection.shutdown(socket.SHUT_RDWR)
