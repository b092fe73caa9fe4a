"""Docker deeds as actions: they show themselves as docker command lines and go through the Docker API."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterctl.commands.systemd import restart
from clusterctl.model.errors import HostError, InputError
from clusterctl.plan.action import Action
from clusterctl.plan.command import command, script
from clusterctl.plan.phase import Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clusterctl.model.facts import Facts
    from clusterctl.model.playbook import Attachment
    from clusterctl.plan.command import Command
    from clusterctl.plan.door import Door

ALTERS = frozenset({Section.DOCKER, Section.STORE})
"""What making a network or a container, or bringing an image, alters. Taking one away may leave threads astray."""

POOL_IS_TAKEN = (
    "has another network these addresses (docker network ls)? If none has, the pool of one that is gone is left: "
    "systemctl restart docker; or with all that Docker keeps: clusterctl down --keep-hosts; then clusterctl up"
)

STALE_SANDBOX = 'failed get network namespace ""'
"""Docker 20.10 restores an overlay's sandbox after a crash though its namespace is gone (libnetwork 2322)."""


# Standard input: daemon.json as it is now, with live-restore. "$1": the file, which is as before in the end.
# The daemon keeps what a file no longer says, so it is told that live-restore is off before the file says nothing.
_LIVE = r"""set -eu; was=$(mktemp "$1.clusterctl.XXXXXX"); cp -p "$1" "$was"; live=$(cat)
tell() {
  printf '%s\n' "$live" | sed 's/\("live-restore": \)true/\1'"$2/" > "$1"
  systemctl kill --kill-who=main -s HUP docker.service; n=50
  until [ "$(docker info -f '{{.LiveRestoreEnabled}}')" = "$2" ] || [ "$n" = 0 ]; do sleep 0.1; n=$((n-1)); done
}
trap 'tell "$1" false; cat "$was" > "$1"; touch -r "$was" "$1"; rm -f "$was"' EXIT; trap 'exit 143' HUP INT TERM
tell "$1" true; systemctl daemon-reload; systemctl restart docker.service"""


UNDER_CONTAINERS = "restart Docker under its running containers"


def restart_under_containers(settings: Mapping[str, Any], path: str = "/etc/docker/daemon.json") -> Command:
    """Restart the daemon and let its containers run on, as `live-restore` does: for this restart alone.

    settings: what is in the file.
    """
    if settings.get("live-restore") is True:
        return restart("docker.service")
    live = json.dumps({**settings, "live-restore": True}, indent=2) + "\n"
    by_hand = f'# with "live-restore": true in {path} for as long as this takes\nsystemctl reload docker'
    typed = f"{by_hand}\nsystemctl restart docker\n# then without it again\nsystemctl reload docker"
    return script(_LIVE, path, input=live.encode(), within=120, typed=typed)


def start(names: Sequence[str]) -> Command:
    """Start containers; those that run are left alone, one that cannot is no failure."""
    return command("docker", "start", *names, ok=(0, 1))


def _pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in (flag, f"{key}={value}")]


ENDPOINTS_GO_WITHIN = 10.0
"""Seconds that Docker may take to forget the endpoints of containers that are gone."""


@dataclass(frozen=True, kw_only=True)
class CreateNetwork(Action):
    """Create a Docker network."""

    name: str
    driver: str
    subnet: str
    gateway: str = ""
    range: str = ""
    reserved: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    alters: frozenset[Section] = ALTERS

    def shell(self) -> str:
        """Return `docker network create …`."""
        words = ["docker", "network", "create", "--driver", self.driver, "--subnet", self.subnet]
        if self.gateway:
            words += ["--gateway", self.gateway]
        if self.range:
            words += ["--ip-range", self.range]
        words += _pairs("--aux-address", self.reserved)
        words += _pairs("--opt", self.options) + _pairs("--label", self.labels)
        return shlex.join([*words, self.name])

    def perform(self, door: Door) -> str:
        """Create it."""
        try:
            door.docker.create_network(
                self.name,
                self.driver,
                subnet=self.subnet,
                gateway=self.gateway,
                options=self.options,
                labels=self.labels,
                range=self.range,
                reserved=self.reserved,
            )
        except HostError as error:
            if "Pool overlaps" in error.message:
                error.hint = POOL_IS_TAKEN
            raise
        return f"{self.name} created"


