"""Layer 7, the containers: there, running, on their networks, with interfaces, addresses and DNS inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.mends import RESTART, restart_docker
from clusterctl.checks.layers.rules import dropping
from clusterctl.commands.docker import StartContainer, unpause
from clusterctl.model.finding import Evidence, Layer
from clusterctl.model.lab import LABEL
from clusterctl.model.playbook import Driver
from clusterctl.plan.action import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.facts import ContainerFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container
    from clusterctl.topology.anatomy import Inside, Namespace

JUDGE = Judge(Layer.CONTAINERS)
UP = "this machine: clusterctl up"


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge every container of the playbook whose daemon answered."""
    for container in lab.playbook.containers.values():
        daemon = survey.facts.docker(container.host)
        if daemon is None:
            continue
        anatomy = survey.anatomy(container.host)
        inside = (anatomy.containers or {}).get(container.name) if anatomy else None
        fault = _state(lab, survey, container, daemon.containers.get(container.name), inside)
        if fault is None and inside and anatomy and anatomy.pids and inside.pid not in anatomy.pids:
            fault = _lifeless(container, inside)
        faults = [fault] if fault else []
        if fault is None and inside and anatomy:
            faults = list(_inside(lab, survey, container, inside, anatomy.sandbox(container.name)))
        yield from faults
        if not faults:
            found = daemon.containers[container.name]
            where = ", ".join(f"{n} {ip}" for n, (ip, _) in found.networks.items())
            yield JUDGE.ok(
                "container", container.name, f"runs on {container.host}", f"{found.state} on {container.host}, {where}"
            )


def _state(
    lab: Lab, survey: Survey, container: Container, found: ContainerFacts | None, inside: Inside | None
) -> Judged | None:
    """Judge what Docker says of it."""
    name, host = container.name, container.host
    expected = f"{name} runs on {host}"
    if found is None:
        elsewhere = [h for h, f in survey.facts.hosts.items() if f.docker and name in f.docker.containers]
        also = f"; {', '.join(elsewhere)} has one" if elsewhere else ""
        shown = Evidence(host, f"docker inspect {name}", f"Error: No such object: {name}")
        return JUDGE.fault(
            "container-missing",
            name,
            expected,
            f"there is no container {name} on {host}{also}",
            UP,
            shown,
            completes=True,
        )
    shown = Evidence(host, f"docker ps -a --filter name=^{name}$", _how(found, inside))
    if found.labels.get(LABEL) != lab.name:
        seen = f"the container {name} on {host} is not this lab's"
        return JUDGE.fault(
            "container-foreign", name, expected, seen, f"{host}: docker rename {name} NEW; then {UP}", shown
        )
    if found.state == "paused":
        seen = f"the container {name} on {host} is paused: its processes may not run"
        mend = Run(host=host, title=f"let {name} run on", command=unpause(name))
        return JUDGE.fault(
            "container-paused", name, expected, seen, f"{host}: docker unpause {name}", shown, safe=[mend]
        )
    if found.state != "running":
        state = "stopped" if found.state == "exited" else found.state
        seen = f"the container {name} on {host} is {state}: {_how(found, inside)}"
        facts = survey.facts.hosts[host]
        astray = facts.astray > 0
        first = restart_docker(facts) if astray else []
        start = StartContainer(host=host, title=f"start {name}", name=name)
        hint = f"{host}: {f'{RESTART}; ' if astray else ''}docker start {name}"
        able = found.state in ("exited", "created") and bool(first) == astray
        safe = [*first, start] if able else []
        return JUDGE.fault("container-stopped", name, expected, seen, hint, shown, safe=safe, completes=not able)
    return _networks(container, found, shown)


def _lifeless(container: Container, inside: Inside) -> Judged:
    """Tell of a container that Docker holds for running after its processes were ended behind its back."""
    name, host = container.name, container.host
    shown = Evidence(host, f"ls -d /proc/{inside.pid}", "No such file or directory")
    says = Evidence(
        host, f"docker inspect -f '{{{{.State.Status}}}} {{{{.State.Pid}}}}' {name}", f"running {inside.pid}"
    )
    seen = f"Docker holds {name} on {host} for running, and its process {inside.pid} is gone"
    hint = f"{host}: docker rm -f {name}; then {UP}"
    return JUDGE.fault("container-lifeless", name, f"{name} runs on {host}", seen, hint, says, shown)


def _networks(container: Container, found: ContainerFacts, shown: Evidence) -> Judged | None:
    """Judge the networks that Docker says it is on."""
    name, host = container.name, container.host
    lacking = [n for n in container.networks if n not in found.networks]
    if lacking:
        on = ", ".join(found.networks) or "none"
        seen = f"the container {name} on {host} is not on {', '.join(lacking)}, but on {on}"
        nets = Evidence(host, f"docker inspect -f '{{{{json .NetworkSettings.Networks}}}}' {name}", on)
        return JUDGE.fault(
            "container-network", name, f"{name} is on {', '.join(container.networks)}", seen, UP, nets, completes=True
        )
    bare = [n for n in container.networks if not found.networks[n][0]]
    if bare:
        seen = f"the container {name} on {host} runs without an address on {', '.join(bare)}"
        return JUDGE.fault("container-address", name, f"{name} has an address", seen, UP, shown, completes=True)
    return None


