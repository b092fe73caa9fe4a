"""A certificate authority a cluster: its key stays on the controller, each host gets pairs of its own.

P-256 keys; IP addresses stand in the SANs because etcd is reached by address; validity starts an hour
ago so that a host whose clock is a little behind accepts what was just made.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BACKDATED = datetime.timedelta(hours=1)
LIFETIME = datetime.timedelta(days=3650)
RENEW_BEFORE = datetime.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: str, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def create_authority(lab: str, now: datetime.datetime) -> Pair:
    """Make a CA for one lab."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    subject = f"clusterctl {lab} CA"
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, _name(subject), public, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


@dataclass(frozen=True)
class Authority:
    """A CA that issues and judges."""

    pair: Pair

    @cached_property
    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pair.certificate.encode())

    @cached_property
    def fingerprint(self) -> str:
        """The first 16 hex digits of the certificate's SHA-256: names this CA among others."""
        return self._certificate.fingerprint(hashes.SHA256()).hex()[:16]

    def issue(self, subject: str, addresses: Sequence[str], *, server: bool, now: datetime.datetime) -> Pair:
        """Make a pair. Client use is always allowed; server use and SANs where it must serve."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])]
        builder = (
            _builder(subject, self._certificate.subject, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._certificate.public_key()),  # type: ignore[arg-type]
                critical=False,
            )
        )
        if addresses:
            names = [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        authority_key = serialization.load_pem_private_key(self.pair.key.encode(), None)
        if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        certificate = builder.sign(authority_key, hashes.SHA256())
        return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))

    def unfit(self, pem: str, addresses: Iterable[str], *, server: bool, now: datetime.datetime) -> str:
        """Return why a certificate cannot serve, "" when it can."""
        if not pem:
            return "there is none"
        try:
            found = x509.load_pem_x509_certificate(pem.encode())
            found.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return "it is not from this lab's CA"
        if now < found.not_valid_before_utc:
            return f"it is not valid before {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        if now > found.not_valid_after_utc - RENEW_BEFORE:
            return f"it ends on {found.not_valid_after_utc:%Y-%m-%d}"
        uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if server and ExtendedKeyUsageOID.SERVER_AUTH not in uses:
            return "it is not for a server"
        wanted = {ipaddress.ip_address(a) for a in addresses}
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            present = set(names.get_values_for_type(x509.IPAddress))
        except x509.ExtensionNotFound:
            present = set()
        missing = sorted(str(a) for a in wanted - present)
        return f"it does not name {', '.join(missing)}" if missing else ""


_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)


def split(bundle: str) -> tuple[str, ...]:
    """Return the certificates of a file that may hold several."""
    return tuple(_BLOCK.findall(bundle))


def _is_from(found: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        found.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def fault_in(pem: str, authority: str, addresses: Iterable[str], now: datetime.datetime) -> tuple[str, str]:
    """Return why a certificate does not hold now, as the rest of a sentence and in one word; "" twice if it does.

    authority: the certificate of the CA that it must be from, or of several. addresses: what it must name.
    """
    if not pem:
        return "is missing", "missing"
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        issuers = x509.load_pem_x509_certificates(authority.encode())
    except ValueError:
        return "is no certificate, or the CA's beside it is none", "unreadable"
    if now > found.not_valid_after_utc:
        return f"has expired: it ended on {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", "expired"
    if now < found.not_valid_before_utc:
        return f"is not valid yet: it begins on {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "early"
    if not any(_is_from(found, issuer) for issuer in issuers):
        return "is not from the CA beside it, so nobody believes it", "foreign"
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        present = {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    except x509.ExtensionNotFound:
        present = set()
    missing = [a for a in addresses if a not in present]
    return (f"does not name {', '.join(missing)}", "names") if missing else ("", "")


class ByHand(Authority):
    """A CA for a plan that somebody else carries out: its name is the same in every such plan."""

    fingerprint = "by-hand"
