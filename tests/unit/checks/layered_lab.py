"""The survey of the healthy lab `ut`, and ways to break single things in it."""

import datetime
from dataclasses import replace

import example
from clusterctl.checks.layers import judge
from clusterctl.checks.layers.survey import Survey
from clusterctl.checks.pairs import MTU
from clusterctl.model.facts import Address, Facts, Listener, Unit
from clusterctl.model.finding import Finding, Severity
from clusterctl.plan.door import MemberHealth, MemberStatus
from clusterctl.stores import etcd
from clusterctl.topology.anatomy import HOST, Anatomy, Inside, Namespace, Process
from clusterctl.topology.links import Forward, Link, Neighbour

LAB = example.lab()
OVERLAY = "/run/docker/netns/1-net-id-0"
JOIN = 'time="2026" level=info msg="2026/11/24 16:37:42 [INFO] serf: EventMemberJoin: {0} 10.1.90.{1}\\n"'
BASE = "/docker/network/v1.0"
DNS = "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:52476"
RULES = (
    "*filter",
    ":INPUT ACCEPT [0:0]",
    ":FORWARD DROP [0:0]",
    ":OUTPUT ACCEPT [0:0]",
    ":DOCKER-USER - [0:0]",
    "[0:0] -A FORWARD -j DOCKER-USER",
    "[0:0] -A FORWARD -i docker_gwbridge ! -o docker_gwbridge -j ACCEPT",
    "[0:0] -A DOCKER-USER -j RETURN",
    "COMMIT",
    "*nat",
    "[0:0] -A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE",
    "COMMIT",
)


def place(n):
    """Return a host's name, its container, and the other's."""
    return f"docker{n}", f"qyt{n}", f"qyt{3 - n}", 3 - n


def anatomy(n):
    """Return what was read of the n-th host."""
    _, mine, _, other = place(n)
    ip, mac, far, far_mac = (
        f"10.10.10.{n + 1}",
        f"02:42:0a:0a:0a:0{n + 1}",
        f"10.10.10.{other + 1}",
        f"02:42:0a:0a:0a:0{other + 1}",
    )
    nic = Link("eth0", 2, "veth", addresses=(f"10.1.90.{n}/24",))
    gateway = Link("docker_gwbridge", 8, "bridge", addresses=("172.18.0.1/16",))
    sandbox = f"/run/docker/netns/{mine}"
    overlay = Namespace(
        OVERLAY,
        (
            Link("br0", 2, "bridge", addresses=("10.10.10.1/24",), mtu=1450),
            Link("vxlan0", 5, "vxlan", master="br0", mtu=1450, vni=256, udp_port=4789, state="forwarding"),
            Link("veth0", 7, "veth", master="br0", mtu=1450, state="forwarding", peer=6),
        ),
        neighbours=(Neighbour(far, far_mac, "vxlan0"),),
        forwards=(Forward(far_mac, "vxlan0", f"10.1.90.{other}", permanent=True),),
    )
    inside = Namespace(
        sandbox,
        (Link("eth0", 6, "veth", mac=mac, mtu=1450, peer=7, addresses=(f"{ip}/24",)),),
        ("default via 172.18.0.1 dev eth1", "10.10.10.0/24 dev eth0"),
        rules=(DNS,),
    )
    host = Namespace(HOST, (nic, gateway), rules=RULES, sysctls={"ipv4/ip_forward": "1"})
    return Anatomy(
        namespaces={HOST: host, OVERLAY: overlay, sandbox: inside},
        paths={f"10.1.90.{other}": f"10.1.90.{other} dev eth0 src 10.1.90.{n} uid 0"},
        processes={
            u: Process(100 + i, "S", sub="running", result="success")
            for i, u in enumerate(("docker.service", "containerd.service", etcd.UNIT))
        },
        logs={"docker.service": tuple(JOIN.format(f"docker{i}", i) for i in (1, 2))},
        containers={
            mine: Inside(f"{mine}-id", mine, "running", 200, sandbox=sandbox, networks={example.NETWORK: (ip, mac, "")})
        },
    )


