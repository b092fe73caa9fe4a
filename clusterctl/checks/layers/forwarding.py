"""Layer 6, forwarding: each overlay's bridge, ports, VXLAN, FDB and neighbour entries; the hosts' FORWARD chains."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.firewall import DOCKERS
from clusterctl.checks.layers.judged import Judge
from clusterctl.checks.layers.network import network_ids
from clusterctl.checks.layers.rules import dropping, undoing, without_counters
from clusterctl.commands import bridge
from clusterctl.commands.ip import set_up
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.model.finding import Evidence, Layer, Severity
from clusterctl.model.inventory import Role
from clusterctl.model.playbook import Driver
from clusterctl.plan.action import Run
from clusterctl.stores import etcd
from clusterctl.topology.rules import Packet, Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.checks.layers.judged import Judged
    from clusterctl.checks.layers.survey import Survey
    from clusterctl.model.facts import ContainerFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.topology.anatomy import Anatomy, Inside, Namespace
    from clusterctl.topology.links import Link

JUDGE = Judge(Layer.FORWARDING)

AWAY = "192.0.2.1"
"""An address outside of every lab (RFC 5737), for asking rules about packets that leave."""


def judge(lab: Lab, survey: Survey) -> Iterator[Judged]:
    """Judge how frames find their way on every host that answered."""
    overlays = [n.name for n in lab.playbook.networks.values() if n.driver is Driver.OVERLAY]
    for host in survey.reached(lab.with_role(Role.DOCKER)):
        anatomy = survey.anatomy(host.name)
        if anatomy is None or survey.facts.docker(host.name) is None:
            continue
        faults = list(_gateway(host, anatomy))
        entries = 0
        for name in overlays:
            id_ = network_ids(survey, name).get(host.name)
            here = [c for c in on_network(anatomy, name) if c.status in ("running", "paused")]
            if not id_ or not here:
                continue
            found, count = _overlay(lab, survey, host, anatomy, name, id_, here)
            faults += found
            entries += count
        yield from faults
        if all(f.holds for f in faults):
            seen = f"{entries} entries lead to the containers of other hosts"
            yield JUDGE.ok("forwarding", host.name, "every frame has its way", seen)


def on_network(anatomy: Anatomy, network: str) -> list[Inside]:
    """Return a host's containers on a network."""
    return [c for c in (anatomy.containers or {}).values() if network in c.networks]


def _enter(space: Namespace) -> str:
    return f"nsenter --net={space.path}"


def _overlay(
    lab: Lab, survey: Survey, host: Host, anatomy: Anatomy, name: str, id_: str, here: list[Inside]
) -> tuple[list[Judged], int]:
    """Judge one overlay on one host; with how many entries were right."""
    space = anatomy.overlay(id_)
    if space is None or space.vxlan is None:
        what = "no namespace" if space is None else "no VXLAN device in its namespace"
        shown = Evidence(
            host.name, f"ls {bridge.NAMESPACES}", ", ".join(p.rpartition("/")[2] for p in anatomy.namespaces)
        )
        seen = f"the overlay {name} has {what} on {host.name}, where {here[0].name} is on it"
        hint = (
            f"{host.name}: docker restart {here[0].name}; if it stays so: systemctl restart docker, then clusterctl up"
        )
        return [JUDGE.fault("overlay-missing", name, f"{name} has its VXLAN on {host.name}", seen, hint, shown)], 0
    faults = [
        *_devices(host, name, space),
        *_ports(host, anatomy, name, space, here),
        *_sizes(host, anatomy, name, space, here),
        *_rules(host, name, space),
    ]
    missing, right = _entries(lab, survey, host, name, space)
    return [*faults, *missing], right


def _devices(host: Host, name: str, space: Namespace) -> Iterator[Judged]:
    """Judge the VXLAN device and the bridge."""
    vxlan = space.vxlan
    master = space.link(vxlan.master) if vxlan and vxlan.master else None
    if vxlan is None:
        return
    for link in (vxlan, *([master] if master else [])):
        if not link.up:
            shown = Evidence(host.name, f"{_enter(space)} ip link show {link.name}", f"{link.name} state DOWN")
            seen = f"{link.name} of the overlay {name} is down on {host.name}"
            hint = f"{host.name}: {_enter(space)} ip link set {link.name} up"
            mend = Run(host=host.name, title=f"set {link.name} up", command=bridge.set_up(space.path, link.name))
            yield JUDGE.fault("overlay-down", name, f"{link.name} is up", seen, hint, shown, safe=[mend])
    if master is None:
        shown = Evidence(host.name, f"{_enter(space)} ip -d link show {vxlan.name}", "no master")
        seen = f"{vxlan.name} of the overlay {name} is on no bridge on {host.name}"
        hint = f"{host.name}: {_enter(space)} ip link set {vxlan.name} master br0"
        mend = Run(
            host=host.name, title=f"put {vxlan.name} on br0", command=bridge.set_master(space.path, vxlan.name, "br0")
        )
        yield JUDGE.fault("overlay-down", name, f"{vxlan.name} is on the bridge", seen, hint, shown, safe=[mend])
    if vxlan.udp_port and vxlan.udp_port != etcd.VXLAN_PORT:
        shown = Evidence(host.name, f"{_enter(space)} ip -d link show {vxlan.name}", f"dstport {vxlan.udp_port}")
        seen = f"{vxlan.name} of the overlay {name} uses udp port {vxlan.udp_port} on {host.name}"
        yield JUDGE.fault("vxlan-port", name, "udp port 4789", seen, f"{host.name}: systemctl restart docker", shown)


