"""The Docker API of a host over its SSH connection. The only module that imports docker.

Docker listens on its unix socket alone; `docker system dial-stdio` on a channel of the open
connection joins the two, so no TCP port is needed and no second login is made.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import docker.errors
import paramiko
import requests.exceptions
import urllib3
from docker import APIClient
from docker.transport.sshconn import SSHConnectionPool, SSHHTTPAdapter
from docker.types import EndpointConfig, IPAMConfig, IPAMPool

from clusterctl.model.errors import HostError, TimedOut
from clusterctl.model.facts import ContainerFacts, DockerFacts, Endpoint, ImageFacts, NetworkFacts
from clusterctl.model.playbook import BRIDGE, CONTAINER, HOST, NONE
from clusterctl.plan.door import Exec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clusterctl.model.playbook import Attachment

PREDEFINED = frozenset({BRIDGE, HOST, NONE})
CHANNELS = 4
"""Channels kept for API calls at once on one SSH connection."""

SLOW = 1.0
"""Seconds after which a daemon that has not said of itself is asked the rest on another channel."""

WITHIN = 240.0
"""Seconds for one answer: on a VM without hardware virtualization a container may take two minutes to start."""


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, transport: Any, command: str, first: bytes, within: float) -> None:
        super().__init__("localhost", timeout=within)
        self._transport, self._command, self._first, self._within = transport, command, first, within

    def connect(self) -> None:
        channel = self._transport.open_session(timeout=self._within)
        channel.settimeout(self._within)
        channel.exec_command(self._command)
        channel.sendall(self._first)
        self.sock = channel


class _Pool(SSHConnectionPool):  # type: ignore[misc]
    def __init__(self, transport: Any, command: str, first: bytes, within: float) -> None:
        super().__init__(timeout=within, maxsize=CHANNELS)
        self.block = True
        self._open = (transport, command, first, within)

    def _new_conn(self) -> _Connection:
        return _Connection(*self._open)

    def _get_conn(self, timeout: Any = None) -> _Connection:
        """Take a channel that still leads to a daemon: a restarted one has closed the others."""
        connection: _Connection = super()._get_conn(timeout)
        channel: Any = connection.sock
        if channel is not None and (channel.closed or channel.eof_received):
            connection.close()
            return self._new_conn()
        return connection


class _Adapter(SSHHTTPAdapter):  # type: ignore[misc]
    """docker-py's own SSH adapter, on a connection that is open already."""

    def __init__(self, transport: Any, command: str, first: bytes, within: float) -> None:
        super().__init__("ssh://open", timeout=within, shell_out=True)
        self._pool = _Pool(transport, command, first, within)

    def get_connection(self, url: str, proxies: Any = None) -> _Pool:
        return self._pool

    def close(self) -> None:
        self._pool.close()


