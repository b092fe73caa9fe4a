"""A lab of two hosts as it was recorded, and answers for its probes."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from clusterctl.checks import KINDS, checks_of
from clusterctl.checks.probe import InContainer, Inspect, OnHost
from clusterctl.model.facts import Address, ContainerFacts, DockerFacts, Facts, HostFacts, NetworkFacts
from clusterctl.model.inventory import load_inventory
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import load_playbook
from clusterctl.plan.command import Result
from clusterctl.plan.door import Exec

RECORDED = Path(__file__).parent / "recorded"
INVENTORY = "name: lab\nprovider: ssh\nhosts: {docker1: 10.1.79.1, docker2: 10.1.79.2}\n"
PLAYBOOK = """\
name: overlay
networks:
  qyt_overlay: {driver: overlay, subnet: SUBNET}
  alone: {driver: bridge, subnet: 10.20.0.0/24}
containers:
  qyt1: {host: docker1, networks: [qyt_overlay]}
  qyt2: {host: docker2, networks: [qyt_overlay]}
  near: {host: docker1, networks: [qyt_overlay]}
  solo: {host: docker1, networks: [alone]}
expect:
"""

NOTHING = object()
"""In the place of an answer: there is none."""

DEFAULT = {"ping": "ping-name.txt", "nslookup": "nslookup.txt", "cat": "resolv.txt"}


def text(name):
    return (RECORDED / name).read_text()


def inspected(host):
    return json.loads(text(f"inspect-{host}.json"))


def ran(name):
    code, _, output = text(name).partition("\n")
    return Exec(int(code), output)


def lab(*expect, subnet="10.10.10.0/24"):
    written = PLAYBOOK.replace("SUBNET", subnet) + "".join(f"  - {e}\n" for e in expect)
    playbook = load_playbook(written, "p.yml", KINDS)
    return Lab(load_inventory(INVENTORY, "i.yml"), playbook, written, Path("/nowhere"))


def container(name, host, network="qyt_overlay", at=("10.10.10.9", "02:42:0a:0a:0a:09")):
    found = inspected(host)["Containers"] if network == "qyt_overlay" else {}
    for key, e in found.items():
        if e["Name"] == name:
            at = (e["IPv4Address"].partition("/")[0], e["MacAddress"])
            return ContainerFacts(key, name, "probe", "running", networks={network: at})
    return ContainerFacts(f"id-of-{name}", name, "probe", "running", networks={network: at})


def facts():
    hosts = {}
    for i, names in ((1, ("qyt1", "near", "solo")), (2, ("qyt2",))):
        host = f"docker{i}"
        network = NetworkFacts(inspected(host)["Id"], "qyt_overlay", "overlay", "global")
        found = {
            n: container(n, host, *(("alone", ("10.20.0.2", "02:42:0a:14:00:02")) if n == "solo" else ()))
            for n in names
        }
        docker = DockerFacts("20.10.24", networks={"qyt_overlay": network}, containers=found)
        hosts[host] = HostFacts(host, addresses=(Address("eth0", f"10.1.79.{i}", 24),), docker=docker)
    return Facts(hosts)


def with_container(known, host, found):
    old = known.hosts[host]
    containers = {**old.docker.containers, found.name: found}
    return known.with_host(replace(old, docker=replace(old.docker, containers=containers)))


def without_container(known, host, name):
    old = known.hosts[host]
    containers = {k: v for k, v in old.docker.containers.items() if k != name}
    return known.with_host(replace(old, docker=replace(old.docker, containers=containers)))


@dataclass
class Answering:
    """Judges the one check of an expectation on answers that are recorded, save those that a test replaces."""

    known: Facts

    def check(self, expect, **lab_options):
        (found,) = checks_of(lab(expect, **lab_options), self.known)
        return found

    def judge(self, expect, *, exec=None, host=None, inspect=None, **lab_options):
        check = self.check(expect, **lab_options)
        answers = {}
        for probe in check.probes:
            match probe:
                case InContainer():
                    tool = probe.argv[0]
                    answers[probe] = (exec or {}).get(tool) or (ran(DEFAULT[tool]) if tool in DEFAULT else Exec(0, ""))
                case OnHost():
                    kind = "capture" if "tcpdump" in probe.line() else "overlay"
                    name = f"{kind}-{probe.host}"
                    given = (host or {}).get(name)
                    given = text(f"{name}.txt") if given is None else given
                    answers[probe] = (
                        Result(probe.host, probe.command, 0, given, "") if isinstance(given, str) else given
                    )
                case Inspect():
                    answers[probe] = (inspect or {}).get(probe.host, inspected(probe.host))
        return check.judge({k: v for k, v in answers.items() if v is not NOTHING})
