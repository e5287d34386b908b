"""A provider, an object store, machines and an API server on loopback, for launches that are killed at will.

The account is the lab's, the store is a real S3 server. A machine does over the wire what a node does: it fetches and
unseals its bundle, reads the roster, and reports; Kubernetes is what a launch or a replacement asks of it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_string
from email.message import Message
from hashlib import md5, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyrage
import urllib3

from generator.clock import stamp
from generator.cluster import node_report
from generator.documents import roster as rosters
from generator.lab.account import droplets, vpcs
from generator.lab.account.account import Account, Droplet
from generator.lab.account.api import Api
from generator.lab.services import limited_keys
from generator.lab.services.authority import Authority
from generator.lab.services.proxy import Relay, proxy
from generator.lab.unkindness import KIND, Unkindness
from generator.lab.webserver import Call, Reply, Server, tcp_listener
from generator.pki.store import KeyStore
from generator.plan.certificates import ORDER_BOOK
from generator.plan.decide import Plan
from generator.provider.connection import Connection
from tests.contract.little_kubernetes import LittleKubernetes
from tests.keyring import unseal
from tests.phases import phases_of
from tests.reports import wrapped

TOKEN = "dop_v1_" + "a" * 64
KEY_ID, SECRET = "DO00TESTTESTTESTTEST", "s" * 43
REGION = "fra1"
API, SPACES = "api.digitalocean.com", "fra1.digitaloceanspaces.com"
DEBIAN = "deb.debian.org"


def debian(name: str) -> bytes:
    """Give what the world's archive of Debian has under a package's name."""
    return f"package {name}".encode()


class Doom(Exception):  # noqa: N818 - no fault
    """The client is dead; nobody waits for this answer."""


@dataclass
class Fate:
    """Counts requests that change something, and ends a process once the given one has taken effect.

    Instead of ending one, `then` may do something else.
    """

    count: int = 0
    at: int | None = None
    process: int | None = None
    signal: int = 9
    then: Callable[[], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def strike(self) -> None:
        """Count one; raises when nobody is left to be answered."""
        with self.lock:
            self.count += 1
            if self.count == self.at and self.then is not None:
                self.then()
            elif self.count == self.at and self.process is not None:
                os.kill(self.process, self.signal)
                self.process = None
                raise Doom


@dataclass
class Twist:
    """Answers some requests to the store otherwise: the first rule that gives a status and a body counts."""

    rules: list[Callable[[str, str, Mapping[str, str]], tuple[int, bytes] | None]] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: Any) -> tuple[int, bytes] | None:
        """Give the odd answer, if there is one."""
        return next((odd for rule in self.rules if (odd := rule(method, path, dict(headers))) is not None), None)


class World:
    """Everything outside of the operator's machine."""

    def __init__(self, directory: Path, versitygw: Path | None, stack: ExitStack, unkind: Unkindness) -> None:
        self.directory = directory
        self._versitygw = versitygw
        self.fate = Fate()
        self.account = Account(unkind)
        vpcs.add_defaults(self.account, self.now())
        self.machines: dict[int, Machine] = {}
        self.plan: Plan | None = None
        self.report_keys: Mapping[str, bytes] = {}
        self.reports: dict[str, str] = {}
        self.api_is_away = False
        self.failing: dict[str, str] = {}
        self.applied: str | None = None
        self.applied_secrets = ""
        self.voters: dict[str, int] = {}
        """The droplet of each member of etcd, by its node."""
        self.was_formed = False
        self.restored: list[str] = []
        """The digests of the snapshots that etcd has begun with."""
        self.leader = ""
        self.kubernetes = LittleKubernetes(self)
        self.closed: set[str] = set()
        """Nodes whose ingress answers nobody."""
        self.addons_lag = 0.0
        self._due: dict[str, float] = {}
        authority = Authority(directory / "authority")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*authority.issue([API, SPACES, DEBIAN]))
        self.api = Api(self.account, TOKEN, directory / "api.jsonl", self._changed, lambda: self.now())
        api = Server(tcp_listener("127.0.0.1", 0), self._respond, tls)
        stack.callback(api.close)
        self.away_until: dict[str, float] = {}
        """When a service that is away comes back: `api`, `spaces` or `kubernetes`."""
        self.twist = Twist([lambda *_: (503, b"") if self.is_away("spaces") else None])
        front = self._open_store(stack, tls)
        archive = Server(tcp_listener("127.0.0.1", 0), self._debian, tls)
        stack.callback(archive.close)
        self.debian_is_gone = False
        self._page: int | None = None
        self._ports = {API: api.port, SPACES: front, DEBIAN: archive.port}
        self._kube: int | None = None
        self._stack = stack
        relay = Relay(tcp_listener("127.0.0.1", 0), proxy(lambda host: host, self._connect))
        stack.callback(relay.close)
        stack.callback(self._halt)
        self.connection = Connection(
            TOKEN, KEY_ID, SECRET, proxy=f"http://127.0.0.1:{relay.port}", ca_file=authority.certificate_file
        )
        self.http = urllib3.ProxyManager(
            self.connection.proxy or "", ca_certs=str(authority.certificate_file), maxsize=8
        )

    def now(self) -> float:
        """Tell the time of the account and of the machines, in seconds since 1970."""
        return time.time()

    def _open_store(self, stack: ExitStack, tls: ssl.SSLContext) -> int:
        """Serve the object store; give the port."""
        assert self._versitygw is not None
        store = stack.enter_context(_versitygw(self._versitygw, self.directory))
        return stack.enter_context(_front(store, tls, self.fate, self.twist))

    def inhabit(self, plan: Plan, store: KeyStore) -> None:
        """Let machines of this cluster come up, and its API server answer."""
        self.plan = plan
        self.report_keys = {node.name: store.report_secret(node.name) for node in plan.nodes}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        first = plan.control_planes[0].name
        files = {name: self.directory / name for name in ("apiserver.crt", "apiserver.key", "clients.crt")}
        files["apiserver.crt"].write_bytes(store.certificate(f"nodes/{first}/apiserver"))
        files["apiserver.key"].write_bytes(store.key(f"nodes/{first}/apiserver"))
        files["clients.crt"].write_bytes(store.certificate("kubernetes-ca"))
        tls.load_cert_chain(files["apiserver.crt"], files["apiserver.key"])
        tls.load_verify_locations(files["clients.crt"])
        tls.verify_mode = ssl.CERT_REQUIRED
        server = Server(tcp_listener("127.0.0.1", 0), self._kubernetes, tls)
        self._stack.callback(server.close)
        self._kube = server.port
        if any(one.path == ORDER_BOOK for one in plan.certificates):
            self._page = self._open_the_book(store)

    def _open_the_book(self, store: KeyStore) -> int:
        """Serve a page with the order book's own certificate; give the port."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = {name: self.directory / f"book.{name}" for name in ("crt", "key")}
        files["crt"].write_bytes(store.certificate(ORDER_BOOK))
        files["key"].write_bytes(store.key(ORDER_BOOK))
        tls.load_cert_chain(files["crt"], files["key"])
        page = Server(tcp_listener("127.0.0.1", 0), lambda _: Reply(200, b"the book"), tls)
        self._stack.callback(page.close)
        return page.port

    def destroy(self, name: str) -> None:
        """Destroy a node's droplet from outside."""
        with self.api.lock:
            for droplet in self.account.living():
                if droplet.name == name:
                    droplets.end(self.account, droplet, self.now())
                    droplet.unread = droplet.unlisted = droplet.left_vpc = self.now()
            self._changed(self.account)

    def up(self) -> list[Machine]:
        """List the machines whose node has come up."""
        return [machine for machine in self.machines.values() if machine.alive and machine.done == "addons"]

    def members(self) -> int:
        """Count the living machines whose etcd member is up."""
        return sum(machine.alive and machine.member for machine in self.machines.values())

    def is_away(self, service: str) -> bool:
        """Tell whether a service answers nobody now."""
        return time.monotonic() < self.away_until.get(service, 0)

    def has_quorum(self) -> bool:
        """Tell whether more than half of etcd's members are up, or of the planned ones while it forms."""
        planned = len(self.plan.control_planes) if self.plan else 0
        return self.members() * 2 > (len(self.voters) if self.was_formed else planned)

    def apply(self, roster: rosters.Roster, url: str) -> bool:
        """Apply addons with their secrets, which takes its time; tell whether the cluster has them."""
        pinned = (roster.addons, roster.secrets or "")
        answer = self.http.request("GET", f"{url}{roster.secrets}.sealed")
        if answer.status != 200 or sha256(answer.data).hexdigest() != roster.secrets:
            return False
        if self.now() >= self._due.setdefault("".join(pinned), self.now() + self.addons_lag):
            self.applied, self.applied_secrets = pinned
        return (self.applied, self.applied_secrets) == pinned

    def _respond(self, call: Call) -> Reply:
        if self.is_away("api"):
            return Reply(503, b"")
        reply = self.api.respond(call)
        if call.method != "GET":
            self.fate.strike()
        return reply

    def _debian(self, call: Call) -> Reply:
        name = call.path.rpartition("/")[2].partition("_")[0]
        return Reply(404, b"gone") if self.debian_is_gone else Reply(200, debian(name))

    def _changed(self, account: Account) -> None:
        limited_keys.follow(account.spaces_keys.values(), self.directory / "iam", self.directory / "buckets")
        self._live_and_die(account)

    def _live_and_die(self, account: Account) -> None:
        living = {droplet.id: droplet for droplet in account.living()}
        for number, droplet in living.items():
            if number not in self.machines and self.plan is not None:
                self.machines[number] = self._begin(droplet, self.plan)
        for number, machine in self.machines.items():
            if number not in living:
                machine.alive = False

    def _begin(self, droplet: Droplet, plan: Plan) -> Machine:
        """Let a droplet live."""
        return Machine(self, droplet, plan)

    def _halt(self) -> None:
        for machine in self.machines.values():
            machine.alive = False
        for machine in self.machines.values():
            machine.end()
        self.http.clear()

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        host, port = address
        if port == 443 and host in self._ports:
            return socket.create_connection(("127.0.0.1", self._ports[host]), timeout=10)
        serving = {
            machine.droplet.public_address for machine in self.machines.values() if machine.alive and machine.api
        }
        is_served = self._kube is not None and self.has_quorum() and not self.api_is_away
        if port == 6443 and host in serving and is_served:
            return socket.create_connection(("127.0.0.1", self._kube), timeout=10)
        open_ = {one.droplet.public_address for one in self.up() if one.node.name not in self.closed}
        if port == 443 and host in open_ and self.applied and self._page:
            return socket.create_connection(("127.0.0.1", self._page), timeout=10)
        raise ConnectionRefusedError(111, "refused")

    def _kubernetes(self, call: Call) -> Reply:
        if self.is_away("kubernetes"):
            return Reply(503, b"")
        with self.api.lock:
            reply = self.kubernetes.respond(call)
        if call.method != "GET" and not call.path.endswith("/token"):
            self.fate.strike()
        return reply


