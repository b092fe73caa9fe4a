"""clusterctl etcd: the cluster store by itself: its members, what Docker keeps in it, and its care."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.lab import Lab
    from clusterctl.plan.door import MemberStatus
    from clusterctl.plan.phase import Phase
    from clusterctl.report.keys import Change
    from clusterctl.report.members import Members

etcd = typer.Typer(
    help="The cluster store: its members, and what Docker keeps in it.",
    no_args_is_help=True,
    epilog="Example: clusterctl etcd members -i inventory/local.yml",
)

POLL = 0.5
"""Seconds between two looks of --watch."""

WIDTH = 100
"""Characters of a value that a line shows."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(etcd, name="etcd")


@etcd.command("members", epilog="Example: clusterctl etcd members -o json")
@options.reaching
def list_members(
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
) -> None:
    """List the store's members beside the inventory's. Changes nothing; exit 1 when something is off."""
    from clusterctl.cli import render, wiring

    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "etcd members", changes=False, access=access) as session:
        found = look(session)
    if output is options.Output.JSON:
        render.document(**found.document())
    else:
        _print_members(found)
    if found.problems:
        raise typer.Exit(1)


def look(session: Session) -> Members:
    """Ask every member, side by side; one that does not answer becomes a problem, not an error."""
    from clusterctl.model.errors import ClusterctlError
    from clusterctl.model.facts import Member
    from clusterctl.model.inventory import Role
    from clusterctl.report.members import build

    lab, doors = session.lab, session.doors
    present = session.provider.present(lab)
    hosts = [h.name for h in lab.with_role(Role.ETCD)]

    def ask(host: str) -> tuple[MemberStatus | str, tuple[Member, ...] | None]:
        if host not in present:
            return "the host is not there", None
        try:
            return doors(host).etcd.status(), doors(host).etcd.members()
        except ClusterctlError as error:
            return error.message, None

    with ThreadPoolExecutor(len(hosts)) as pool:
        answers = dict(zip(hosts, pool.map(ask, hosts), strict=True))
    # The word of a member that has a leader counts; a removed one may still tell an old list.
    lists = [listed for status, listed in answers.values() if not isinstance(status, str) and status.leader and listed]
    return build(lab, max(lists, key=len, default=None), {h: status for h, (status, _) in answers.items()})


def _print_members(found: Members) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    out = render.console()
    made = render.table(
        "", "host", "member", "id", "role", "version", "db", "raft index", "peer URL", title=f"lab {found.lab}: etcd"
    )
    for row in found.members:
        words, style = render.MARKS["failed" if row.problem else "ok"]
        role = "leader" if row.leader else "follower" if row.healthy else "-" if row.started else "not started"
        made.add_row(
            Text(words, style=style),
            row.host or "(not in the inventory)",
            Text(row.name),
            row.id or "(not in the store)",
            role,
            row.version,
            "" if row.db_bytes is None else f"{row.db_bytes / 1024:.0f} KiB",
            "" if row.raft_index is None else str(row.raft_index),
            Text(row.peer),
        )
    out.print(made)
    out.print(Text(found.quorum))
    for problem in found.problems:
        out.print(Text(f"✗ {problem}", style="red"), soft_wrap=True)


@etcd.command(
    "keys",
    epilog="Example: clusterctl etcd keys /docker/network --watch, then in another terminal: "
    "clusterctl exec --hosts docker1 -- docker network create -d overlay test",
)
@options.reaching
def list_keys(
    prefix: Annotated[str, typer.Argument(help="Only what is below this key.")] = "/",
    inventory: options.Inventory = options.INVENTORY,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and show what comes (+), goes (-) and changes (~), until Ctrl-C.")
    ] = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", envvar="CLUSTERCTL_VERBOSE", help="Show the values as well.")
    ] = False,
) -> None:
    """Show what Docker keeps in the store, as a tree: networks, endpoints, addresses, VNIs, daemons."""
    from clusterctl.cli import render, wiring
    from clusterctl.model.errors import InputError

    if not prefix.startswith("/") or any(not c.isprintable() or c in "?#%" for c in prefix):
        raise InputError(f"PREFIX {prefix!r} is no key", hint="a key begins with “/”: /docker/network")
    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "etcd keys", changes=False, access=access) as session:
        keys = read_keys(session, prefix.rstrip("/") or "/")
        if watch:
            _watch(session, prefix.rstrip("/") or "/", keys, as_json=output is options.Output.JSON)
    if output is options.Output.JSON:
        render.document(lab=lab.name, prefix=prefix, keys=dict(keys))
        return
    from rich.text import Text

    from clusterctl.report.keys import tree

    out = render.console()
    for line in tree(keys, width=0 if verbose else WIDTH):
        value = f"  {line.value}" if verbose and line.value else ""
        meaning = f"   # {line.meaning}" if line.meaning else ""
        indent = "  " * line.depth
        out.print(Text.assemble(f"{indent}{line.name}", (value, "dim"), (meaning, "dim italic")), soft_wrap=True)
    out.print(Text(f"{lab.name}: {len(keys)} key{'' if len(keys) == 1 else 's'} below {prefix}"))