def _ports(host: Host, anatomy: Anatomy, name: str, space: Namespace, here: list[Inside]) -> Iterator[Judged]:
    """Judge the bridge's port of each container that is here."""
    for container in here:
        inside = anatomy.sandbox(container.name)
        link = inside.with_mac(container.networks[name][1]) if inside else None
        if link is None:
            continue  # the layer of the containers tells of it
        port = next((x for x in space.links if x.index == link.peer), None)
        shown = Evidence(
            host.name,
            f"{_enter(space)} ip -d link",
            f"{port.name} up={port.up} {port.state}" if port else "no such port",
        )
        what = ""
        if port is None:
            what = f"no port in {space.path.rpartition('/')[2]}"
        elif not port.master:
            what = f"a port, {port.name}, that is on no bridge"
        elif not link.up:
            continue  # its port is disabled for it; the layer of the containers tells of it
        elif not port.up or port.state not in ("forwarding", ""):
            what = f"a port, {port.name}, that is {'down' if not port.up else port.state}"
        if what:
            seen = f"{container.name} on {host.name} has {what}: frames to and from it are lost"
            hint = f"{host.name}: docker restart {container.name}"
            safe = []
            if port and port.master and not port.up:
                hint = f"{host.name}: {_enter(space)} ip link set {port.name} up"
                safe = [Run(host=host.name, title=f"set {port.name} up", command=bridge.set_up(space.path, port.name))]
            elif port and not port.master:
                hint = f"{host.name}: {_enter(space)} ip link set {port.name} master br0"
                safe = [
                    Run(
                        host=host.name,
                        title=f"put {port.name} on br0",
                        command=bridge.set_master(space.path, port.name, "br0"),
                    )
                ]
            yield JUDGE.fault(
                "port", container.name, f"{container.name} is on the bridge", seen, hint, shown, safe=safe
            )


def _sizes(host: Host, anatomy: Anatomy, name: str, space: Namespace, here: list[Inside]) -> Iterator[Judged]:
    """Judge the MTU of every interface on the way from the containers to the VXLAN: it must be one."""
    way = [(x, space, f"the overlay {name}") for x in space.links if x.kind in ("vxlan", "bridge") or x.master]
    for container in here:
        inside = anatomy.sandbox(container.name)
        link = inside.with_mac(container.networks[name][1]) if inside else None
        if inside and link:
            way.append((link, inside, container.name))
    size = max(x.mtu for x, _, _ in way)  # a bridge follows the smallest of its ports by itself
    for link, where, whose in way:
        if link.mtu < size:
            shown = Evidence(host.name, f"{_enter(where)} ip link show {link.name}", f"{link.name} mtu {link.mtu}")
            small = f"the MTU of {link.name} of {whose} on {host.name} is too small"
            hint = f"{host.name}: {_enter(where)} ip link set {link.name} mtu {size}"
            command = bridge.set_mtu(where.path, link.name, size)
            mend = Run(host=host.name, title=f"set the MTU of {link.name}", command=command)
            seen = f"{small}: {link.mtu}, the others have {size}"
            yield JUDGE.fault("overlay-mtu", name, "one MTU all the way", seen, hint, shown, safe=[mend])


def _rules(host: Host, name: str, space: Namespace) -> Iterator[Judged]:
    """Judge rules where Docker has none."""
    for dropped in dropping(space):
        shown = Evidence(host.name, f"{_enter(space)} {dropped.command}", dropped.line)
        seen = f"a rule in the namespace of the overlay {name} on {host.name} drops packets: {dropped.line}"
        hint = f"{host.name}: {_enter(space)} {dropped.undo}"
        yield JUDGE.fault("overlay-rule", name, "no rule in the overlay's namespace", seen, hint, shown)


def _entries(lab: Lab, survey: Survey, host: Host, name: str, space: Namespace) -> tuple[list[Judged], int]:
    """Judge the FDB and neighbour entries for the containers of the other hosts; with how many were right."""
    found = []
    for other in survey.reached(lab.with_role(Role.DOCKER)):
        daemon = survey.facts.docker(other.name)
        if daemon is None or other is host:
            continue
        there = (c for c in daemon.containers.values() if c.state == "running" and c.networks.get(name, ("", ""))[1])
        found += [_entry(host, other, name, space, c) for c in there]
    return [f for f in found if f], found.count(None)


