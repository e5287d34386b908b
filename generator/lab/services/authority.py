"""Is the lab's own certification authority: what droplets and the command line trust in place of the public ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from generator.files import make_private_directory, write_atomic

_BACKDATE = timedelta(hours=24)
_LIFETIME = timedelta(days=365)


class Authority:
    """A CA that lives in one directory: made when it is not there, the same one for the life of a lab."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        make_private_directory(directory)
        if not self.certificate_file.exists():
            self._make()
        self._certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @property
    def certificate_file(self) -> Path:
        """Give the certificate to trust, as PEM."""
        return self.directory / "ca.crt"

    def issue(self, names: Iterable[str]) -> tuple[Path, Path]:
        """Sign a new server certificate for these names (`*.` is allowed) and give it and its key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.DNSName(name) for name in sorted(set(names))]
        builder = _builder("lab server", self._certificate.subject, key)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(identifier, critical=False).sign(self._key, hashes.SHA256())
        write_atomic(self.directory / "server.key", _pem(key), mode=0o600)
        write_atomic(self.directory / "server.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return self.directory / "server.crt", self.directory / "server.key"

    def _make(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hardway lab, trusted by this lab alone")])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _builder("hardway lab, trusted by this lab alone", name, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        write_atomic(self.directory / "ca.key", _pem(key), mode=0o600)
        write_atomic(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
