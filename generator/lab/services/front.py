"""Writes the configuration of the lab's TLS front (nginx): every host under its own name, each with its ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from generator.lab.account.requests import API_HOST
from generator.lab.services.hosts import (
    DOWNLOAD_REDIRECTS,
    REGISTRIES,
    TOKEN_HOST,
    Hosts,
    Registry,
    spaces_host,
)
from generator.lab.services.registry_token import CHECK_PATH


@dataclass(frozen=True)
class Front:
    """Where the front listens and what lies behind it.

    `storage` are the registries' storage directories by the registry's name, `regions` the Spaces regions
    that have a server. Backends are socket files in `sockets`, named after what they serve.
    """

    address: str
    port: int
    plain_port: int
    certificate: Path
    key: Path
    hosts: Hosts
    downloads: Path
    storage: Mapping[str, Path]
    regions: tuple[str, ...]
    sockets: Path
    stopped: Path
    work: Path
    log: Path


def configuration(front: Front) -> str:
    """Write the whole configuration file."""
    servers = [
        _reject(front),
        _server(front, [API_HOST], _pass(front, "api")),
        _server(front, [TOKEN_HOST], _pass(front, "token")),
        *_spaces(front),
        *(server for host in front.hosts.downloads for server in _download(front, host)),
        *(server for registry in REGISTRIES for server in _registry(front, registry)),
    ]
    return "\n".join([*_main(front), *servers, "}", ""])


def link_downloads(directory: Path, files: Mapping[str, Path]) -> None:
    """Lay out files by host and path, as links to where they lie.

    Args:
        directory: an empty or missing directory.
        files: where the content of each address lies.
    """
    for url, file in files.items():
        # nginx looks for files by the decoded path
        link = directory / unquote(url.removeprefix("https://"))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(file)


def _main(front: Front) -> Iterator[str]:
    bodies = (
        f"  {kind}_temp_path {front.work}/{kind};" for kind in ("fastcgi", "uwsgi", "scgi", "proxy", "client_body")
    )
    yield from (
        "daemon off;",
        # one process that can be killed without leaving workers behind
        "master_process off;",
        f"pid {front.work}/pid;",
        # lesser messages hold whole request lines, and so presigned signatures
        f"error_log {front.log}.error emerg;",
        "events { worker_connections 1024; }",
        "http {",
        '  log_format lab escape=json \'{"time":"$time_iso8601","client":"$remote_addr","host":"$host",'
        '"method":"$request_method","path":"$uri","range":"$http_range","status":$status,"bytes":$body_bytes_sent,'
        '"seconds":$request_time}\';',
        f"  access_log {front.log} lab;",
        *bodies,
        "  server_tokens off;",
        "  sendfile on;",
        "  tcp_nopush on;",
        "  merge_slashes off;",
        "  server_names_hash_bucket_size 128;",
        "  client_max_body_size 0;",
        "  default_type application/octet-stream;",
        f"  ssl_certificate {front.certificate};",
        f"  ssl_certificate_key {front.key};",
        "  ssl_protocols TLSv1.2 TLSv1.3;",
        "  ssl_session_cache shared:lab:1m;",
        "  proxy_http_version 1.1;",
        "  proxy_request_buffering off;",
        "  proxy_buffering off;",
        "  proxy_read_timeout 300s;",
        # signatures are made over the name the client called
        "  proxy_set_header Host $http_host;",
        '  proxy_set_header Connection "";',
        "  proxy_set_header X-Forwarded-Proto https;",
    )


def _reject(front: Front) -> str:
    plain = f"listen {front.address}:{front.plain_port} default_server;\n    return 301 https://$host$request_uri;"
    secure = f"listen {front.address}:{front.port} ssl default_server;\n    ssl_reject_handshake on;"
    return f"  server {{\n    {plain}\n  }}\n  server {{\n    {secure}\n  }}"


def _server(front: Front, names: Iterable[str], *lines: str) -> str:
    body = "\n".join(f"    {line}" for line in (f"server_name {' '.join(names)};", *lines))
    return f"  server {{\n    listen {front.address}:{front.port} ssl;\n{body}\n  }}"


def _pass(front: Front, name: str) -> str:
    return f"location / {{ proxy_pass http://unix:{front.sockets}/{name}.sock:; }}"


def _stop(front: Front, service: str) -> str:
    return f"if (-f {front.stopped}/{service}) {{ return 503; }}"


def _spaces(front: Front) -> Iterator[str]:
    for region in front.regions:
        host = spaces_host(region)
        yield _server(front, [host, f"*.{host}"], _pass(front, f"spaces-{region}"))


def _download(front: Front, host: str) -> Iterator[str]:
    stop = _stop(front, "downloads")
    root = f"root {front.downloads}/{host};"
    if host not in DOWNLOAD_REDIRECTS:
        yield _server(front, [host], root, stop, "try_files $uri =404;")
        return
    target, prefix = DOWNLOAD_REDIRECTS[host]
    missing = "if (!-f $document_root$uri) { return 404; }"
    yield _server(front, [host], root, stop, missing, f"return 302 https://{target}{prefix}$request_uri;")
    if prefix:
        root = f"location {prefix}/ {{ alias {front.downloads}/{host}/; }}"
    yield _server(front, [target], stop, root)


def _registry(front: Front, registry: Registry) -> Iterator[str]:
    stop = _stop(front, "registry")
    if registry.name not in front.storage:
        yield _server(front, registry.hosts, stop, "return 404;")
        return
    storage = front.storage[registry.name] / "docker/registry/v2"
    version = "add_header Docker-Distribution-Api-Version registry/2.0 always;"
    lines = [stop, version, f"root {storage}/repositories;"]
    if registry.needs_token:
        # the answer to a wrong token is the sub-request's, with its challenge
        lines.append("auth_request /-/token;")
        check = f"proxy_pass http://unix:{front.sockets}/token.sock:{CHECK_PATH};"
        headers = 'proxy_set_header X-Original-URI $request_uri; proxy_set_header Content-Length "";'
        lines.append(f"location = /-/token {{ internal; {check} proxy_pass_request_body off; {headers} }}")
    if registry.blob_host:
        blob = "^/v2/(?<repository>.+)/blobs/sha256:(?<first>[0-9a-f]{2})(?<rest>[0-9a-f]{62})$"
        # a return would come before the token's check, a named location comes after it
        lines.append(f'location ~ "{blob}" {{ try_files /-/none @blob; }}')
        layer = "$document_root/$repository/_layers/sha256/$first$rest/link"
        target = f"https://{registry.blob_host}{_blob_path(registry, '$first', '$rest')}"
        lines.append(f"location @blob {{ if (!-f {layer}) {{ return 404; }} return 307 {target}; }}")
    yield _server(front, registry.hosts, *lines, _pass(front, f"registry-{registry.name}"))
    if registry.blob_host:
        pattern = _blob_path(registry, "(?<first>[0-9a-f]{2})", "(?<rest>[0-9a-f]{62})", again="[0-9a-f]{2}")
        alias = f"alias {storage}/blobs/sha256/$first/$first$rest/data;"
        yield _server(
            front, [registry.blob_host], stop, f'location ~ "^{pattern}$" {{ {alias} }}', "location / { return 404; }"
        )


def _blob_path(registry: Registry, first: str, rest: str, again: str = "$first") -> str:
    if registry.needs_token:
        return f"{registry.blob_path}sha256/{again}/{first}{rest}/data"
    return f"{registry.blob_path}sha256:{first}{rest}"
