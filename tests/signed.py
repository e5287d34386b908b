"""Issues certificates of other authorities than the program's, right and wrong ones."""

from __future__ import annotations

import datetime
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.keyring import NOW

DAY = datetime.timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Signed:
    """A certificate, its key, and who has signed it; an authority unless it has names."""

    def __init__(
        self,
        common: str,
        signer: Signed | None = None,
        *names: str,
        key: Key | None = None,
        start: datetime.datetime = NOW - DAY,
        end: datetime.datetime = NOW + 36_500 * DAY,
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> None:
        self.key: Key = key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .serial_number(x509.random_serial_number())
            .subject_name(name(common))
            .issuer_name(signer.certificate.subject if signer else name(common))
            .public_key(self.key.public_key())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        )
        if names and names != ("",):
            called = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
            builder = builder.add_extension(called, critical=False)
        if names and purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        self.certificate = builder.sign(signer.key if signer else self.key, hashes.SHA256())
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)

    @property
    def sha256(self) -> str:
        """Give the SHA-256 of the certificate in hex."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def context(self) -> ssl.SSLContext:
        """Give the way in which a server speaks that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.pem + self.key_pem())
            file.flush()
            context.load_cert_chain(file.name)
        return context
