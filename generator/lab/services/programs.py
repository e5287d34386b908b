"""Says how each foreign program of the lab is run: nginx, dnsmasq, versitygw and a registry for each registry host."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from generator.errors import Problem
from generator.files import make_private_directory, write_atomic
from generator.lab.services.children import Program
from generator.lab.services.hosts import Hosts, spaces_host
from generator.lab.state import DNS_ADDRESS, SERVICES_ADDRESS


def front(configuration: str, directory: Path) -> Program:
    """Run nginx, as root and in one process, with a configuration and nothing of the host's own."""
    make_private_directory(directory)
    path = directory / "nginx.conf"
    write_atomic(path, configuration.encode(), mode=0o600)
    argv = ["nginx", "-p", str(directory), "-e", "stderr", "-c", str(path)]
    return Program("nginx", argv, listens=(SERVICES_ADDRESS, 443))


def names(hosts: Hosts, directory: Path) -> Program:
    """Run dnsmasq for the lab's names; everything else does not exist."""
    make_private_directory(directory)
    path = directory / "dnsmasq.conf"
    write_atomic(path, dns_configuration(hosts).encode())
    argv = ["dnsmasq", "--keep-in-foreground", f"--conf-file={path}"]
    return Program("dnsmasq", argv, listens=(DNS_ADDRESS, 53))


def dns_configuration(hosts: Hosts) -> str:
    """Write the table of names.

    Source: dnsmasq(8): `local=/#/` answers for all names from own knowledge alone, so unknown ones are NXDOMAIN.
    """
    lines = [
        "user=root",
        "group=root",
        "pid-file=",
        "bind-interfaces",
        f"listen-address={DNS_ADDRESS}",
        "no-hosts",
        "no-resolv",
        "no-poll",
        "log-facility=-",
        "local=/#/",
        *(f"host-record={name},{SERVICES_ADDRESS}" for name in hosts.exact),
        # for buckets; alone it would deny to who asks for IPv6 that the name exists, and resolvers believe that
        *(f"address=/{parent}/{SERVICES_ADDRESS}" for parent in hosts.parents),
    ]
    return "\n".join(lines) + "\n"


def spaces(program: Path, region: str, keys: tuple[str, str], directory: Path, sockets: Path) -> Program:
    """Run versitygw as the Spaces of a region.

    Its key comes by environment, as it reads no file; it logs nothing, for its lines hold presigned signatures.

    Raises:
        Problem: the file system can't hold an object's attributes.
    """
    objects, versions, keys_directory = (directory / name for name in ("objects", "versions", "keys"))
    for path in (objects, versions, keys_directory):
        make_private_directory(path)
    try:
        os.setxattr(objects, "user.hardway", b"1")
    except OSError as error:
        hint = "choose a directory on ext4, xfs or btrfs by `HARDWAY_LABS`"
        raise Problem(f"the file system of {objects} keeps no user attributes: {error.strerror}", hint=hint) from error
    socket = sockets / f"spaces-{region}.sock"
    argv = [
        *(str(program), "--port", str(socket), "--socket-perm", "0600", "--region", region, "--quiet"),
        *("--virtual-domain", spaces_host(region)),
        *("--iam-dir", str(keys_directory), "--iam-cache-disable"),
        *("posix", "--versioning-dir", str(versions), str(objects)),
    ]
    environment = {"ROOT_ACCESS_KEY_ID": keys[0], "ROOT_SECRET_ACCESS_KEY": keys[1]}
    return Program(f"spaces-{region}", argv, environment, socket)


def registry(program: Path, name: str, storage: Path, directory: Path, sockets: Path) -> Program:
    """Run a read-only registry on one storage directory.

    Source: https://distribution.github.io/distribution/about/configuration/
    """
    make_private_directory(directory)
    if not storage.is_dir():
        raise Problem(f"the images of {name} are not at hand", where=str(storage), hint="gen lab build")
    socket = sockets / f"registry-{name}.sock"
    lines = [
        "version: 0.1",
        "log: {level: warn, accesslog: {disabled: true}}",
        "storage:",
        f"  filesystem: {{rootdirectory: '{storage}'}}",
        "  maintenance: {readonly: {enabled: true}}",
        "  redirect: {disable: true}",
        "http:",
        "  net: unix",
        f"  addr: '{socket}'",
        f"  secret: {secrets.token_hex(16)}",
        "  relativeurls: true",
    ]
    path = directory / f"{name}.yaml"
    write_atomic(path, "\n".join([*lines, ""]).encode(), mode=0o600)
    return Program(f"registry-{name}", [str(program), "serve", str(path)], {"OTEL_TRACES_EXPORTER": "none"}, socket)
