"""Docker on an external etcd store (Docker up to 20.10, etcd's v2 API): settings and places.

etcd runs under systemd, not as a container: as one it would fall with the daemon that it serves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from clusterctl.model.errors import ClusterctlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clusterctl.model.inventory import Host

UNIT = "clusterctl-etcd.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
DATA = "/var/lib/clusterctl-etcd"
WAL = f"{DATA}/member/member/wal"
"""A member that has been in a cluster has this folder; from then on it ignores who founded the cluster."""
FOLDER = "/etc/clusterctl"
CONFIG = f"{FOLDER}/etcd.yml"
CA = f"{FOLDER}/pki/ca.crt"
MEMBER_CERT, MEMBER_KEY = f"{FOLDER}/pki/etcd.crt", f"{FOLDER}/pki/etcd.key"
DOCKER_CERT, DOCKER_KEY = f"{FOLDER}/pki/docker.crt", f"{FOLDER}/pki/docker.key"
FORMER = "pki/trusted.crt"
"""In the lab's folder: the CAs that this machine accepts while hosts have certificates of more than one."""
DAEMON_JSON = "/etc/docker/daemon.json"
DROP_IN = "/etc/systemd/system/docker.service.d/clusterctl.conf"

CLIENT_PORT, PEER_PORT, GOSSIP_PORT, VXLAN_PORT = 2379, 2380, 7946, 4789
ADVERTISED_PORT = 2375
"""The port in `cluster-advertise`: a name in the gossip only, nothing listens on it."""

NODES = "/docker/nodes/"
"""Where dockerds announce themselves: each renews its key every 20 s, without that it goes after 60 s."""

NETWORKS = "/docker/network/v1.0/network/"
"""Where dockerds keep the networks of global scope, a key each."""

LAST_DOCKER = (20, 10)
"""The cluster store was removed after this release: Docker 23.0's daemon refuses its options."""

LAST_ETCD = (3, 5)
"""etcd 3.6 has no v2 API (its CHANGELOG-3.6)."""


def announced(keys: Iterable[str]) -> list[str]:
    """Return the addresses that dockerds announce themselves by, of the keys of the store."""
    return [key.removeprefix(NODES) for key in keys if key.startswith(NODES)]


def peer(host: Host) -> str:
    """Return the URL that other members reach a host's member at; it names the member, whatever its id."""
    return f"https://{host.cluster_address}:{PEER_PORT}"


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


BIRTH = ("initial-cluster", "initial-cluster-token", "initial-cluster-state")
"""The settings that a member reads once in its life, when it has no data yet."""


def cluster(members: Iterable[Host]) -> dict[str, str]:
    """Return the members as names by peer URL."""
    return {peer(m): m.name for m in members}


def config(host: Host, members: Mapping[str, str], token: str, state: str = "new") -> str:
    """Return one member's configuration file: the cluster address and loopback only, mTLS on both ports.

    members: names by peer URL. state: "new" for those that found a cluster, "existing" for one that joins it.
    """
    tls = {"cert-file": MEMBER_CERT, "key-file": MEMBER_KEY, "client-cert-auth": True, "trusted-ca-file": CA}
    own = peer(host)
    client = f"https://{host.cluster_address}:{CLIENT_PORT}"
    settings = {
        "name": host.name,
        "data-dir": f"{DATA}/member",
        "listen-client-urls": f"{client},https://127.0.0.1:{CLIENT_PORT}",
        "advertise-client-urls": client,
        "listen-peer-urls": own,
        "initial-advertise-peer-urls": own,
        "initial-cluster": ",".join(f"{name}={url}" for url, name in members.items()),
        "initial-cluster-token": token,
        "initial-cluster-state": state,
        "enable-v2": True,
        "client-transport-security": tls,
        "peer-transport-security": tls,
    }
    head = "# Written by clusterctl. Docker's networks live in etcd's v2 store, hence enable-v2.\n"
    return head + yaml.dump(settings, Dumper=_Plain, sort_keys=False)