def read_keys(session: Session, prefix: str) -> Mapping[str, str]:
    """Return the keys by the first member that answers. Raises HostsFailed when none does."""
    from clusterctl.model.errors import ClusterctlError, HostError, HostsFailed
    from clusterctl.model.inventory import Role

    errors: dict[str, ClusterctlError] = {}
    present = session.provider.present(session.lab)
    for host in session.lab.with_role(Role.ETCD):
        if host.name not in present:
            errors[host.name] = HostError(host.name, "the host is not there", hint="clusterctl up")
            continue
        try:
            return session.doors(host.name).etcd.keys(prefix)
        except ClusterctlError as error:
            errors[host.name] = error
    raise HostsFailed("etcd keys", errors, [])


def _watch(session: Session, prefix: str, known: Mapping[str, str], *, as_json: bool) -> None:
    """Show each change as a line, for people or as JSON, until the user ends it."""
    import json
    from dataclasses import asdict

    from clusterctl.report.keys import changes

    print(f"{session.lab.name}: watching {len(known)} keys below {prefix}; Ctrl-C ends it", file=sys.stderr, flush=True)
    while True:
        time.sleep(POLL)
        now = read_keys(session, prefix)
        for change in changes(known, now):
            print(json.dumps(asdict(change)) if as_json else _line(change), flush=True)
        known = now


def _line(change: Change) -> str:
    from clusterctl.report.keys import brief, shortened

    key = "/".join(map(shortened, change.key.split("/")))
    value = brief(change.value or change.before, WIDTH)
    return f"{time.strftime('%H:%M:%S')} {change.sign} {key}  {value}"


Host = Annotated[str, typer.Argument(help="The host, by its name in the inventory.")]