def _entry(host: Host, other: Host, name: str, space: Namespace, container: ContainerFacts) -> Judged | None:
    """Judge the two entries that lead to a container on another host; None where both are right."""
    ip, mac = container.networks[name]
    to, device = other.cluster_address, space.vxlan.name if space.vxlan else "vxlan0"
    towards, neighbour = space.towards(mac), space.resolved(ip)
    command, hint = (
        f"{_enter(space)} bridge fdb show dev {device}",
        f"bridge fdb replace {mac} dev {device} dst {to} self permanent",
    )
    overlay = f"overlay {name} on {host.name}"
    if not towards:
        check, output = "fdb-missing", f"nothing for {mac} with a dst"
        seen = f"the FDB of the {overlay} has no entry for {container.name} ({mac}) on {other.name}"
    elif towards != (to,):
        check, output = "fdb-wrong", f"{mac} dst {', '.join(towards)}"
        astray = f"sends frames for {container.name} to {', '.join(towards)}"
        seen = f"the FDB of the {overlay} {astray}, not to {to} ({other.name})"
    elif neighbour != mac:
        check, output = "neighbour", f"{ip} lladdr {neighbour or 'none'}"
        what = f"takes {ip} for {neighbour}" if neighbour else f"has no neighbour entry for {ip}"
        seen = f"the {overlay} {what}: {container.name} on {other.name} has {mac}"
        command, hint = (
            f"{_enter(space)} ip neigh show",
            f"ip neigh replace {ip} lladdr {mac} dev {device} nud permanent",
        )
    else:
        return None
    mend = Run(
        host=host.name,
        title=f"write the entries for {container.name}",
        command=bridge.write_entries(space.path, device, ip, mac, to),
    )
    return JUDGE.fault(
        check,
        f"{host.name} → {container.name}",
        f"frames for {container.name} ({ip}, {mac}) go to {to}",
        seen,
        f"{host.name}: {_enter(space)} {hint}",
        Evidence(host.name, command, output),
        safe=[mend],
    )


def _masquerade(host: Host, anatomy: Anatomy, gateway: Link) -> Iterator[Judged]:
    """Judge whether what containers send out gets the host's address."""
    subnets = [str(ipaddress.ip_interface(a).network) for a in gateway.addresses]
    rules = without_counters(anatomy.host.rules)
    if not rules or not subnets or any("MASQUERADE" in r and subnets[0] in r for r in rules):
        return
    shown = Evidence(host.name, "iptables -t nat -S POSTROUTING", f"no MASQUERADE for {subnets[0]}")
    seen = f"the rule on {host.name} is gone that gives what containers send out the host's address ({subnets[0]})"
    hint = f"{host.name}: iptables -t nat -A POSTROUTING -s {subnets[0]} ! -o {GATEWAY_BRIDGE} -j MASQUERADE"
    yield JUDGE.warning("no-masquerade", host.name, f"MASQUERADE for {subnets[0]}", seen, hint, shown)


def _gateway(host: Host, anatomy: Anatomy) -> Iterator[Judged]:
    """Judge the host's own FORWARD chain: what containers send out must pass it."""
    nic, gateway = anatomy.host.with_address(host.cluster_address), anatomy.host.link(GATEWAY_BRIDGE)
    if nic is None or gateway is None:
        return
    if not gateway.up:
        shown = Evidence(host.name, f"ip -br link show {GATEWAY_BRIDGE}", "DOWN")
        seen = f"{GATEWAY_BRIDGE} is down on {host.name}: its containers reach nothing outside their overlays"
        hint = f"{host.name}: ip link set {GATEWAY_BRIDGE} up"
        mend = Run(host=host.name, title=f"set {GATEWAY_BRIDGE} up", command=set_up(GATEWAY_BRIDGE))
        yield JUDGE.fault("gateway-down", host.name, f"{GATEWAY_BRIDGE} is up", seen, hint, shown, safe=[mend])
        return
    yield from _masquerade(host, anatomy, gateway)
    rules = Rules.read(without_counters(anatomy.host.rules))
    inside = next(iter(gateway.ips), "172.18.0.1")
    packet = Packet("icmp", 0, inside, AWAY, GATEWAY_BRIDGE, nic.name)
    ended = rules.ends(
        packet, (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("filter", "FORWARD"))
    )
    expected = f"FORWARD lets pass what containers send out by {GATEWAY_BRIDGE}"
    if ended:
        shown = Evidence(
            host.name,
            "iptables -S FORWARD",
            next((r for r in without_counters(anatomy.host.rules) if r == ended.rule), ended.rule),
        )
        if ended.rule.startswith("policy"):
            seen = (
                f"the forward policy DROP on {host.name} takes what containers send out: no rule of FORWARD accepts it"
            )
            hint = f"{host.name}: systemctl restart docker  # writes its rules anew; or iptables -P FORWARD ACCEPT"
            yield JUDGE.fault("forward-drop", host.name, expected, seen, hint, shown)
            return
        theirs = DOCKERS in ended.rule
        seen = f"a rule of FORWARD on {host.name} drops what containers send out: {ended.rule}"
        severity = Severity.WARNING if theirs else Severity.FAILED
        hint = f"{host.name}: {undoing(ended.rule, ended.table)}"
        yield JUDGE.fault("forward-drop", host.name, expected, seen, hint, shown, severity=severity)