class Machine:
    """One droplet that does what a node does, in a second or so."""

    def __init__(self, world: World, droplet: Droplet, plan: Plan) -> None:
        self.world = world
        self.droplet = droplet
        self.node = plan.node(droplet.name)
        self.plan = plan
        self.alive = True
        self.member = self.api = self.ready = self.joined = False
        self.done = ""
        self.generation = 0
        self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait until it does nothing any more."""
        self._thread.join()

    def _live(self) -> None:
        launch = launch_part(self.droplet.user_data)
        phases = phases_of(control_plane=self.node.is_control_plane)
        for phase in phases:
            if phase in ("secrets", "binaries", "etcd", "addons"):
                self._report(launch["status_url"], phase, "running")
            while self.alive and not self._pass(phase, launch):
                time.sleep(0.05)
            if not self.alive:
                return
            self.done = phase
        self._report(launch["status_url"], phases[-1], "done")
        while self.alive:
            self._follow(launch)
            time.sleep(0.25)

    def _pass(self, phase: str, launch: Mapping[str, Any]) -> bool:
        """Try to get a phase over."""
        if self.world.failing.get(self.node.name) == phase:
            self._report(launch["status_url"], phase, "failed")
            return False
        if phase == "secrets":
            return self._unseal(launch)
        if phase == "roster":
            return self._roster(launch) is not None
        if phase == "mesh":
            roster = self._roster(launch)
            if roster is not None and roster.etcd.state == "existing":
                return any(entry.endpoint for entry in roster.nodes if entry.name != self.node.name)
            return roster is not None and all(entry.endpoint for entry in roster.nodes)
        if phase == "etcd":
            roster = self._roster(launch)
            return roster is not None and self._join(roster, launch)
        if phase == "api":
            self.api = self.world.has_quorum()
            return self.api
        if phase == "node":
            self.joined = self.ready = self.world.has_quorum()
            return self.ready
        if phase == "addons":
            roster = self._roster(launch)
            return roster is not None and self.world.apply(roster, launch["addons_url"])
        return True

    def _follow(self, launch: Mapping[str, Any]) -> None:
        """Read the roster again, as a timer does on a node, and apply addons that are new; no report tells."""
        answer = self.world.http.request("GET", launch["roster_url"])
        if answer.status == 200 and self.node.is_control_plane:
            self.world.apply(self._verified(answer.data), launch["addons_url"])
        if self.joined:
            self._report(None, self.done, "done")

    def _join(self, roster: rosters.Roster, launch: Mapping[str, Any]) -> bool:
        """Form etcd while the roster says so, begin it with a snapshot, else join only where there is a quorum."""
        world = self.world
        if roster.etcd.state == "restoring" and not world.members():
            return "restore" in launch and self._restore(roster, launch["restore"])
        with world.api.lock:
            if roster.etcd.state == "new" and not (world.was_formed and world.members() - self.member):
                if world.members() == 0:
                    world.applied, world.was_formed = None, False
                    world.voters.clear()
                self._vote()
                world.was_formed = world.has_quorum()
                return world.was_formed
            if not self.member and world.has_quorum():
                self._vote()
        return self.member

    def _restore(self, roster: rosters.Roster, given: Mapping[str, str]) -> bool:
        """Bring the snapshot that the roster names, and be the only member with its data."""
        answer = self.world.http.request("GET", given["url"])
        if answer.status == 503:
            return False
        assert answer.status == 200, answer.data
        assert sha256(answer.data).hexdigest() == given["sha256"]
        plain = pyrage.decrypt(answer.data, [pyrage.x25519.Identity.from_str(given["identity"].strip())])
        assert sha256(plain).hexdigest() == roster.etcd.snapshot
        with self.world.api.lock:
            self.world.voters.clear()
            self.world.was_formed = True
            self.world.restored.append(str(roster.etcd.snapshot))
            self._vote()
        return True

    def _vote(self) -> None:
        self.member = True
        self.world.voters[self.node.name] = self.droplet.id

    def _unseal(self, launch: Mapping[str, Any]) -> bool:
        import base64

        answer = self.world.http.request("GET", launch["bundle_url"])
        if answer.status == 503:
            return False
        assert answer.status == 200, answer.data
        tar = unseal(answer.data, base64.b64decode(launch["bundle_key"]), self.plan.cluster_id, self.node.name)
        assert sha256(tar).hexdigest() == self.node.bundle_sha256
        return True

    def _roster(self, launch: Mapping[str, Any]) -> rosters.Roster | None:
        answer = self.world.http.request("GET", launch["roster_url"])
        if answer.status == 503:
            return None
        assert answer.status == 200, answer.data
        roster = self._verified(answer.data)
        return roster if roster.generation >= launch["generation"] else None

    def _verified(self, body: bytes) -> rosters.Roster:
        roster = rosters.verify(body, self.plan.operator_public_key, cluster_id=self.plan.cluster_id)
        self.generation = roster.generation
        return roster

    def _since(self, phase: str) -> str | None:
        """Tell when it began a phase, if it knows."""
        return None

    def _report(self, url: str | None, at: str, state: str) -> None:
        """Put a report where the API has it, and where the store does if there is an address for that."""
        names = phases_of(control_plane=self.node.is_control_plane)
        before = names.index(at)
        phases = [
            {
                "name": name,
                "state": "done" if place < before else state if place == before else "waiting",
                "since": self._since(name),
            }
            for place, name in enumerate(names)
        ]
        failure = {"unit": f"hardway-{at}.service", "lines": [f"\x1b[31m{at} gave up"]} if state == "failed" else None
        body = {
            "version": node_report.VERSION,
            "cluster_id": self.plan.cluster_id,
            "node": self.node.name,
            "droplet": str(self.droplet.id),
            "boot_id": str(self.droplet.id),
            "time": stamp(datetime.fromtimestamp(self.world.now(), UTC)),
            "generation": self.generation,
            "phase": at,
            "phases": phases,
            "failure": failure,
            "etcd": self.world.kubernetes.bookkeeping(self) if self.member else None,
        }
        has_its_bundle = before > names.index("secrets") or (at, state) == ("secrets", "done")
        key = self.world.report_keys[self.node.name] if has_its_bundle else None
        text = wrapped(node_report.CONTEXT, body, key)
        if self.joined:
            self.world.reports[self.node.name] = text
        if url is not None:
            self.world.http.request("PUT", url, body=text.encode())


def launch_part(user_data: str) -> Mapping[str, Any]:
    """Read what the second part of a droplet's user data would leave on the node."""
    hook = message_from_string(user_data).get_payload()[1].get_payload()  # type: ignore[union-attr]
    found: Mapping[str, Any] = json.loads(hook[hook.index("{") : hook.rindex("}") + 1])  # type: ignore[union-attr,arg-type,index]
    return found


