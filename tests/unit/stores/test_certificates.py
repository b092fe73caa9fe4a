"""Certificates, verified by the cryptography library and by openssl."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import subprocess
from pathlib import Path

import pytest
from clusterctl.stores.certificates import Authority, Pair, create_authority
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
ADDRESSES = ["10.1.1.1", "127.0.0.1"]
CA = Authority(create_authority("lab", NOW))
SERVER = CA.issue("docker1 etcd", ADDRESSES, server=True, now=NOW)
CLIENT = CA.issue("controller", [], server=False, now=NOW)
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed here")


def load(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def verify(pair: Pair, address: str, *, ca: Authority = CA, at: datetime.datetime = NOW) -> None:
    """Verify a server's certificate as a client would."""
    policy = PolicyBuilder().store(Store([load(ca.pair)])).time(at)
    policy.build_server_verifier(x509.IPAddress(ipaddress.ip_address(address))).verify(load(pair), [])


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_server_is_accepted_by_each_of_its_addresses(address: str) -> None:
    verify(SERVER, address)


def test_a_server_is_not_accepted_by_another_address() -> None:
    with pytest.raises(VerificationError):
        verify(SERVER, "10.1.1.2")


def test_a_server_is_not_accepted_from_another_ca() -> None:
    with pytest.raises(VerificationError):
        verify(SERVER, "10.1.1.1", ca=Authority(create_authority("lab", NOW)))


def test_a_host_whose_clock_is_half_an_hour_behind_accepts_what_was_just_made() -> None:
    verify(SERVER, "10.1.1.1", at=NOW - datetime.timedelta(minutes=30))
    with pytest.raises(VerificationError):
        verify(SERVER, "10.1.1.1", at=NOW - datetime.timedelta(hours=2))


def uses(pair: Pair) -> set:
    return set(load(pair).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_member_serves_and_asks_and_a_client_only_asks() -> None:
    assert uses(SERVER) == {Use.CLIENT_AUTH, Use.SERVER_AUTH}
    assert uses(CLIENT) == {Use.CLIENT_AUTH}


def test_only_the_ca_may_sign_and_only_directly() -> None:
    def limits(pair: Pair) -> x509.BasicConstraints:
        return load(pair).extensions.get_extension_for_class(x509.BasicConstraints).value

    assert (limits(CA.pair).ca, limits(CA.pair).path_length) == (True, 0)
    assert not limits(SERVER).ca


def test_each_pair_has_a_key_of_its_own_that_fits() -> None:
    for pair in (CA.pair, SERVER, CLIENT):
        key = serialization.load_pem_private_key(pair.key.encode(), None)
        assert key.public_key() == load(pair).public_key()
    assert len({p.key for p in (CA.pair, SERVER, CLIENT)}) == 3
    assert len({load(p).serial_number for p in (CA.pair, SERVER, CLIENT)}) == 3


def test_a_key_shows_in_no_repr() -> None:
    assert "PRIVATE" not in repr(SERVER) + repr(CA)


def test_two_authorities_of_one_name_are_told_apart() -> None:
    other = Authority(create_authority("lab", NOW))
    assert other.fingerprint != CA.fingerprint
    assert len(CA.fingerprint) == 16


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "there is none"),
        ("no certificate", "it is not from this lab's CA"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it is not from this lab's CA"),
        (
            Authority(create_authority("lab", NOW)).issue("x", ADDRESSES, server=True, now=NOW).certificate,
            "it is not from this lab's CA",
        ),
        (CLIENT.certificate, "it is not for a server"),
        (CA.issue("x", [], server=True, now=NOW).certificate, "it does not name 10.1.1.1, 127.0.0.1"),
        (CA.issue("x", ["10.1.1.1"], server=True, now=NOW).certificate, "it does not name 127.0.0.1"),
        (SERVER.certificate, ""),
        (CA.issue("x", [*ADDRESSES, "10.1.1.9"], server=True, now=NOW).certificate, ""),
    ],
)
def test_what_does_not_fit_says_why(pem: str, why: str) -> None:
    assert CA.unfit(pem, ADDRESSES, server=True, now=NOW) == why


def test_a_client_needs_no_address_and_no_server_use() -> None:
    assert CA.unfit(CLIENT.certificate, [], server=False, now=NOW) == ""


def test_a_certificate_is_renewed_a_month_before_its_end() -> None:
    end = load(SERVER).not_valid_after_utc
    assert CA.unfit(SERVER.certificate, ADDRESSES, server=True, now=end - 31 * DAY) == ""
    assert CA.unfit(SERVER.certificate, ADDRESSES, server=True, now=end - 29 * DAY) == f"it ends on {end:%Y-%m-%d}"


def test_a_certificate_that_is_not_valid_yet_says_from_when() -> None:
    early = NOW - 2 * DAY
    assert CA.unfit(SERVER.certificate, ADDRESSES, server=True, now=early).startswith("it is not valid before ")


def test_a_long_name_is_cut_to_what_a_certificate_takes() -> None:
    assert len(load(CA.issue("x" * 100, [], server=False, now=NOW)).subject.rfc4514_string()) == len("CN=") + 64


def openssl(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *argv], capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    for name, pair in (("ca", CA.pair), ("server", SERVER), ("client", CLIENT)):
        (tmp_path / f"{name}.crt").write_text(pair.certificate)
        (tmp_path / f"{name}.key").write_text(pair.key)
    return tmp_path


@needs_openssl
@pytest.mark.parametrize(
    ("name", "purpose", "accepted"),
    [
        ("server", "sslserver", True),
        ("server", "sslclient", True),
        ("client", "sslclient", True),
        ("client", "sslserver", False),
    ],
)
def test_openssl_accepts_each_for_its_purpose(pems: Path, name: str, purpose: str, accepted: bool) -> None:
    done = openssl(
        "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(pems / "ca.crt"), str(pems / f"{name}.crt")
    )
    assert (done.returncode == 0) is accepted, done.stderr


@needs_openssl
def test_openssl_accepts_a_server_by_its_addresses_only(pems: Path) -> None:
    for address, accepted in (("10.1.1.1", True), ("127.0.0.1", True), ("10.1.1.2", False)):
        done = openssl("verify", "-verify_ip", address, "-CAfile", str(pems / "ca.crt"), str(pems / "server.crt"))
        assert (done.returncode == 0) is accepted, done.stderr


@needs_openssl
def test_openssl_finds_key_and_certificate_to_be_a_pair(pems: Path) -> None:
    for name in ("ca", "server", "client"):
        of_key = openssl("pkey", "-in", str(pems / f"{name}.key"), "-pubout").stdout
        assert of_key == openssl("x509", "-in", str(pems / f"{name}.crt"), "-noout", "-pubkey").stdout != ""
