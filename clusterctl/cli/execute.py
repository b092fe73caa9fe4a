"""clusterctl exec: one command on many hosts, side by side."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.plan.command import Result

Timeout = Annotated[
    float, typer.Option("--timeout", min=1, envvar="CLUSTERCTL_TIMEOUT", help="Seconds after which it is ended.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("exec", epilog="Example: clusterctl exec --hosts docker1,docker2 -- docker network ls")(execute)


@options.reaching
def execute(
    command: Annotated[list[str], typer.Argument(help="The command, after “--”; for a shell: -- sh -c '…'.")],
    inventory: options.Inventory = options.INVENTORY,
    hosts: options.Hosts = "",
    root: Annotated[
        bool, typer.Option("--root", help="As root, through sudo where the login user is another.")
    ] = False,
    timeout: Timeout = 60,
    output: options.OutputAs = options.Output.TABLE,
    parallel: options.Parallel = 16,
    access: Access = options.ACCESS,
) -> None:
    """Run a command on the hosts, side by side; each line is prefixed with its host. Exits with the highest code."""
    from clusterctl.cli import render, wiring
    from clusterctl.cli.chosen import hosts_of
    from clusterctl.model.errors import ClusterctlError, HostsFailed
    from clusterctl.plan.command import Command

    lab = wiring.load_hosts(inventory)
    chosen = hosts_of(lab, hosts)
    results: dict[str, Result] = {}
    errors: dict[str, ClusterctlError] = {}
    with wiring.session(lab, "exec", changes=False, access=access) as session:
        present = session.provider.present(lab)
        deed = Command(tuple(command), root=root, within=timeout)

        def run(host: str) -> Result:
            if host not in present:
                raise ClusterctlError(f"{host}: the host is not there", hint="clusterctl up")
            return session.doors(host).run(deed)

        with ThreadPoolExecutor(min(parallel, len(chosen))) as pool:
            asked = {pool.submit(run, host): host for host in chosen}
            for future in as_completed(asked):
                host = asked[future]
                error = future.exception()
                if isinstance(error, ClusterctlError):
                    errors[host] = error
                elif error is not None:
                    raise error
                else:
                    results[host] = future.result()
                    if output is options.Output.TABLE:
                        _print(results[host], width=max(map(len, chosen)))
    if output is options.Output.JSON:
        render.document(
            lab=lab.name,
            command=list(command),
            hosts={h: {"exit_code": r.exit_code, "stdout": r.stdout, "stderr": r.stderr} for h, r in results.items()},
            errors={h: e.message for h, e in errors.items()},
        )
    if errors:
        raise HostsFailed("exec", errors, list(results))
    raise typer.Exit(max((r.exit_code for r in results.values()), default=0))


def _print(result: Result, *, width: int) -> None:
    for stream, text in ((sys.stdout, result.stdout), (sys.stderr, result.stderr)):
        for line in text.splitlines():
            print(f"{result.host:<{width}} | {line}", file=stream)
    if result.exit_code:
        print(f"{result.host:<{width}} | exit {result.exit_code}", file=sys.stderr)