@contextmanager
def running(directory: Path, versitygw: Path, unkind: Unkindness = KIND) -> Iterator[World]:
    """Make a world and end it."""
    with ExitStack() as stack:
        yield World(directory, versitygw, stack, unkind)


@contextmanager
def _versitygw(binary: Path, directory: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    for name in ("buckets", "iam", "versions"):
        (directory / name).mkdir()
    environment = {"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]}
    command = [str(binary), "--quiet", "--port", f"127.0.0.1:{port}", "--region", REGION]
    command += [
        "--iam-dir",
        str(directory / "iam"),
        "--iam-cache-disable",
        "posix",
        "--versioning-dir",
        str(directory / "versions"),
    ]
    command.append(str(directory / "buckets"))
    log = (directory / "versitygw.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
        try:
            for _ in range(100):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def _lifecycle(
    rules: dict[str, bytes], command: str, path: str, headers: Message, body: bytes
) -> tuple[int, Message, bytes]:
    """Keep a bucket's lifecycle rules as Spaces do, which the store does not.

    A bucket whose name ends in `-old` has none, as the lab's.
    """
    codes = {"GET": 200, "PUT": 200, "DELETE": 204}
    fault = None
    if path.endswith("-old?lifecycle"):
        fault = 501, "NotImplemented"
    elif command == "PUT" and headers["Content-MD5"] != base64.b64encode(md5(body).digest()).decode():
        fault = 400, "InvalidRequest"
    elif command == "GET" and path not in rules:
        fault = 404, "NoSuchLifecycleConfiguration"
    elif command == "PUT":
        rules[path] = body
    elif command == "DELETE":
        rules.pop(path, None)
    if fault:
        return fault[0], Message(), f"<Error><Code>{fault[1]}</Code><Message/></Error>".encode()
    return codes[command], Message(), rules[path] if command == "GET" else b""


@contextmanager
def _front(store: int, tls: ssl.SSLContext, fate: Fate, twist: Twist) -> Iterator[int]:
    """Pass everything on to the store, and let fate strike after what changes something."""
    rules: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if (odd := twist.answer(self.command, self.path, self.headers)) is not None:
                status, headers, data = odd[0], Message(), odd[1]
                headers["Content-Length"] = str(len(data))
            elif self.path.endswith("?lifecycle"):
                status, headers, data = _lifecycle(rules, self.command, self.path, self.headers, body)
            else:
                status, headers, data = self._ask(body)
            if self.command not in ("GET", "HEAD") and "X-Amz-Signature" not in self.path:
                try:
                    fate.strike()
                except Doom:
                    self.close_connection = True
                    return
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = headers["Content-Length"] if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(data)

        def _ask(self, body: bytes) -> tuple[int, Message, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", store, timeout=30)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            return answer.status, answer.headers, data

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - the base class looks them up

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
