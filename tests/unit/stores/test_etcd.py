from __future__ import annotations

import json

import pytest
import yaml
from clusterctl.model.errors import ClusterctlError
from clusterctl.stores import etcd
from example import finished, lab

HOSTS = lab().inventory.hosts
MEMBERS = tuple(HOSTS.values())
CLUSTER = etcd.cluster(MEMBERS)


def config(name: str = "docker1") -> dict:
    return yaml.safe_load(etcd.config(HOSTS[name], CLUSTER, "token"))


def test_the_settings_are_those_that_real_members_ran_with() -> None:
    for name, host in HOSTS.items():
        real = finished().hosts[name].content(etcd.CONFIG)
        assert etcd.config(host, CLUSTER, yaml.safe_load(real)["initial-cluster-token"]) == real


def test_a_member_listens_on_its_cluster_address_and_on_loopback_only() -> None:
    assert config()["listen-client-urls"] == "https://10.1.90.1:2379,https://127.0.0.1:2379"
    assert config()["listen-peer-urls"] == "https://10.1.90.1:2380"
    assert "0.0.0.0" not in etcd.config(HOSTS["docker1"], CLUSTER, "token")
    assert "http://" not in etcd.config(HOSTS["docker1"], CLUSTER, "token")


def test_both_ports_ask_for_a_certificate_of_the_lab_s_ca() -> None:
    for side in ("client-transport-security", "peer-transport-security"):
        assert config()[side] == {
            "cert-file": etcd.MEMBER_CERT,
            "key-file": etcd.MEMBER_KEY,
            "client-cert-auth": True,
            "trusted-ca-file": etcd.CA,
        }


def test_every_member_knows_every_member_and_the_v2_api_is_on() -> None:
    assert config()["initial-cluster"] == config("docker2")["initial-cluster"]
    assert config()["initial-cluster"] == "docker1=https://10.1.90.1:2380,docker2=https://10.1.90.2:2380"
    assert config()["enable-v2"] is True


def test_the_settings_have_no_yaml_aliases_which_etcd_would_not_expand_alike() -> None:
    assert "&" not in etcd.config(HOSTS["docker1"], CLUSTER, "token")


def test_the_store_s_url_names_every_member() -> None:
    assert etcd.url(MEMBERS) == "etcd://10.1.90.1:2379,10.1.90.2:2379"
    assert etcd.url(MEMBERS[:1]) == "etcd://10.1.90.1:2379"


def test_tls_of_the_store_has_all_three_files() -> None:
    found = etcd.settings(HOSTS["docker1"], MEMBERS)["cluster-store-opts"]
    assert set(found) == {"kv.cacertfile", "kv.certfile", "kv.keyfile"}


@pytest.mark.parametrize("text", ["", " \n\t", "{}"])
def test_no_settings_read_as_none(text: str) -> None:
    assert etcd.read_daemon_json(text, "docker1") == {}


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"x"', "{'a': 1}", "\ufeff{}"])
def test_settings_that_are_no_json_object_are_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(ClusterctlError) as caught:
        etcd.read_daemon_json(text, "docker1")
    assert caught.value.message.startswith("docker1: /etc/docker/daemon.json is not ")
    assert caught.value.hint


def test_merging_keeps_theirs_first_and_taking_ours_out_gives_theirs_back() -> None:
    theirs = {"mtu": 1400, "log-opts": {"max-size": "1m"}, "hosts": ["unix://"]}
    merged = json.loads(etcd.merged(theirs, etcd.settings(HOSTS["docker1"], MEMBERS)))
    assert list(merged)[:3] == list(theirs)
    assert etcd.without(merged) == theirs