def read_config(text: str) -> dict[str, Any]:
    """Return the settings in a configuration file; empty where it is none."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def founders(text: str) -> dict[str, str]:
    """Return those that a configuration file says to found the cluster with, names by peer URL."""
    found = read_config(text)
    if found.get("initial-cluster-state") != "new":
        return {}
    pairs = (p.partition("=") for p in str(found.get("initial-cluster", "")).split(","))
    return {url: name for name, _, url in pairs if url}


def fits(text: str, wanted: str) -> bool:
    """Whether a member with data runs alike with both files: they differ at most in what it reads no more."""
    mine, other = ({k: v for k, v in read_config(t).items() if k not in BIRTH} for t in (text, wanted))
    return bool(mine) and mine == other


def unit(lab: str) -> str:
    """Return the systemd unit of a member. Type=notify: it counts as started once the cluster has a leader."""
    return f"""\
# Written by clusterctl.
[Unit]
Description=etcd, the cluster store of lab {lab}
Documentation=https://etcd.io/docs/v3.4/op-guide/
Wants=network-online.target
After=network-online.target
Before=docker.service

[Service]
Type=notify
User=etcd
StateDirectory=clusterctl-etcd
StateDirectoryMode=0700
ExecStart=etcd --config-file={CONFIG}
Restart=always
RestartSec=1
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


def drop_in() -> str:
    """Return the drop-in that starts Docker after its store, where both are on one host."""
    return f"# Written by clusterctl.\n[Unit]\nWants={UNIT}\nAfter={UNIT}\n"


def url(members: Sequence[Host]) -> str:
    """Return the store's URL with every member in it, so that losing one is survived."""
    return "etcd://" + ",".join(f"{m.cluster_address}:{CLIENT_PORT}" for m in members)


def advertised(host: Host) -> str:
    """Return the address that a host's daemon tells the store and its peers."""
    return f"{host.cluster_address}:{ADVERTISED_PORT}"


def serves(reported: str, store: str) -> bool:
    """Whether a daemon with the first URL is on the store of the second: one shared endpoint is enough.

    A running daemon asks the endpoints in turn, and itself asks the store for its present members.
    """
    first, second = (set(u.removeprefix("etcd://").split(",")) for u in (reported, store))
    return bool(reported) and bool(first & second)


def settings(host: Host, members: Sequence[Host]) -> dict[str, Any]:
    """Return what dockerd needs. TLS is used only when all three kv files are set (pkg/discovery/kv in 20.10)."""
    return {
        "cluster-store": url(members),
        "cluster-advertise": advertised(host),
        "cluster-store-opts": {"kv.cacertfile": CA, "kv.certfile": DOCKER_CERT, "kv.keyfile": DOCKER_KEY},
    }


def read_daemon_json(text: str, host: str) -> dict[str, Any]:
    """Return the user's daemon settings. Raises ClusterctlError when the file is not a JSON object."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ClusterctlError(f"{host}: {DAEMON_JSON} is not JSON: {error}", hint="mend or remove the file") from error
    if not isinstance(found, dict):
        raise ClusterctlError(f"{host}: {DAEMON_JSON} is not a JSON object", hint="mend or remove the file")
    return found


def merged(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return daemon.json with our settings beside theirs, theirs in their order."""
    return json.dumps({**theirs, **ours}, indent=2) + "\n"


def without(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return their settings without ours."""
    return {k: v for k, v in theirs.items() if not k.startswith("cluster-")}


def quorum_in_words(members: int, healthy: int) -> str:
    """Say what a cluster of this size survives; a majority of the members must live."""
    if not members:
        return "no etcd member is in the inventory"
    majority = members // 2 + 1
    spare = healthy - majority
    size = f"{members} member{'s' if members != 1 else ''}, {healthy} healthy"
    if spare < 0:
        return f"{size}: quorum is lost ({majority} needed), the store does not answer"
    if spare == 0:
        return f"{size}: losing one stops the store"
    return f"{size}: {spare} may fail"
