"""Starts a real etcd and kube-apiserver on loopback, to ask them what they think of our objects."""

from __future__ import annotations

import datetime
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from generator.files import resource

TOOLS = ("etcd", "kube-apiserver", "kubectl")
PATIENCE_SECONDS = 120

# The cluster's own rules for pods.
ADMISSION = "controlplane/etc/kubernetes/admission.yaml"

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- {{name: c, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: {directory}/ca.crt}}}}
users:
- {{name: u, user: {{{user}}}}}
contexts:
- {{name: c, context: {{cluster: c, user: u}}}}
current-context: c
"""


@dataclass
class ApiServer:
    """A running API server and how to speak to it."""

    directory: Path
    tools: Mapping[str, Path]
    port: int
    said: list[str] = field(default_factory=list)

    def kubectl(self, *arguments: str, kubeconfig: str = "admin.conf") -> subprocess.CompletedProcess[str]:
        """Run kubectl and give what it said, whatever the outcome."""
        command = [str(self.tools["kubectl"]), f"--kubeconfig={self.directory / kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def service_account(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig that holds a service account's token."""
        token = self.kubectl("create", "token", name, "-n", namespace)
        assert token.returncode == 0, token.stderr
        file = self.directory / f"{namespace}-{name}.conf"
        file.write_text(
            KUBECONFIG.format(port=self.port, directory=self.directory, user=f"token: {token.stdout.strip()}")
        )
        return file

    def identity(self, user: str, group: str) -> dict[str, str]:
        """Issue a client's certificate: both PEM, as `certificate` and `key`."""
        file = self.directory / f"{user.replace(':', '-')}"
        parts = [(NameOID.COMMON_NAME, user)] + ([(NameOID.ORGANIZATION_NAME, group)] if group else [])
        authority = x509.load_pem_x509_certificate((self.directory / "ca.crt").read_bytes())
        signer = serialization.load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        subject = x509.Name([x509.NameAttribute(*part) for part in parts])
        _issue(file, subject, ec.generate_private_key(ec.SECP256R1()), authority.subject, signer)
        return {"certificate": Path(f"{file}.crt").read_text(), "key": Path(f"{file}.key").read_text()}


@contextmanager
def running(directory: Path, tools: Mapping[str, Path], *more: str) -> Iterator[ApiServer]:
    """Start both, the API server with more arguments, wait until it is ready, and end both afterwards."""
    port, client_port, peer_port = free_ports(3)
    _certificates(directory)
    user = f"client-certificate: {directory}/admin.crt, client-key: {directory}/admin.key"
    (directory / "admin.conf").write_text(KUBECONFIG.format(port=port, directory=directory, user=user))
    etcd = f"http://127.0.0.1:{client_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    with ExitStack() as stack:
        stack.enter_context(
            _process(
                directory / "etcd.log",
                *(str(tools["etcd"]), f"--data-dir={directory}/etcd", "--unsafe-no-fsync"),
                *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}"),
                *(f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"),
            )
        )
        stack.enter_context(
            _process(
                directory / "kube-apiserver.log",
                str(tools["kube-apiserver"]),
                f"--admission-control-config-file={resource('userdata') / ADMISSION}",
                "--allow-privileged=true",
                "--authorization-mode=Node,RBAC",
                "--bind-address=127.0.0.1",
                f"--client-ca-file={directory}/ca.crt",
                "--enable-admission-plugins=DenyServiceExternalIPs,EventRateLimit,NodeRestriction",
                f"--etcd-servers={etcd}",
                f"--secure-port={port}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-extend-token-expiration=false",
                f"--service-account-key-file={directory}/sa.pub",
                "--service-account-max-token-expiration=24h",
                f"--service-account-signing-key-file={directory}/sa.key",
                "--service-cluster-ip-range=10.43.0.0/16",
                f"--tls-cert-file={directory}/server.crt",
                f"--tls-private-key-file={directory}/server.key",
                *more,
            )
        )
        server = ApiServer(directory, tools, port)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while server.kubectl("get", "--raw", "/readyz").returncode != 0:
            assert time.monotonic() < deadline, (directory / "kube-apiserver.log").read_text()[-4000:]
            time.sleep(0.5)
        yield server


@contextmanager
def _process(log: Path, *command: str) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield
        finally:
            process.kill()


def free_ports(number: int) -> list[int]:
    """Give ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _certificates(directory: Path) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    _issue(directory / "ca", authority, authority_key, authority, authority_key, ca=True)
    people = [(NameOID.COMMON_NAME, "admin"), (NameOID.ORGANIZATION_NAME, "system:masters")]
    for name, parts in {"server": [(NameOID.COMMON_NAME, "server")], "admin": people}.items():
        subject = x509.Name([x509.NameAttribute(*part) for part in parts])
        _issue(directory / name, subject, ec.generate_private_key(ec.SECP256R1()), authority, authority_key)
    signer = ec.generate_private_key(ec.SECP256R1())
    _write_key(directory / "sa.key", signer)
    public = signer.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "sa.pub").write_bytes(public)


def _issue(
    file: Path,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(signer, hashes.SHA256())
    )
    file.with_name(f"{file.name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(file.with_name(f"{file.name}.key"), key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