@dataclass(frozen=True, kw_only=True)
class RemoveNetwork(Action):
    """Remove a Docker network. everywhere: it goes from every host, as the store shows it to each."""

    name: str
    everywhere: bool = False

    def shell(self) -> str:
        """Return `docker network rm …`."""
        return shlex.join(["docker", "network", "rm", self.name])

    def perform(self, door: Door) -> str:
        """Remove it; Docker lets go of a removed container's endpoint a moment after the container."""
        deadline = time.monotonic() + ENDPOINTS_GO_WITHIN
        while True:
            try:
                door.docker.remove_network(self.name)
            except HostError as error:
                if "active endpoints" not in error.message or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return f"{self.name} removed"

    def predict(self, facts: Facts) -> Facts:
        """Return the facts without it."""
        for host in facts.hosts.values():
            if host.docker and (self.everywhere or host.name == self.host):
                left = {name: n for name, n in host.docker.networks.items() if name != self.name}
                facts = facts.with_host(replace(host, docker=replace(host.docker, networks=left)))
        return super().predict(facts)


@dataclass(frozen=True, kw_only=True)
class Disconnect(Action):
    """Force an endpoint off a network: the way to drop one whose host died."""

    network: str
    endpoint: str

    def shell(self) -> str:
        """Return `docker network disconnect --force …`."""
        return shlex.join(["docker", "network", "disconnect", "--force", self.network, self.endpoint])

    def perform(self, door: Door) -> str:
        """Disconnect it."""
        door.docker.disconnect(self.network, self.endpoint)
        return f"{self.endpoint} is off {self.network}"


