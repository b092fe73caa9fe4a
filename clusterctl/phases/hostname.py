"""Each host gets its name, and knows its peers' names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import systemd
from clusterctl.model.facts import File, HostFacts
from clusterctl.plan import files
from clusterctl.plan.action import Run, WriteFile, record
from clusterctl.plan.phase import Section, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import Facts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop

HOSTS, NAME = "/etc/hosts", "/etc/hostname"
RECORD = "hostname"


def block(lab: str, hosts: Mapping[str, Host]) -> str:
    """Return the marked block of /etc/hosts that names every host of the lab."""
    lines = [f"{h.cluster_address}\t{h.name}" for h in hosts.values()]
    return "\n".join([f"# BEGIN clusterctl {lab}", *lines, f"# END clusterctl {lab}", ""])


def without_block(text: str, lab: str) -> str:
    """Return /etc/hosts without the lab's block."""
    name = re.escape(lab)
    return re.sub(rf"^# BEGIN clusterctl {name}\n.*?^# END clusterctl {name}\n", "", text, flags=re.M | re.S)


def with_block(text: str, lab: str, hosts: Mapping[str, Host]) -> str:
    """Return /etc/hosts with the lab's block at its end, everything else as it is."""
    rest = without_block(text, lab)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return rest + block(lab, hosts)


def _absent(path: str) -> str:
    """Return the name of the record that there was no such file."""
    return f"files{path}.absent"


class NameHosts:
    """Give each host its hostname and its peers' names."""

    title = "Name the hosts"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Set what differs. The gossip needs unique hostnames before Docker starts."""
        for host in lab.inventory.hosts.values():
            found = facts.hosts[host.name]
            actions = list(self._actions(lab, host, found))
            yield from steps(actions, host.name, f"its name is {host.name} and it knows its peers")

    def _actions(self, lab: Lab, host: Host, found: HostFacts) -> Iterator[Action]:
        static = found.content(NAME).strip()
        if found.hostname != host.name or static != host.name:
            if not found.file(NAME):
                yield record(host.name, f"record that there is no {NAME}", _absent(NAME), "")
            yield record(host.name, "record the hostname", RECORD, static or found.hostname)
            yield Run(
                host=host.name,
                title=f"set the hostname {host.name}",
                command=systemd.set_hostname(host.name),
                effect=lambda f: replace(f, hostname=f.name).with_file(NAME, File(f.name + "\n")),
                alters=frozenset(),
            )
        before = found.file(HOSTS)
        text = with_block(found.content(HOSTS), lab.name, lab.inventory.hosts)
        if before is None or before.content != text:
            yield WriteFile(
                host=host.name,
                title="name the peers in /etc/hosts",
                path=HOSTS,
                content=text,
                mode=before.mode if before else 0o644,
                owner=before.owner if before else "root:root",
                record=True,
                alters=frozenset(),
            )


class RestoreHostnames:
    """Give each host its old name back."""

    title = "Give the hosts their old names back"
    reads = frozenset({Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Take the block out of /etc/hosts and set the recorded hostname."""
        for name, found in facts.hosts.items():
            actions: list[Action] = []
            text = without_block(found.content(HOSTS), lab.name)
            original = found.records.get(f"files{HOSTS}")
            if original is None and _absent(HOSTS) in found.records:
                original = ""
            if text != found.content(HOSTS) and original is not None and text in {original, f"{original}\n"}:
                # Our block may have needed a newline before it that was not there.
                there = _absent(HOSTS) not in found.records
                actions.append(Run(host=name, title="put /etc/hosts back", command=files.put_back(HOSTS, there=there)))
            elif text != found.content(HOSTS):
                hosts = found.files[HOSTS]
                actions.append(
                    WriteFile(
                        host=name,
                        title="take the peers out of /etc/hosts",
                        path=HOSTS,
                        content=text,
                        mode=hosts.mode,
                        owner=hosts.owner,
                    )
                )
            old, lasts = found.records.get(RECORD), _absent(NAME) not in found.records
            if not lasts and found.file(NAME):
                actions.append(Run(host=name, title=f"remove {NAME}", command=files.put_back(NAME, there=False)))
            if old and found.hostname != old:
                command = systemd.set_hostname(old, lasts=lasts)
                actions.append(Run(host=name, title=f"set the hostname {old}", command=command))
            yield from steps(actions, name, "its name was not changed")
