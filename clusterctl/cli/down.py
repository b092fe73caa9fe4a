"""clusterctl down: the hosts as they were, then the hosts themselves where we made them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.model.lab import Lab

KeepHosts = Annotated[
    bool, typer.Option("--keep-hosts", envvar="CLUSTERCTL_KEEP_HOSTS", help="Clear the hosts, but leave them running.")
]
KeepCluster = Annotated[
    bool,
    typer.Option(
        "--keep-cluster",
        envvar="CLUSTERCTL_KEEP_CLUSTER",
        help="Take only the lesson away: containers, networks, images; leave store and hosts.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("down", epilog="Example: clusterctl down -i inventory/local.yml --yes")(down)


@options.reaching
def down(
    inventory: options.Inventory = options.INVENTORY,
    keep_hosts: KeepHosts = False,
    keep_cluster: KeepCluster = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    parallel: options.Parallel = 16,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Take it all away: containers, network, store, etcd, names; then the hosts that were made for the lab."""
    from clusterctl.cli import render, wiring
    from clusterctl.providers.registry import provider

    lab = wiring.load_hosts(inventory)
    started = time.monotonic()
    if dry_run:
        _show(lab, keep_hosts, keep_cluster, output, access)
        return
    destroys = provider(lab.inventory.provider).destroys and not (keep_hosts or keep_cluster)
    if not yes:
        _consent(lab, destroys=destroys, keep_cluster=keep_cluster)
    with wiring.session(lab, "down", changes=True, access=access) as session:
        show = {"verbose": verbose, "quiet": quiet}
        if keep_cluster:
            done, left = _clear_lesson(session, parallel=parallel, **show)
        else:
            done, left = _carry_out(session, keep_hosts=keep_hosts, parallel=parallel, **show)
    seconds = time.monotonic() - started
    if output is options.Output.JSON:
        render.document(lab=lab.name, actions=done, seconds=round(seconds, 3), not_reached=left)
    else:
        verb = "gone" if destroys else "the lesson is gone, the cluster stays" if keep_cluster else "cleared"
        print(f"{lab.name}: {f'{verb}, {done} actions' if done else 'nothing to do'}, {seconds:.1f} s")
    if left:
        for host, why in left.items():
            print(f"{host}: not cleared: {why}", file=sys.stderr)
        raise typer.Exit(4)


def _consent(lab: Lab, *, destroys: bool, keep_cluster: bool) -> None:
    """Name what goes, and ask; before the lock is taken, as nobody else should wait for an answer."""
    from clusterctl.cli.consent import ask

    hosts = ", ".join(lab.inventory.hosts)
    if keep_cluster:
        ask(f"lab {lab.name}: remove its containers, networks and images on {hosts}", yes=False)
        return
    what = f"lab {lab.name}: clear {hosts}"
    ask(what + (", then DESTROY these hosts" if destroys else ""), yes=False)


def _carry_out(
    session: Session, *, keep_hosts: bool, parallel: int, verbose: bool, quiet: bool
) -> tuple[int, dict[str, str]]:
    from clusterctl import recipes
    from clusterctl.cli.work import shown_work
    from clusterctl.model.errors import HostsFailed

    destroyed = session.provider.destroys and not keep_hosts
    with shown_work(session, verbose=verbose, quiet=quiet) as listener:
        runner = session.runner(listener, parallel=parallel, tolerant=True)
        try:
            missing = dict(runner.run(recipes.clear()).missing)
        except HostsFailed as error:
            if not destroyed:
                raise
            # A host that cannot be cleared goes all the same: what it held goes with it.
            print("\n".join(error.lines()), file=sys.stderr)
        if destroyed:
            missing = {}
        if not missing and not keep_hosts:
            runner.run(session.provider.down)
    return runner.done, missing


def _clear_lesson(session: Session, *, parallel: int, verbose: bool, quiet: bool) -> tuple[int, dict[str, str]]:
    """Take away what the playbook put on the cluster; the lab has none until the next `up`."""
    from clusterctl import recipes
    from clusterctl.cli import wiring
    from clusterctl.cli.work import shown_work

    with shown_work(session, verbose=verbose, quiet=quiet) as listener:
        runner = session.runner(listener, parallel=parallel, tolerant=True)
        missing = dict(runner.run(recipes.clear_lesson()).missing)
    if not missing and session.lab.state.exists():
        wiring.write_private(session.lab.state / wiring.PLAYBOOK, "")
    return runner.done, missing


def _show(lab: Lab, keep_hosts: bool, keep_cluster: bool, output: options.Output, access: Access) -> None:
    from clusterctl import recipes
    from clusterctl.cli import wiring
    from clusterctl.cli.plan import show
    from clusterctl.cli.progress import Quiet

    with wiring.session(lab, "down --dry-run", changes=False, access=access) as session:
        recipe = [*recipes.clear(), *([] if keep_hosts else session.provider.down)]
        if keep_cluster:
            recipe = recipes.clear_lesson()
        planned = session.runner(Quiet(), tolerant=True).show(recipe)
        show(session.lab.name, planned, as_json=output is options.Output.JSON)