def _how(found: ContainerFacts, inside: Inside | None) -> str:
    if inside is None:
        return found.state
    words = [found.state]
    if found.state in ("exited", "dead"):
        words.append(f"exit code {inside.exit_code}")
    if inside.out_of_memory:
        words.append("it ran out of memory")
    if inside.ended:
        words.append(inside.ended)
    return ", ".join(words)


def _neighbours(lab: Lab, survey: Survey, container: Container, inside: Inside, space: Namespace) -> Iterator[Judged]:
    """Judge whom the container takes for whom: entries that somebody wrote, which nothing corrects."""
    known = {
        ip: (c.name, mac)
        for f in survey.facts.hosts.values()
        for c in (f.docker.containers.values() if f.docker else ())
        for network, (ip, mac) in c.networks.items()
        if network in container.networks and mac and lab.playbook.networks[network].driver is Driver.OVERLAY
    }
    for entry in space.neighbours:
        name, mac = known.get(entry.ip, ("", ""))
        if mac and entry.mac and entry.mac != mac and "PERMANENT" in entry.state:
            enter = f"nsenter -t {inside.pid} -n"
            shown = Evidence(
                container.host, f"{enter} ip neigh show {entry.ip}", f"{entry.ip} lladdr {entry.mac} PERMANENT"
            )
            seen = f"{container.name} on {container.host} takes {entry.ip} for {entry.mac}; {name} has {mac}"
            hint = f"{container.host}: {enter} ip neigh del {entry.ip} dev {entry.device}"
            yield JUDGE.fault("container-neighbour", container.name, f"{entry.ip} is {mac}", seen, hint, shown)


def _inside(
    lab: Lab, survey: Survey, container: Container, inside: Inside, space: Namespace | None
) -> Iterator[Judged]:
    """Judge the container's network namespace against what Docker says is in it."""
    name, host = container.name, container.host
    if container.network_mode == "host":
        return  # its namespace is the host's
    if space is None:
        if inside.sandbox:
            shown = Evidence(host, f"ls {inside.sandbox}", "no network namespace is mounted there")
            seen = f"the network namespace of {name} on {host} is gone, though it runs"
            yield JUDGE.fault(
                "sandbox", name, f"{name} has its namespace", seen, f"{host}: docker restart {name}", shown
            )
        return
    enter = f"nsenter -t {inside.pid} -n"
    restart = f"{host}: docker restart {name}"
    for network in container.networks:
        ip, mac, _ = inside.networks.get(network, ("", "", ""))
        link = space.with_mac(mac) or space.with_address(ip)
        shown = Evidence(
            host, f"{enter} ip -br addr", ", ".join(f"{x.name} {' '.join(x.addresses)}" for x in space.links)
        )
        expected = f"{name} has {ip} on an interface that is up"
        if link is None and mac:
            seen = f"{name} on {host} has lost its interface to {network} ({mac})"
            yield JUDGE.fault("container-link", name, expected, seen, restart, shown)
        elif link and not (link.up and link.carrier):
            seen = f"{link.name} of {name} on {host} is {'without carrier' if link.up else 'down'}"
            hint = f"{host}: {enter} ip link set {link.name} up"
            yield JUDGE.fault("container-link", name, expected, seen, hint, shown)
        elif link and ip and ip not in link.ips:
            has = ", ".join(link.ips) or "none"
            seen = f"{link.name} of {name} on {host} does not have its address {ip} (it has {has})"
            yield JUDGE.fault("container-address", name, expected, seen, restart, shown)
    for dropped in dropping(space):
        shown = Evidence(host, f"{enter} {dropped.command}", dropped.line)
        seen = f"a rule inside {name} on {host} drops packets: {dropped.line}"
        yield JUDGE.fault(
            "container-rule", name, f"no rule inside {name}", seen, f"{host}: {enter} {dropped.undo}", shown
        )
    yield from _neighbours(lab, survey, container, inside, space)
    routed = [r for r in space.routes if r.startswith("default ")]
    bad = [r for r in space.routes if r.split()[0] in ("blackhole", "unreachable", "prohibit", "throw")]
    if bad:
        shown = Evidence(host, f"{enter} ip route", "\n".join(space.routes))
        seen = f"a route inside {name} on {host} throws packets away: {bad[0]}"
        hint = f"{host}: {enter} ip route del {bad[0].partition(' dev')[0]}"
        yield JUDGE.fault("container-route", name, "no such route", seen, hint, shown)
    overlay = any(lab.playbook.networks[n].driver is Driver.OVERLAY for n in container.networks)
    if overlay and not any("127.0.0.11" in r for r in space.rules):
        shown = Evidence(host, f"{enter} iptables -t nat -S", "nothing about 127.0.0.11")
        seen = f"names do not resolve in {name} on {host}: the rules that lead to Docker's DNS (127.0.0.11) are gone"
        yield JUDGE.fault("dns-rules", name, "127.0.0.11 leads to Docker's DNS", seen, restart, shown)
    if not routed and overlay:
        shown = Evidence(host, f"{enter} ip route", "\n".join(space.routes))
        seen = f"{name} on {host} has no default route: it reaches its networks and nothing else"
        yield JUDGE.warning("container-route", name, "a default route", seen, restart, shown)
