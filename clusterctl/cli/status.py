"""clusterctl status: how the lab is, layer by layer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.wiring import Session
    from clusterctl.plan.door import MemberStatus
    from clusterctl.report.status import Row, Status


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog="Example: clusterctl status -i inventory/local.yml -o json")(status)


def status(
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
    accept_host_keys: options.AcceptHostKeys = False,
    ask_password: options.AskPassword = False,
    ask_sudo_password: options.AskSudoPassword = False,
    quiet: options.Quiet = False,
) -> None:
    """Show hosts, etcd, Docker on the store, networks and containers. Changes nothing; exit 1 when something is off."""
    from clusterctl.cli import render, wiring
    from clusterctl.cli.access import Access
    from clusterctl.cli.progress import shown

    lab = wiring.load(inventory, None)
    access = Access(accept_host_keys, ask_password, ask_sudo_password)
    with wiring.session(lab, "status", changes=False, access=access) as session, shown(quiet=quiet) as listener:
        listener.phase_started("Look at every layer")
        found = gather(session)
    if output is options.Output.JSON:
        render.document(**found.document())
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(1)


def gather(session: Session) -> Status:
    """Read every layer, the hosts side by side; what does not answer becomes a problem, not an error."""
    from clusterctl.model.errors import ClusterctlError
    from clusterctl.model.facts import Facts
    from clusterctl.model.inventory import Role
    from clusterctl.phases.docker import NODES
    from clusterctl.plan.phase import Section
    from clusterctl.report.status import build

    lab, doors = session.lab, session.doors
    members = [h.name for h in lab.with_role(Role.ETCD)]
    present = session.provider.present(lab)

    def ask(host: str) -> MemberStatus | str:
        if host not in present:
            return "the host is not there"
        try:
            return doors(host).etcd.status()
        except ClusterctlError as error:
            return error.message

    def list_nodes() -> frozenset[str]:
        for host in members:
            if host in present:
                try:
                    return frozenset(k.removeprefix(f"{NODES}/") for k in doors(host).etcd.keys(NODES))
                except ClusterctlError:
                    continue
        return frozenset()

    with ThreadPoolExecutor(len(members) + 2) as pool:
        facts = pool.submit(session.reader(tolerant=True).read, frozenset({Section.HOST, Section.DOCKER}), Facts())
        answers = {host: pool.submit(ask, host) for host in members}
        nodes = pool.submit(list_nodes)
    return build(lab, facts.result(), {h: a.result() for h, a in answers.items()}, nodes.result())


def _print(found: Status) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    out = render.console()

    def mark(row: Row) -> Text:
        words, style = render.MARKS["failed" if row.problem else "ok"]
        return Text(words, style=style)

    made = render.table("", "host", "address", "roles", "system", "kernel", title=f"lab {found.lab}: hosts")
    for host in found.hosts:
        made.add_row(mark(host), host.name, host.address, ", ".join(host.roles), Text(host.system), Text(host.kernel))
    out.print(made)
    made = render.table("", "member", "role", "version", "latency", "db", "raft index", title="etcd")
    for member in found.etcd:
        role = "leader" if member.leader else "follower" if member.healthy else "-"
        made.add_row(
            mark(member),
            member.host,
            role,
            member.version,
            "" if member.latency_ms is None else f"{member.latency_ms:.1f} ms",
            "" if member.db_bytes is None else f"{member.db_bytes / 1024:.0f} KiB",
            "" if member.raft_index is None else str(member.raft_index),
        )
    out.print(made)
    out.print(Text(found.quorum))
    out.print()
    made = render.table("", "host", "engine", "cluster store", "advertised as", "peers", title="Docker")
    for daemon in found.docker:
        made.add_row(
            mark(daemon),
            daemon.host,
            *map(Text, (daemon.version, daemon.store, daemon.advertise)),
            ", ".join(daemon.peers),
        )
    out.print(made)
    made = render.table("", "network", "driver", "subnet", "on", title="networks")
    for network in found.networks:
        made.add_row(mark(network), network.name, network.driver, network.subnet, ", ".join(network.on))
    out.print(made)
    made = render.table("", "container", "host", "state", "addresses", title="containers")
    for container in found.containers:
        addresses = ", ".join(f"{n} {ip}" for n, ip in container.addresses.items())
        made.add_row(mark(container), container.name, container.host, container.state, addresses)
    out.print(made)
    for problem in found.problems:
        out.print(Text(f"✗ {problem}", style="red"), soft_wrap=True)
    if found.problems:
        out.print("next: clusterctl up completes what is missing")
    else:
        out.print(Text(f"{found.lab}: all is as it must be", style="green"))