class SshDocker:
    """The Docker API of one host; see `clusterctl.plan.door.DockerDoor`.

    command: the line that dials. first: what it reads before the API's stream begins.
    """

    def __init__(self, host: str, transport: Any, command: str, *, first: bytes = b"", within: float = WITHIN) -> None:
        self._host = host
        # A version is given so that nothing is asked before the adapter is mounted.
        self._api = APIClient(base_url="http://docker:1", version="1.41", timeout=within)
        self._api.base_url = "http+docker://ssh"
        # No proxy and no netrc of the environment has a say here; looking for them takes longer than the call.
        self._api.trust_env = False
        self._adapter = _Adapter(transport, command, first, within)
        self._api.mount("http+docker://ssh", self._adapter)
        self._api._custom_adapter = self._adapter
        self._negotiated = False

    def _client(self) -> APIClient:
        if not self._negotiated:
            self._api._version = self._api._retrieve_server_version()
            self._negotiated = True
        return self._api

    @contextlib.contextmanager
    def _calls(self, doing: str) -> Iterator[APIClient]:
        try:
            yield self._client()
        except docker.errors.APIError as error:
            raise HostError(self._host, f"{doing}: {error.explanation or error}") from error
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            paramiko.SSHException,
            EOFError,
            OSError,
        ) as error:
            raise HostError(
                self._host,
                f"{doing}: Docker does not answer: {error}",
                hint="systemctl status docker; journalctl -u docker -n 50",
            ) from error

    def close(self) -> None:
        """Give the channels back."""
        self._api.close()
        self._adapter.close()

    def facts(self) -> DockerFacts:
        """Return what the daemon has and says of itself."""
        with self._calls("read Docker's state") as api, ThreadPoolExecutor(1) as beside:
            # On one channel, since to open one takes longer than to ask. While the store has no quorum Docker takes
            # seconds to say of itself and of networks: then these two are asked side by side.
            asked = beside.submit(api.info)
            wait([asked], SLOW)
            images, containers, networks = api.images(), api.containers(all=True), api.networks()
            info = asked.result()
            inspected = []
            for network in networks:
                if network["Name"] in PREDEFINED:
                    continue
                if network.get("Scope") == "local":  # its endpoints are this daemon's containers: no need to ask
                    inspected.append(_network({**network, "Containers": _on(network["Name"], containers)}))
                    continue
                with contextlib.suppress(docker.errors.NotFound):  # it may go between the list and the look
                    inspected.append(_network(api.inspect_network(network["Id"])))
        return DockerFacts(
            version=info.get("ServerVersion", ""),
            store=info.get("ClusterStore", ""),
            advertise=info.get("ClusterAdvertise", ""),
            swarm=(info.get("Swarm") or {}).get("LocalNodeState", "inactive"),
            networks={n.name: n for n in inspected},
            containers={c.name: c for c in map(_container, containers)},
            images=tuple(ImageFacts(i["Id"], tuple(i.get("RepoTags") or ()), i.get("Labels") or {}) for i in images),
        )

    def create_network(
        self,
        name: str,
        driver: str,
        subnet: str,
        gateway: str,
        options: Mapping[str, str],
        labels: Mapping[str, str],
        range: str = "",
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        """Create a network."""
        pool = IPAMPool(subnet, range or None, gateway or None, dict(reserved or {}) or None)
        with self._calls(f"create network {name}") as api:
            api.create_network(
                name,
                driver=driver,
                ipam=IPAMConfig(pool_configs=[pool]),
                options=dict(options),
                labels=dict(labels),
                check_duplicate=True,
            )

    def remove_network(self, name: str) -> None:
        """Remove a network; quiet when there is none."""
        with self._calls(f"remove network {name}") as api, contextlib.suppress(docker.errors.NotFound):
            api.remove_network(name)

    def connect(self, network: str, container: str, attachment: Attachment | None = None) -> None:
        """Attach a container to one more network."""
        with self._calls(f"connect {container} to {network}") as api:
            api.connect_container_to_network(container, network, **_endpoint(attachment))

    def disconnect(self, network: str, endpoint: str) -> None:
        """Force an endpoint off a network by its name, whether or not its container is still there."""
        with self._calls(f"disconnect {endpoint} from {network}") as api, contextlib.suppress(docker.errors.NotFound):
            api.disconnect_container_from_network(endpoint, network, force=True)

    def run(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        network: str,
        labels: Mapping[str, str],
        options: Mapping[str, object],
        attachment: Attachment | None = None,
    ) -> None:
        """Create a container and start it; see `clusterctl.plan.door.DockerDoor`."""
        ports: Any = options.get("port_bindings", {})
        with self._calls(f"run container {name}") as api:
            endpoint = EndpointConfig(api._version, **_endpoint(attachment))
            own = network not in PREDEFINED and not network.startswith(CONTAINER)
            made = api.create_container(
                image,
                command=list(command) or None,
                name=name,
                labels=dict(labels),
                ports=list(ports) or None,
                host_config=api.create_host_config(network_mode=network, **options),
                networking_config=api.create_networking_config({network: endpoint}) if own else None,
            )
            api.start(made["Id"])

    def start(self, container: str) -> None:
        """Start a container that exists."""
        with self._calls(f"start container {container}") as api:
            api.start(container)

    def remove(self, container: str) -> None:
        """Kill and remove a container; quiet when there is none."""
        with self._calls(f"remove container {container}") as api, contextlib.suppress(docker.errors.NotFound):
            api.remove_container(container, force=True, v=True)

    def pull(self, reference: str, tag: str) -> None:
        """Pull an image from its registry and give it this tag."""
        with self._calls(f"pull {reference}") as api:
            for event in api.pull(reference, stream=True, decode=True):
                if "error" in event:
                    raise HostError(
                        self._host,
                        f"pull {reference}: {event['error']}",
                        hint="can the host reach the registry? an image can also be built or loaded: see images: "
                        "in the playbook",
                    )
            if reference != tag:
                name, _, version = tag.rpartition(":")
                api.tag(reference, name, version)

    def load(self, archive: bytes) -> None:
        """Load an image from a tar that `docker save` wrote."""
        with self._calls("load the image") as api:
            for event in api.load_image(archive):
                if "error" in event:
                    raise HostError(self._host, f"load the image: {event['error']}")

    def remove_image(self, tag: str) -> None:
        """Remove an image; quiet when there is none."""
        with self._calls(f"remove image {tag}") as api, contextlib.suppress(docker.errors.NotFound):
            api.remove_image(tag)

    def exec(self, container: str, argv: Sequence[str], within: float = 10.0) -> Exec:
        """Run a command in a container. Raises HostError when it is missing or not running, TimedOut."""
        with self._calls(f"exec in container {container}") as api:
            made = api.exec_create(container, list(argv))
            # Not exec_start: it reads from the bare channel and loses what came in one piece with the headers,
            # and it never gives the connection back, so that a few of them use the pool up.
            answer = api._post_json(
                api._url("/exec/{0}/start", made["Id"]),
                headers={"Connection": "Upgrade", "Upgrade": "tcp"},
                data={"Tty": False, "Detach": False},
                stream=True,
            )
            channel = api._get_raw_response_socket(answer)
            # The stream has no end of its own while the command runs; a channel that closes is one.
            timer = threading.Timer(within, channel.close)
            timer.start()
            try:
                output = b"".join(_frames(answer.raw._fp.fp))
            finally:
                timer.cancel()
                channel.close()
                answer.close()
            code = api.exec_inspect(made["Id"])["ExitCode"]
        text = output.decode("utf-8", "replace")
        if code is None:
            raise TimedOut(self._host, f"docker exec {container} {shlex.join(argv)}", within, text[-300:])
        return Exec(code, text)

    def inspect_network(self, name: str) -> Mapping[str, object]:
        """Return what `docker network inspect` prints for this network; empty where there is none."""
        with self._calls(f"inspect network {name}") as api:
            try:
                found: Mapping[str, object] = api.inspect_network(name)
            except docker.errors.NotFound:
                return {}
            return found


def _endpoint(attachment: Attachment | None) -> dict[str, Any]:
    """Return how a container is on a network, in docker-py's words."""
    if attachment is None:
        return {}
    return {"ipv4_address": attachment.address or None, "aliases": list(attachment.aliases) or None}


def _frames(stream: Any) -> Iterator[bytes]:
    """Take Docker's attach stream apart: eight bytes of head, of which the last four are the length of what follows.

    Source: "Stream format" of the endpoint ContainerAttach in the Engine API's reference.
    """
    while len(head := stream.read(8)) == 8:
        yield stream.read(int.from_bytes(head[4:], "big"))


def _on(network: str, containers: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return what `docker network inspect` says of the containers on a network, from the list of them.

    Of docker_gwbridge that list says nothing.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for raw in containers:
        joined = ((raw.get("NetworkSettings") or {}).get("Networks") or {}).get(network)
        if joined and joined.get("EndpointID"):
            named = {"Name": _name(raw), "MacAddress": joined["MacAddress"], "IPv4Address": joined["IPAddress"]}
            found[raw["Id"]] = named
    return found


def _name(raw: Mapping[str, Any]) -> str:
    return str((raw.get("Names") or ["/"])[0]).lstrip("/")


def _network(raw: Mapping[str, Any]) -> NetworkFacts:
    config = ((raw.get("IPAM") or {}).get("Config") or [{}])[0]
    return NetworkFacts(
        id=raw["Id"],
        name=raw["Name"],
        driver=raw.get("Driver", ""),
        scope=raw.get("Scope", ""),
        subnet=config.get("Subnet", ""),
        gateway=config.get("Gateway", ""),
        range=config.get("IPRange", ""),
        labels=raw.get("Labels") or {},
        options=raw.get("Options") or {},
        endpoints=tuple(
            Endpoint(e.get("Name", ""), key, e.get("MacAddress", ""), e.get("IPv4Address", "").partition("/")[0])
            for key, e in sorted((raw.get("Containers") or {}).items())
        ),
    )


def _container(raw: Mapping[str, Any]) -> ContainerFacts:
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    return ContainerFacts(
        id=raw["Id"],
        name=_name(raw),
        image=raw.get("Image", ""),
        state=raw.get("State", ""),
        labels=raw.get("Labels") or {},
        networks={n: (v.get("IPAddress", ""), v.get("MacAddress", "")) for n, v in networks.items()},
        mode=(raw.get("HostConfig") or {}).get("NetworkMode", ""),
    )
