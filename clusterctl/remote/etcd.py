"""The etcd of a host through an SSH tunnel. The only module that imports etcd3 (python-etcd3).

Docker keeps its networks in etcd's v2 store, which no v3 client sees; etcd3 serves members, leader and
sizes, and the v2 keys are read over etcd's HTTP API. Both show the controller's own client certificate.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests

from clusterctl.model.errors import HostError
from clusterctl.model.facts import Member
from clusterctl.plan.door import MemberHealth, MemberStatus
from clusterctl.remote.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.remote.credentials import Credentials

CLIENT_PORT = 2379
ALARMS = {1: "NOSPACE", 2: "CORRUPT"}
"""etcd's words for its alarms, by their numbers in its rpc.proto."""


class TunnelledEtcd:
    """The etcd of one host; see `clusterctl.plan.door.EtcdDoor`. The tunnel opens on first use."""

    def __init__(self, host: str, connection: Any, credentials: Credentials) -> None:
        self._host, self._connection, self._credentials = host, connection, credentials
        self._tunnel: Tunnel | None = None
        self._opening = threading.Lock()
        self._v3: Any = None
        self._v3_trusts = b""
        self._http: requests.Session | None = None

    def _local_port(self) -> int:
        with self._opening:
            if self._tunnel is None:
                self._tunnel = Tunnel(self._connection.transport, CLIENT_PORT)
        return self._tunnel.port

    def _get(self, path: str, within: float) -> requests.Response:
        return self._request("GET", path, within)

    def _request(
        self, method: str, path: str, within: float, data: Mapping[str, str] | None = None
    ) -> requests.Response:
        with self._opening:
            if self._http is None:
                self._http = requests.Session()
                self._http.trust_env = False  # a proxy in the environment must not see the cluster's store
        files = self._credentials
        return self._http.request(
            method,
            f"https://127.0.0.1:{self._local_port()}{path}",
            timeout=within,
            data=data,
            # Each time: what is trusted may change during a run.
            verify=str(files.trusted),
            cert=(str(files.certificate), str(files.key)),
        )

    def health(self) -> MemberHealth:
        """Ask /health and /v2/keys; an etcd that does not answer is unhealthy, not an error."""
        try:
            health = self._get("/health", 3)
            v2 = self._get("/v2/keys/", 3)
            # etcd without --enable-v2 calls itself healthy and answers 404 here.
            healthy = health.ok and str(health.json().get("health")).lower() == "true"
        except (requests.RequestException, ValueError, OSError) as error:
            return MemberHealth(healthy=False, v2=False, reason=_reason(error))
        reason = "" if healthy and v2.ok else f"/health {health.text.strip()[:120]}, /v2/keys {v2.status_code}"
        return MemberHealth(healthy=healthy, v2=v2.ok, reason=reason)

    def _client(self) -> Any:
        """Return the v3 client of this one member."""
        # python-etcd3's generated code predates protobuf 4; the pure Python implementation still reads it.
        os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        import etcd3

        files = self._credentials
        trusted = files.trusted.read_bytes()
        if self._v3 is None or trusted != self._v3_trusts:
            self._v3_trusts = trusted
            self._v3 = etcd3.client(
                host="127.0.0.1",
                port=self._local_port(),
                ca_cert=str(files.trusted),
                cert_cert=str(files.certificate),
                cert_key=str(files.key),
                timeout=3,
                grpc_options={"grpc.enable_http_proxy": 0}.items(),
            )
        return self._v3

    def _call(self, doing: str, call: Callable[[Any], Any]) -> Any:
        """Call the v3 API; what it answers with an error becomes a HostError."""
        client = self._client()
        import etcd3
        import grpc

        try:
            return call(client)
        except (etcd3.exceptions.Etcd3Exception, grpc.RpcError, requests.RequestException, ValueError) as error:
            said = error.details() if hasattr(error, "details") else ""
            raise HostError(
                self._host,
                f"{doing}: {said if str(said).startswith('etcdserver') else _reason(error)}",
                hint="journalctl -u clusterctl-etcd -n 50",
            ) from error

    def status(self) -> MemberStatus:
        """Ask the v3 API for status and members. Raises HostError."""

        def ask(client: Any) -> tuple[Any, Any, list[Any], float]:
            # The quickest of three: the first pays for the channel, each for what else this program does meanwhile.
            latency = float("inf")
            for _ in range(3):
                started = time.monotonic()
                status = client.status()
                latency = min(latency, time.monotonic() - started)
            return status, self._cluster(client, "MemberList"), self._alarms(client, status), latency

        status, reply, alarms, latency = self._call("etcd does not answer", ask)
        names = {m.ID: m.name for m in reply.members}
        return MemberStatus(
            name=next((m.name for m in reply.members if reply.header.member_id == m.ID), ""),
            id=reply.header.member_id,
            leader=status.leader.id if status.leader else 0,
            version=status.version,
            db_bytes=status.db_size,
            raft_index=status.raft_index,
            latency=latency,
            members=tuple(m.name for m in reply.members),
            alarms=tuple(f"{ALARMS.get(a.alarm, a.alarm)} {names.get(a.memberID, f'{a.memberID:x}')}" for a in alarms),
        )

    def _alarms(self, client: Any, status: Any) -> list[Any]:
        # The question is written into etcd's log, so it is asked only of a member that calls itself unhealthy;
        # and it needs a quorum. Not list_alarms: it knows none but NOSPACE.
        if not status.leader or self._get("/health", 3).json().get("health") == "true":
            return []
        import etcd3

        asked = etcd3.etcdrpc.AlarmRequest(action=etcd3.etcdrpc.AlarmRequest.GET)
        return list(client.maintenancestub.Alarm(asked, client.timeout, credentials=client.call_credentials).alarms)

    @staticmethod
    def _cluster(client: Any, name: str, **request: Any) -> Any:
        """Ask the stub: the client's own methods would open a channel to each member."""
        import etcd3

        asked = getattr(etcd3.etcdrpc, f"{name}Request")(**request)
        return getattr(client.clusterstub, name)(asked, client.timeout, credentials=client.call_credentials)

    def members(self) -> tuple[Member, ...]:
        """Return the members that the cluster has, as this one knows them. Raises HostError."""
        try:
            # The v2 API says the same as the v3 API, and nothing has to be imported for it.
            answer = self._get("/v2/members", 3)
            answer.raise_for_status()
            listed = answer.json()["members"]
        except (requests.RequestException, ValueError, KeyError, OSError) as error:
            raise HostError(self._host, f"list the members: {_reason(error)}") from error
        found = (Member(int(m["id"], 16), m["name"], _first(m["peerURLs"]), _first(m["clientURLs"])) for m in listed)
        return tuple(sorted(found, key=lambda m: m.peer))

    def add_member(self, peer: str) -> int:
        """Make a member of the one that will be at this peer URL; returns its id. Raises HostError."""
        reply = self._call("add the member", lambda c: self._cluster(c, "MemberAdd", peerURLs=[peer]))
        return int(reply.member.ID)

    def remove_member(self, id: int) -> None:
        """Remove a member from the cluster; quiet when there is none of this id. Raises HostError."""
        try:
            self._call("remove the member", lambda c: self._cluster(c, "MemberRemove", ID=id))
        except HostError as error:
            if "member not found" not in error.message:
                raise

    def put(self, key: str, value: str) -> None:
        """Write a v2 key. Raises HostError."""
        try:
            answer = self._request("PUT", f"/v2/keys{quote(key)}", 5, {"value": value})
            answer.raise_for_status()
        except (requests.RequestException, OSError) as error:
            raise HostError(self._host, f"write {key} to etcd: {_reason(error)}") from error

    def defragment(self) -> None:
        """Give the space of deleted v3 keys back; the member answers nothing meanwhile. Raises HostError."""
        self._call("defragment", lambda c: c.defragment())

    def keys(self, prefix: str) -> Mapping[str, str]:
        """Return the v2 keys below prefix with their values; empty where there are none."""
        try:
            answer = self._get(f"/v2/keys{quote(prefix)}?recursive=true", 5)
            tree = answer.json()
            if answer.status_code != requests.codes.not_found:
                answer.raise_for_status()
        except (requests.RequestException, ValueError, OSError) as error:
            raise HostError(self._host, f"read {prefix} from etcd: {_reason(error)}") from error
        found: dict[str, str] = {}
        todo = [tree.get("node", {})] if answer.ok else []
        while todo:
            node = todo.pop()
            if not node.get("dir") and "key" in node:
                found[node["key"]] = node.get("value", "")
            todo.extend(node.get("nodes", ()))
        return dict(sorted(found.items()))

    def close(self) -> None:
        """Close the connections and the tunnel."""
        if self._http is not None:
            self._http.close()
        if self._v3 is not None:
            self._v3.close()
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None


def _first(urls: list[str] | None) -> str:
    return (urls or [""])[0]


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    for known in ("Connection refused", "certificate verify failed", "timed out", "bad certificate", "reset by peer"):
        if known.lower() in text.lower():
            return known.lower()
    return text[:200]
