"""Makes clients of registries that go through the environment's proxy, where there is one."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3

from generator import deadline
from generator.errors import Problem

# What makes a connection one through a proxy, among the arguments of urllib3's pools; None takes each away.
_DIRECT = {"_proxy": None, "_proxy_headers": None, "_proxy_config": None}


def manager(**options: Any) -> urllib3.PoolManager:
    """Give a client that goes through `HTTPS_PROXY`, but for the hosts that `NO_PROXY` names; both also in lower case.

    Args:
        options: as urllib3's managers take them.

    Raises:
        Problem: `HTTPS_PROXY` is no address.
    """
    value = getproxies_environment().get("https")
    if not value:
        return urllib3.PoolManager(**options)
    parts = _read(value)
    headers = {}
    if parts.username:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=words)
    return _Through(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        proxy_headers=headers,
        proxy_ssl_context=deadline.context(),
        **options,
    )


def hint(pool: urllib3.PoolManager, host: str) -> str | None:
    """Say of a host that can't be reached that a proxy is in between; nothing where none is."""
    if pool.proxy is None or _is_direct(host):
        return None
    return f"it was asked through `{pool.proxy.netloc}`, as `HTTPS_PROXY` says; `NO_PROXY` names hosts to reach without"


def _read(value: str) -> SplitResult:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        _ = parts.port
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
    except ValueError as error:
        message = "no address of a proxy (not shown, as there may be a password in it)"
        raise Problem(message, where="`HTTPS_PROXY`", hint="it is `http://<host>:<port>`") from error
    return parts


def _is_direct(host: str) -> bool:
    return bool(proxy_bypass(host))


class _Through(urllib3.ProxyManager):
    """Takes its way anew for each host, also where it is sent from one to another."""

    def connection_from_host(
        self,
        host: str | None,
        port: int | None = None,
        scheme: str | None = "http",
        pool_kwargs: dict[str, Any] | None = None,
    ) -> urllib3.HTTPConnectionPool:
        """Give the connections to a host: those without TLS are none of `HTTPS_PROXY`'s."""
        if scheme != "https" or _is_direct(f"{host}:{port or 443}"):
            own = {**(pool_kwargs or {}), **_DIRECT}
            return urllib3.PoolManager.connection_from_host(self, host, port, scheme, own)
        return super().connection_from_host(host, port, scheme, pool_kwargs)
