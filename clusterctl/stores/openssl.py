"""The certificates as a person makes them: openssl command lines for what `certificates` does in memory."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clusterctl.stores.certificates import LIFETIME

_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate says: whose it is, where it serves ("" addresses: a client alone)."""

    subject: str
    addresses: tuple[str, ...] = ()
    server: bool = False


CONTROLLER = Wanted("clusterctl controller")
"""The one that clusterctl itself asks the store with."""


def read(pem: str) -> Wanted:
    """Return what a certificate says."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        server = ExtendedKeyUsageOID.SERVER_AUTH in uses
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = tuple(map(str, names.get_values_for_type(x509.IPAddress)))
    except x509.ExtensionNotFound:
        return Wanted(str(name.value))
    return Wanted(str(name.value), addresses, server)


def authority(pem: str, folder: str) -> str:
    """Return how to make a CA like this one in a folder; one that is there already stays."""
    return (
        f"[ -e {folder}/ca.key ] || openssl req -x509 {_NEW_KEY} -days {LIFETIME.days} \\\n"
        f"  -subj {_subject(read(pem))} -keyout {folder}/ca.key -out {folder}/ca.crt"
    )


def pair(wanted: Wanted, folder: str, stem: str) -> str:
    """Return how to make a key STEM.key and a certificate STEM.crt with the CA in a folder."""
    uses = "clientAuth,serverAuth" if wanted.server else "clientAuth"
    extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={uses}"]
    if wanted.addresses:
        extensions.append(f"subjectAltName={','.join(f'IP:{a}' for a in wanted.addresses)}")
    return (
        f"openssl req -new {_NEW_KEY} \\\n  -subj {_subject(wanted)} -keyout {stem}.key -out {stem}.csr\n"
        f"printf '%s\\n' {' '.join(map(shlex.quote, extensions))} > {stem}.ext\n"
        f"openssl x509 -req -in {stem}.csr -CA {folder}/ca.crt -CAkey {folder}/ca.key -CAcreateserial \\\n"
        f"  -days {LIFETIME.days} -extfile {stem}.ext -out {stem}.crt\n"
        f"rm {stem}.csr {stem}.ext"
    )


def _subject(wanted: Wanted) -> str:
    return shlex.quote(f"/CN={wanted.subject}")
