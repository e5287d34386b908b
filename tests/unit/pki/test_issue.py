"""Issuing one certificate, and telling it from another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from generator.pki.issue import (
    Issued,
    certificate_pem,
    differences,
    issue,
    key_pem,
    new_key,
    read_certificate,
    read_key,
    sans,
    subject,
)
from generator.plan.certificates import Certificate, Names
from tests.keyring import NOW, planned

ROWS = {row.path: row for row in planned().certificates}
CA = ROWS["kubernetes-ca"]
SERVER = ROWS["nodes/node01/apiserver"]


def authority(row: Certificate = CA) -> Issued:
    key = new_key()
    return Issued(issue(row, key, None, now=NOW), key)


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> tuple[x509.ExtensionType, bool]:
    found = certificate.extensions.get_extension_for_class(kind)
    return found.value, found.critical


def test_an_authority_lives_ten_years_and_signs_leaves_only() -> None:
    certificate = authority().certificate
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=24)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)
    assert certificate.issuer == certificate.subject
    assert extension(certificate, x509.BasicConstraints) == (x509.BasicConstraints(ca=True, path_length=0), True)
    usage, critical = extension(certificate, x509.KeyUsage)
    assert isinstance(usage, x509.KeyUsage)
    assert (critical, usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, True, False)


@pytest.mark.parametrize("path", [path for path, row in ROWS.items() if not row.is_authority and row.node != "node02"])
def test_a_leaf_is_what_its_row_says(path: str) -> None:
    row = ROWS[path]
    ca, key = authority(ROWS[row.signer or ""]), new_key()
    certificate = issue(row, key, ca, now=NOW)
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=24)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert subject(certificate) == row.subject
    assert sans(certificate) == row.sans
    assert certificate.public_key() == key.public_key()
    assert extension(certificate, x509.BasicConstraints) == (x509.BasicConstraints(ca=False, path_length=None), True)
    usage, critical = extension(certificate, x509.KeyUsage)
    assert isinstance(usage, x509.KeyUsage)
    assert (critical, usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (
        True,
        True,
        False,
        False,
    )
    purposes, critical = extension(certificate, x509.ExtendedKeyUsage)
    assert isinstance(purposes, x509.ExtendedKeyUsage)
    assert not critical
    assert {purpose._name for purpose in purposes} == {f"{usage}Auth" for usage in row.usages}
    subject_key, _ = extension(ca.certificate, x509.SubjectKeyIdentifier)
    issuer_key, _ = extension(certificate, x509.AuthorityKeyIdentifier)
    assert isinstance(subject_key, x509.SubjectKeyIdentifier)
    assert isinstance(issuer_key, x509.AuthorityKeyIdentifier)
    assert issuer_key.key_identifier == subject_key.digest
    assert differences(row, certificate, key, ca.certificate) == []


def test_a_leaf_does_not_outlive_its_authority() -> None:
    ca = authority()
    late = NOW + timedelta(days=3600)
    certificate = issue(SERVER, new_key(), ca, now=late)
    assert certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc


def test_serial_numbers_are_large_and_never_the_same() -> None:
    ca, key = authority(), new_key()
    serials = {issue(SERVER, key, ca, now=NOW).serial_number for _ in range(20)}
    assert len(serials) == 20
    assert min(serials).bit_length() > 100


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(SERVER, common_name="kube-scheduler"), "its subject is `CN=kube-apiserver`, the plan says"),
        (replace(SERVER, organization="system:masters"), "the plan says `CN=kube-apiserver,O=system:masters`"),
        (replace(SERVER, names=Names(SERVER.names.dns, (IPv4Address("10.43.0.1"),))), "its names are"),
        (replace(SERVER, names=Names()), "its names are"),
        (replace(SERVER, usages=("client",)), "it may not be used as client alone"),
        (replace(SERVER, usages=("server", "client")), "it may not be used as server and client alone"),
        (replace(SERVER, usages=("authority",)), "it may not be used as authority alone"),
    ],
)
def test_each_difference_from_the_plan_is_told(other: Certificate, message: str) -> None:
    ca, key = authority(), new_key()
    certificate = issue(SERVER, key, ca, now=NOW)
    found = differences(other, certificate, key, ca.certificate)
    assert len(found) == 1
    assert message in found[0]


def test_the_order_of_names_is_no_difference() -> None:
    ca, key = authority(), new_key()
    certificate = issue(SERVER, key, ca, now=NOW)
    turned = Names(tuple(reversed(SERVER.names.dns)), tuple(reversed(SERVER.names.addresses)))
    assert differences(replace(SERVER, names=turned), certificate, key, ca.certificate) == []


def test_another_key_and_another_signer_are_told_together() -> None:
    certificate = issue(SERVER, new_key(), authority(), now=NOW)
    found = differences(SERVER, certificate, new_key(), authority().certificate)
    assert found == ["its private key is another's", f"it is not signed by `{CA.subject}`"]


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")),
    ],
)
def test_what_is_no_plain_key_of_our_curve_is_refused(pem: bytes) -> None:
    with pytest.raises(ValueError):
        read_key(pem)


def test_keys_and_certificates_survive_their_files() -> None:
    issued = authority()
    assert read_key(key_pem(issued.key)).public_key() == issued.key.public_key()
    assert read_certificate(certificate_pem(issued.certificate)) == issued.certificate
    assert "EllipticCurve" not in repr(issued)