@etcd.command("add", epilog="Example: clusterctl etcd add docker3")
@options.reaching
def add(
    host: Host,
    inventory: options.Inventory = options.INVENTORY,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a member of one host of the inventory, made ready first where it is not; the others run on."""
    from clusterctl import recipes

    change = Deed(inventory, f"etcd add {host}", access, dry_run, output, verbose, quiet)
    change.known(host)
    change.carry_out(lambda s: recipes.add_member(s.provider, s.authority, host))


@etcd.command("remove", epilog="Example: clusterctl etcd remove docker3 --yes")
@options.reaching
def remove(
    host: Annotated[str, typer.Argument(help="The host by its name, or a member that only the store knows.")],
    inventory: options.Inventory = options.INVENTORY,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Take one member out of the store; etcd and its data go from the host, Docker runs on with the other members."""
    from clusterctl import recipes

    change = Deed(inventory, f"etcd remove {host}", access, dry_run, output, verbose, quiet)
    change.carry_out(
        lambda s: recipes.remove_member(host), f"DESTROY the store's member {host}, its data with it", yes=yes
    )
    if not dry_run and host in change.lab.inventory.hosts:
        print(
            f"take the role etcd from {host} in the inventory: clusterctl up adds it again otherwise", file=sys.stderr
        )


@etcd.command("replace", epilog="Example: clusterctl etcd replace docker2 --yes")
@options.reaching
def replace(
    host: Host,
    inventory: options.Inventory = options.INVENTORY,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a new member of a host whose etcd is broken: removed, its data with it, and added again."""
    from clusterctl import recipes

    change = Deed(inventory, f"etcd replace {host}", access, dry_run, output, verbose, quiet)
    change.known(host)
    change.carry_out(
        lambda s: recipes.replace_member(s.provider, s.authority, host), f"DESTROY the etcd data of {host}", yes=yes
    )


@etcd.command("defrag", epilog="Example: clusterctl etcd defrag")
@options.reaching
def defrag(
    inventory: options.Inventory = options.INVENTORY,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Give the space of what was deleted back to the disk, member by member, while the others answer."""
    from clusterctl import recipes

    change = Deed(inventory, "etcd defrag", access, dry_run, output, verbose, quiet)
    change.carry_out(lambda s: recipes.defragment())


class Deed:
    """One command that changes the members: shown, consented to, carried out, and the members shown after it."""

    def __init__(
        self,
        inventory: Path,
        doing: str,
        access: Access,
        dry_run: bool,
        output: options.Output,
        verbose: bool,
        quiet: bool,
    ) -> None:
        from clusterctl.cli import wiring

        self.lab = wiring.load_hosts(inventory)
        self._doing, self._access, self._dry_run = doing, access, dry_run
        self._json, self._verbose, self._quiet = output is options.Output.JSON, verbose, quiet

    def known(self, host: str) -> None:
        """Raise InputError unless the inventory has the host, with etcd."""
        from clusterctl.model.errors import InputError
        from clusterctl.model.inventory import Role

        names = [h.name for h in self.lab.with_role(Role.ETCD)]
        if host not in names:
            raise InputError(
                f"{host}: the inventory has no such host with the role etcd",
                hint=f"it has {', '.join(names)}; write it there first",
            )

    def carry_out(self, recipe: Callable[[Session], list[Phase[Lab]]], destroys: str = "", *, yes: bool = True) -> None:
        """Do it, or only show it."""
        from clusterctl.cli import plan, render, wiring
        from clusterctl.cli.consent import ask
        from clusterctl.cli.progress import Quiet
        from clusterctl.cli.work import shown_work

        if self._dry_run:
            with wiring.session(self.lab, self._doing, changes=False, access=self._access) as session:
                planned = session.runner(Quiet(), tolerant=True).show(recipe(session))
            plan.show(self.lab.name, planned, as_json=self._json)
            return
        if destroys:
            ask(f"lab {self.lab.name}: {destroys}", yes=yes)
        started = time.monotonic()
        with wiring.session(self.lab, self._doing, changes=True, access=self._access) as session:
            with shown_work(session, verbose=self._verbose, quiet=self._quiet) as listener:
                runner = session.runner(listener, tolerant=bool(destroys))
                runner.run(recipe(session))
            found = look(session)
        seconds = time.monotonic() - started
        if self._json:
            render.document(**found.document(), actions=runner.done, seconds=round(seconds, 3))
            return
        _print_members(found)
        print(f"{self.lab.name}: {f'{runner.done} actions' if runner.done else 'nothing to do'}, {seconds:.1f} s")


@etcd.command("snapshot", epilog="Example: clusterctl etcd snapshot lab.snapshot")
@options.reaching
def take_snapshot(
    file: Annotated[Path, typer.Argument(help="Where to save it.")],
    inventory: options.Inventory = options.INVENTORY,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Save the store, Docker's networks in it, into one file, by a running member. Nothing is stopped."""
    from dataclasses import asdict

    from clusterctl import recipes
    from clusterctl.cli import plan, render, wiring
    from clusterctl.cli.progress import Quiet
    from clusterctl.cli.work import shown_work
    from clusterctl.model.errors import InputError
    from clusterctl.stores.snapshot import unpack

    lab = wiring.load_hosts(inventory)
    if file.exists() and not force:
        raise InputError(f"{file} is there already", hint="take another name, or --force")
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.absolute().parent}")
    recipe = recipes.snapshot(str(file))
    with wiring.session(lab, "etcd snapshot", changes=not dry_run, access=access) as session:
        if dry_run:
            planned = session.runner(Quiet(), tolerant=True).show(recipe)
            plan.show(lab.name, planned, as_json=output is options.Output.JSON)
            return
        with shown_work(session, verbose=verbose, quiet=quiet) as listener:
            session.runner(listener, tolerant=True).run(recipe)
    manifest = unpack(wiring.read_text(file, "snapshot"), str(file)).manifest
    if output is options.Output.JSON:
        render.document(file=str(file), **asdict(manifest))
        return
    networks = ", ".join(manifest.networks) or "none"
    print(f"{file}: {manifest.count} keys of lab {lab.name}, etcd {manifest.etcd}, networks: {networks}")


@etcd.command("restore", epilog="Example: clusterctl etcd restore lab.snapshot --yes")
@options.reaching
def restore(
    file: Annotated[Path, typer.Argument(help="What `clusterctl etcd snapshot` saved.")],
    inventory: options.Inventory = options.INVENTORY,
    yes: options.Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Though it is of another lab or version, or the store has newer data.")
    ] = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Put a snapshot in the place of what the store holds, complete the lab on it, and verify it.

    Docker stops on every host, and its containers with it; the playbook's are run again.
    """
    from clusterctl import recipes
    from clusterctl.cli import plan, render, wiring
    from clusterctl.cli.consent import ask
    from clusterctl.cli.progress import Quiet
    from clusterctl.cli.verify import prove
    from clusterctl.cli.work import shown_work
    from clusterctl.model.errors import ClusterctlError
    from clusterctl.stores.snapshot import unpack

    lab = wiring.load(inventory, None)
    taken = unpack(wiring.read_text(file, "snapshot"), str(file))
    started = time.monotonic()
    with wiring.session(lab, "etcd restore", changes=not dry_run, access=access, strict=True) as session:
        try:
            now = read_keys(session, "/")
        except ClusterctlError:
            now = None
        recipe = recipes.restore(session.provider, session.authority, taken, now, force=force)
        if dry_run:
            planned = session.runner(Quiet(), tolerant=True).show(recipe)
            plan.show(lab.name, planned, as_json=output is options.Output.JSON)
            return
        # Why not, before anybody is asked whether.
        session.runner(Quiet()).run(recipe[:1])
        ask(f"lab {lab.name}: DESTROY what the store holds, for the snapshot of {taken.manifest.taken}", yes=yes)
        with shown_work(session, verbose=verbose, quiet=quiet) as listener:
            runner = session.runner(listener)
            runner.run(recipe)
            report = prove(session, listener)
    seconds = time.monotonic() - started
    if output is options.Output.JSON:
        render.document(lab=lab.name, actions=runner.done, seconds=round(seconds, 3), report=report.document())
    else:
        render.report(report)
        print(f"{lab.name}: restored as of {taken.manifest.taken}, {runner.done} actions, {seconds:.1f} s")
    if not report.holds():
        raise typer.Exit(1)