@dataclass(frozen=True, kw_only=True)
class RunContainer(Action):
    """Create a container and start it, then connect it to the further networks that it is on.

    mode: what Docker takes for a network besides those of the user's own, "" where the first of them is meant.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    networks: Mapping[str, Attachment] = field(default_factory=dict)
    mode: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    publish: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    alters: frozenset[Section] = ALTERS

    @property
    def first(self) -> str:
        """What it is run with as its network."""
        return self.mode or next(iter(self.networks))

    @property
    def later(self) -> Mapping[str, Attachment]:
        """The networks that it is connected to once it runs."""
        return {name: attachment for name, attachment in self.networks.items() if name != self.first}

    def shell(self) -> str:
        """Return `docker run …` and a `docker network connect …` for each further network."""
        words = ["docker", "run", "--detach", "--name", self.name, "--network", self.first]
        words += _attaching(self.networks.get(self.first), "--network-alias")
        words += [w for name, alias in self.links.items() for w in ("--link", f"{name}:{alias}")]
        words += [w for ports in self.publish for w in ("--publish", ports)]
        words += [w for capability in self.capabilities for w in ("--cap-add", capability)]
        words += _pairs("--sysctl", self.sysctls)
        lines = [shlex.join([*words, *_pairs("--label", self.labels), self.image, *self.argv])]
        for network, attachment in self.later.items():
            how = _attaching(attachment, "--alias")
            lines.append(shlex.join(["docker", "network", "connect", *how, network, self.name]))
        return "\n".join(lines)

    def perform(self, door: Door) -> str:
        """Run it; where a crash left Docker with sandboxes that are gone, after a second start of Docker."""
        try:
            self._run(door)
        except HostError as error:
            if STALE_SANDBOX not in error.message:
                raise
            door.docker.remove(self.name)
            door.run(restart("docker.service")).expect("start Docker once more")
            self._run(door)
            return f"{self.name} started, after Docker was started once more: it held on to sandboxes from a crash"
        return f"{self.name} started"

    def _run(self, door: Door) -> None:
        options: dict[str, object] = {}
        if self.links:
            options["links"] = dict(self.links)
        if self.publish:
            pairs = (ports.split(":") for ports in self.publish)
            options["port_bindings"] = {int(inner): int(outer) for outer, inner in pairs}
        if self.capabilities:
            options["cap_add"] = list(self.capabilities)
        if self.sysctls:
            options["sysctls"] = dict(self.sysctls)
        door.docker.run(
            self.name,
            self.image,
            self.argv,
            network=self.first,
            labels=self.labels,
            options=options,
            attachment=self.networks.get(self.first),
        )
        for network, attachment in self.later.items():
            door.docker.connect(network, self.name, attachment)


def _attaching(attachment: Attachment | None, alias: str) -> list[str]:
    """Return the options for how a container is on a network."""
    if attachment is None:
        return []
    address = ["--ip", attachment.address] if attachment.address else []
    return [*address, *(word for name in attachment.aliases for word in (alias, name))]


@dataclass(frozen=True, kw_only=True)
class StartContainer(Action):
    """Start a container that exists."""

    name: str

    def shell(self) -> str:
        """Return `docker start …`."""
        return shlex.join(["docker", "start", self.name])

    def perform(self, door: Door) -> str:
        """Start it."""
        door.docker.start(self.name)
        return f"{self.name} started"


def unpause(container: str) -> Command:
    """Let the processes of a paused container run on."""
    return command("docker", "unpause", container)


@dataclass(frozen=True, kw_only=True)
class RemoveContainer(Action):
    """Kill and remove a container."""

    name: str

    def shell(self) -> str:
        """Return `docker rm …`."""
        return shlex.join(["docker", "rm", "--force", "--volumes", self.name])

    def perform(self, door: Door) -> str:
        """Remove it."""
        door.docker.remove(self.name)
        return f"{self.name} removed"

    def predict(self, facts: Facts) -> Facts:
        """Return the facts without it, and without its endpoints wherever they are seen."""
        for host in facts.hosts.values():
            if host.docker is None:
                continue
            networks = {
                name: replace(n, endpoints=tuple(e for e in n.endpoints if e.name != self.name))
                if host.name == self.host or n.spans
                else n
                for name, n in host.docker.networks.items()
            }
            containers = dict(host.docker.containers)
            if host.name == self.host:
                containers.pop(self.name, None)
            facts = facts.with_host(
                replace(host, docker=replace(host.docker, networks=networks, containers=containers))
            )
        return super().predict(facts)


@dataclass(frozen=True, kw_only=True)
class PullImage(Action):
    """Pull an image from its registry and give it the tag that the playbook calls it by."""

    reference: str
    tag: str
    alters: frozenset[Section] = ALTERS

    def shell(self) -> str:
        """Return `docker pull …`, and `docker tag …` where the two names differ."""
        pull = shlex.join(["docker", "pull", self.reference])
        return (
            pull if self.reference == self.tag else f"{pull}\n{shlex.join(['docker', 'tag', self.reference, self.tag])}"
        )

    def perform(self, door: Door) -> str:
        """Pull it."""
        door.docker.pull(self.reference, self.tag)
        return f"{self.reference} pulled"


@dataclass(frozen=True, kw_only=True)
class LoadImage(Action):
    """Load an image from a tar on the controller."""

    archive: str
    alters: frozenset[Section] = ALTERS

    def here(self) -> str:
        """Return how the tar is brought over."""
        return f"scp {shlex.quote(self.archive)} {self.host}:/tmp/"

    def shell(self) -> str:
        """Return `docker load …`."""
        place = f"/tmp/{Path(self.archive).name}"  # noqa: S108  # where `here` has put it
        return f"docker load --input {shlex.quote(place)}"

    def perform(self, door: Door) -> str:
        """Load it."""
        try:
            content = Path(self.archive).read_bytes()
        except OSError as error:
            raise InputError(f"{self.archive}: {error.strerror}", hint="docker save IMAGE > FILE makes one") from error
        door.docker.load(content)
        return f"{self.archive} loaded"


@dataclass(frozen=True, kw_only=True)
class RemoveImage(Action):
    """Remove an image."""

    tag: str

    def shell(self) -> str:
        """Return `docker image rm …`."""
        return shlex.join(["docker", "image", "rm", self.tag])

    def perform(self, door: Door) -> str:
        """Remove it."""
        door.docker.remove_image(self.tag)
        return f"{self.tag} removed"


# "$1" the tag, "$2" a label. The image is one static busybox and its names; it sleeps until it is killed,
# and init's signal handling of PID 1 is bypassed by a trap so that `docker stop` takes no ten seconds.
_BUSYBOX = """\
set -eu; umask 022; d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
mkdir -p "$d/bin" "$d/tmp" "$d/etc" "$d/root"; b=$(command -v busybox); cp "$b" "$d/bin/busybox"
"$b" chroot "$d" /bin/busybox --install -s /bin
echo 'root:x:0:0:root:/root:/bin/sh' > "$d/etc/passwd"; echo 'root:x:0:' > "$d/etc/group"
tar -C "$d" -c . | docker import -c 'ENV PATH=/bin' -c "LABEL $2" \\
  -c 'CMD ["/bin/sh", "-c", "trap exit TERM INT; while :; do sleep 3600 & wait $!; done"]' - "$1\""""


_TYPED_BUSYBOX = """\
d=$(mktemp -d)
mkdir $d/bin $d/tmp $d/etc $d/root
cp "$(command -v busybox)" $d/bin/busybox
busybox chroot $d /bin/busybox --install -s /bin
echo 'root:x:0:0:root:/root:/bin/sh' > $d/etc/passwd
echo 'root:x:0:' > $d/etc/group
tar -C $d -c . | docker import -c 'ENV PATH=/bin' -c {label} \\
  -c 'CMD ["/bin/sh", "-c", "trap exit TERM INT; while :; do sleep 3600 & wait $!; done"]' - {tag}
rm -r $d"""


def build_busybox(tag: str, label: str) -> Command:
    """Build a small image from the host's static busybox: no registry, no download."""
    typed = _TYPED_BUSYBOX.format(tag=shlex.quote(tag), label=shlex.quote(f"LABEL {label}"))
    return script(_BUSYBOX, tag, label, within=120, typed=typed)
