"""Issues one certificate from one planned row, or says how a certificate differs from it; no disk, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from generator.plan.certificates import Certificate, Usage

# A machine whose clock is behind at boot must not find its certificates "not yet valid".
BACKDATE = timedelta(hours=24)

_PURPOSE = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key on the one curve that is used everywhere, P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    row: Certificate, key: ec.EllipticCurvePrivateKey, signer: Issued | None, *, now: datetime
) -> x509.Certificate:
    """Sign the certificate that a row describes.

    Args:
        row: what the certificate says.
        key: the private key it is for.
        signer: the row's authority; None when the row signs itself.
        now: the time of issue, with its time zone; the certificate holds from a day before.
    """
    expires = now.replace(microsecond=0) + row.lifetime
    if signer is not None:
        # A chain is no longer valid than its shortest link; to say more would only mislead `gen status`.
        expires = min(expires, signer.certificate.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .subject_name(_subject(row))
        .issuer_name(signer.certificate.subject if signer else _subject(row))
        .not_valid_before(now.replace(microsecond=0) - BACKDATE)
        .not_valid_after(expires)
        .public_key(key.public_key())
    )
    for extension, critical in _extensions(row):
        builder = builder.add_extension(extension, critical=critical)
    signing_key = signer.key if signer else key
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
    )
    return builder.sign(signing_key, hashes.SHA256())


def differences(
    row: Certificate,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey | None,
    signer: x509.Certificate | None,
) -> list[str]:
    """Say in which ways a certificate is not the one its row describes; empty when it is.

    The order of names counts for nothing. `key` and `signer` are left out of the comparison when they are None.
    """
    found = []
    if certificate.subject != _subject(row):
        found.append(f"its subject is `{subject(certificate)}`, the plan says `{row.subject}`")
    if sorted(sans(certificate)) != sorted(row.sans):
        found.append(f"its names are `{' '.join(sans(certificate))}`, the plan says `{' '.join(row.sans)}`")
    if not has_usages(row, certificate):
        found.append(f"it may not be used as {' and '.join(row.usages)} alone, as the plan says")
    if key is not None and key.public_key() != certificate.public_key():
        found.append("its private key is another's")
    if signer is not None and not is_signed_by(certificate, signer):
        found.append(f"it is not signed by `{subject(signer)}`")
    return found


def subject(certificate: x509.Certificate) -> str:
    """Show a subject as `CN=…,O=…`, whatever else it holds left out."""
    names = [("CN", NameOID.COMMON_NAME), ("O", NameOID.ORGANIZATION_NAME)]
    parts = [(short, certificate.subject.get_attributes_for_oid(oid)) for short, oid in names]
    return ",".join(f"{short}={attribute.value!s}" for short, attributes in parts for attribute in attributes)


def sans(certificate: x509.Certificate) -> tuple[str, ...]:
    """Show the subject alternative names as `DNS:…` and `IP:…`, in the certificate's order."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(f"{_label(name)}:{name.value}" for name in names)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the whole certificate, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as unencrypted PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a private key of our curve.

    Raises:
        ValueError: it is something else, or damaged.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("it is encrypted or of an unknown kind") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is not a key on the curve P-256")
    return key


def read_certificate(pem: bytes) -> x509.Certificate:
    """Read one certificate from PEM.

    Raises:
        ValueError: it is something else, or damaged.
    """
    return x509.load_pem_x509_certificate(pem)


def _label(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName):
        return "DNS"
    return "IP" if isinstance(name, x509.IPAddress) else type(name).__name__


def _subject(row: Certificate) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, row.common_name)]
    if row.organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, row.organization))
    return x509.Name(attributes)


def _extensions(row: Certificate) -> list[tuple[x509.ExtensionType, bool]]:
    """List what the row decides, each with whether it is critical; an ECDSA key never enciphers."""
    path_length = 0 if row.is_authority else None
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=row.is_authority, path_length=path_length), True),
        (_key_usage(authority=row.is_authority), True),
    ]
    if purposes := _purposes(row.usages):
        found.append((x509.ExtendedKeyUsage(purposes), False))
    names = [x509.DNSName(name) for name in row.names.dns]
    addresses = [x509.IPAddress(address) for address in row.names.addresses]
    if names or addresses:
        found.append((x509.SubjectAlternativeName([*names, *addresses]), False))
    return found


def _purposes(usages: tuple[Usage, ...]) -> list[x509.ObjectIdentifier]:
    return [_PURPOSE[usage] for usage in usages if usage != "authority"]


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def has_usages(row: Certificate, certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may be used as its row says, and as nothing else."""
    wanted = {type(value): (value, critical) for value, critical in _extensions(row)}
    kinds: tuple[type[x509.ExtensionType], ...] = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
    present = {type(extension.value): (extension.value, extension.critical) for extension in certificate.extensions}
    return all(present.get(kind) == wanted.get(kind) for kind in kinds)


def is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    """Tell whether an authority has issued a certificate."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
