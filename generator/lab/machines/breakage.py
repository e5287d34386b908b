"""Breaks on purpose what pods need, in one machine, and mends it again: as it is found broken elsewhere."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from generator.lab.machines import packet_filter
from generator.lab.machines.machine import Machine
from generator.lab.process import run
from generator.lab.state import read_record, write_record

MTU = 1452
"""What a broken wire lets pass; WireGuard leaves 1392 of it."""
SERVING_CERTIFICATE = "/etc/kubernetes/pki/apiserver.crt"
# 53 is where DNS is asked, 1053 where its pods listen
_NAMES = """
table inet hardway_lab
delete table inet hardway_lab
table inet hardway_lab {{
  chain prerouting {{
    type filter hook prerouting priority -310
    ip daddr {pods} meta l4proto {{ tcp, udp }} th sport {{ 53, 1053 }} drop
  }}
}}
"""


def cut_routes(machine: Machine, pods: IPv4Network) -> None:
    """Forget the routes to the pods of other nodes, and keep in mind which they were."""
    lines = run(machine.command(["ip", "route", "show", "root", str(pods)])).splitlines()
    ways = [line.strip() for line in lines if " proto kernel " not in f"{line} "]
    if ways:
        write_record(_record(machine), {"routes": ways})
        _batch(machine, [f"route delete {way}" for way in ways])


def lay_routes(machine: Machine) -> None:
    """Lay the routes again that were forgotten."""
    if record := read_record(_record(machine)):
        _batch(machine, [f"route replace {way}" for way in record["routes"]])
        _record(machine).unlink()


def narrow(machine: Machine) -> None:
    """Let the machine's wire in the VPC pass smaller packets than planned, and say nothing of those that it drops."""
    packet_filter.narrow(machine.state, machine.port, MTU)


def widen(machine: Machine) -> None:
    """Let the wire pass what it should."""
    packet_filter.narrow(machine.state, machine.port, None)


def drop_names(machine: Machine, pods: IPv4Network) -> None:
    """Drop what any DNS answers to pods of the machine."""
    run(machine.command(["nft", "--file", "-"]), text=_NAMES.format(pods=pods))


def pass_names(machine: Machine) -> None:
    """Let pods ask again."""
    table = "table inet hardway_lab"
    run(machine.command(["nft", "--file", "-"]), text=f"{table}\ndelete {table}\n")


def serve(machine: Machine, certificate: bytes) -> None:
    """Have the API server show another certificate for the key that it has; it reads the file again by itself."""
    # written into the file that is there, which keeps owner and mode
    run(machine.command(["sh", "-c", f"cat > {SERVING_CERTIFICATE}"]), text=certificate.decode())


def _record(machine: Machine) -> Path:
    return machine.directory / "routes.json"


def _batch(machine: Machine, commands: list[str]) -> None:
    run(machine.command(["ip", "-batch", "-"]), text="".join(f"{command}\n" for command in commands))