def _host(n):
    name = f"docker{n}"
    found = example.finished_host(name)
    address = f"10.1.90.{n}"
    serf = tuple(Listener(p, address, 7946, "dockerd") for p in ("tcp", "udp"))
    units = {"docker.service": Unit("active", "enabled", True, 2e9), etcd.UNIT: Unit("active", "enabled", True, 1e9)}
    return replace(
        found,
        clock=0.0,
        hostname=name,
        machine_id=f"id{n}",
        addresses=(Address("eth0", address, 24),),
        listeners=serf,
        units={**found.units, **units},
    )


def status(n, **changes):
    """Return what the n-th member says."""
    made = MemberStatus(f"docker{n}", n, 1, "3.4.23", 20480, 500 + n, 0.004, ("docker1", "docker2"))
    return replace(made, **changes)


def keys():
    """Return what Docker keeps in the store."""
    found = {f"{BASE}/network/net-id-0": f'{{"name":"{example.NETWORK}"}}', f"{BASE}/overlay/network/net-id-0": "{}"}
    for n in (1, 2):
        found[f"{BASE}/endpoint/net-id-0/ep{n}"] = endpoint(f"qyt{n}", f"ep{n}", n + 1, f"10.1.90.{n}")
        found[f"/docker/nodes/10.1.90.{n}:2375"] = f"10.1.90.{n}:2375"
    return found


def endpoint(name, id, last, locator):
    """Return an endpoint as the store keeps it."""
    iface = f'{{"addr":"10.10.10.{last}/24","mac":"02:42:0a:0a:0a:0{last}"}}'
    return f'{{"id":"{id}","name":"{name}","locator":"{locator}","ep_iface":{iface}}}'


def measured():
    """Return what is measured between the hosts when all passes."""
    checks = ("tcp 2379", "tcp 2380", "tcp 7946", "udp 7946", "udp 4789", MTU)
    return tuple(
        Finding(c, f"docker{a} → docker{3 - a}", Severity.OK, "passes", "passes", commands=(f"docker{a}: nc -vz …",))
        for a in (1, 2)
        for c in checks
    )


def healthy():
    """Return a survey of the lab as it must be."""
    return Survey(
        facts=Facts({f"docker{n}": _host(n) for n in (1, 2)}),
        anatomies={f"docker{n}": anatomy(n) for n in (1, 2)},
        members={f"docker{n}": status(n) for n in (1, 2)},
        healths={f"docker{n}": MemberHealth(healthy=True, v2=True) for n in (1, 2)},
        keys=keys(),
        between=measured(),
    )


def faults(survey, lab=LAB):
    """Return what does not hold, as (layer, check, subject, seen)."""
    return [
        (str(j.finding.layer), j.finding.check, j.finding.subject, j.finding.seen)
        for j in judge(lab, survey)
        if not j.holds
    ]


def with_facts(survey, host, **changes):
    """Return the survey with something else known of a host."""
    return replace(survey, facts=survey.facts.with_host(replace(survey.facts.hosts[host], **changes)))


def with_docker(survey, host, **changes):
    """Return the survey with something else said by a daemon."""
    return with_facts(survey, host, docker=replace(survey.facts.hosts[host].docker, **changes))


def with_anatomy(survey, host, **changes):
    """Return the survey with something else below Docker's API."""
    return replace(survey, anatomies={**survey.anatomies, host: replace(survey.anatomies[host], **changes)})


def with_space(survey, host, path, **changes):
    """Return the survey with something else in a network namespace."""
    spaces = survey.anatomies[host].namespaces
    return with_anatomy(survey, host, namespaces={**spaces, path: replace(spaces[path], **changes)})


def with_measured(survey, subject, *checks, severity=Severity.FAILED):
    """Return the survey with some measurements of a pair that failed."""
    between = tuple(
        replace(f, severity=severity, seen="none of 8 packets arrived")
        if f.subject == subject and f.check in checks
        else f
        for f in survey.between
    )
    return replace(survey, between=between)


def now():
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)
