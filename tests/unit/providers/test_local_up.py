"""Bringing local hosts up: facts in, decisions out."""

import io
import tarfile
from dataclasses import replace

import pytest
from clusterctl.model.errors import Refused
from clusterctl.plan.action import MACHINE
from clusterctl.plan.phase import Noop
from clusterctl.providers.local import LocalProvider, keys
from clusterctl.providers.local.actions import AwaitSsh, Prepare
from clusterctl.providers.local.facts import Marker, Namespace, Network, NodeFacts
from clusterctl.providers.local.names import BASE, ROOTS, Names
from clusterctl.providers.local.root import Recipe
from clusterctl.providers.local.up import UP, Access, BuildRoot, Nodes, Preflight, Switch, wanted_marker
from local_lab import actions, after, bare, decide, lab

NAMES = Names("prov")


def node(name, number, **changes):
    place = NAMES.place(name)
    found = NodeFacts(
        name=name,
        folder=True,
        nspawn=100 + number,
        leader=200 + number,
        network=Namespace(frozenset({"lo", "eth0", "docker0"}), f"10.1.77.{number}", "10.1.77.254"),
        mounts=(f"{place}/root",),
        control_groups=True,
        host_key=f"ssh-ed25519 KEY{number} clusterctl",
        authorized="ssh-ed25519 LAB clusterctl\n",
        banner="SSH-2.0-OpenSSH_9.2p1",
    )
    return replace(found, **changes)


def running(wanted):
    """Return a machine on which the lab is up, read again after everything was carried out."""
    up = bare(
        folder=True,
        marker=wanted_marker(wanted, "2026-01-01 00:00:00"),
        networks=(*bare().networks, Network("10.1.77.254/24", "cc-prov")),
        switch=Namespace(frozenset({"lo", "br0", "uplink", "to-docker1", "to-docker2"})),
        link="10.1.77.254/24",
        nodes={"docker1": node("docker1", 1), "docker2": node("docker2", 2)},
        files={"id_ed25519.pub": "ssh-ed25519 LAB clusterctl\n"},
        state=True,
    )
    for step in actions(decide(Access(), wanted, up)):
        up = step.after(up)
    return up


def reasons(wanted, machine):
    with pytest.raises(Refused) as refused:
        decide(Preflight(), wanted, machine)
    return [str(r) for r in refused.value.reasons]


def titles(steps):
    return [(a.host, a.title) for a in actions(steps)]


# Preflight


def test_a_fit_machine_is_told_so():
    (step,) = decide(Preflight(), lab(), bare())
    assert step == Noop(MACHINE, "root, tools, disk, kernel and subnet are as needed")


def test_every_reason_is_said_at_once():
    found = reasons(
        lab(internet=True),
        bare(
            root=False,
            tools=frozenset({"ip", "tar", "setsid", "flock", "mount", "umount"}),
            roots=frozenset(),
            disk_free_mb={BASE: 500, ROOTS: 2000},
            filesystem={BASE: "overlay", ROOTS: "ext4"},
            lacks=("vxlan",),
            watchers_free=15,
            networks=(Network("10.1.0.0/16", "tun0"),),
            resolver="",
        ),
    )
    assert [r for r in found if "root" in r]
    assert any("apt-get install iptables mmdebstrap systemd-container" in r and "systemd-nspawn" in r for r in found)
    assert any("10.1.77.0/24 is in use: 10.1.0.0/16 on tun0" in r for r in found)
    assert any(f"{BASE} has 500 MB free and needs 1000 MB" in r for r in found)
    assert any(f"{ROOTS} has 2000 MB free and needs 3000 MB" in r for r in found)
    assert any("overlayfs" in r for r in found)
    assert any("no vxlan" in r for r in found)
    assert any("2 more hosts need about 16 inotify instances, and root may have 15 more" in r for r in found)
    assert any("loopback" in r for r in found)
    assert all("; " in r for r in found), "each names the next thing to type"


def test_without_internet_iptables_is_not_needed():
    decide(Preflight(), lab(), bare(tools=bare().tools - {"iptables", "iptables-save"}))


def test_with_a_built_root_mmdebstrap_is_not_needed():
    decide(Preflight(), lab(), bare(tools=bare().tools - {"mmdebstrap"}))


def test_its_own_link_does_not_take_the_subnet():
    decide(Preflight(), lab(), running(lab()))


@pytest.mark.parametrize("route", ["0.0.0.0/1", "128.0.0.0/1"])
def test_a_vpn_over_everything_does_not_take_the_subnet(route):
    decide(Preflight(), lab(), bare(networks=(Network(route, "tun0"),)))


def test_the_subnet_of_another_lab_is_named_as_such():
    other = replace(wanted_marker(lab()), lab="first")
    found = reasons(lab(), bare(networks=(Network("10.1.77.254/24", "cc-first"),), others={"first": other}))
    assert "the lab 'first'" in found[0]


def test_the_same_name_from_another_inventory_is_refused():
    old = Marker("prov", "10.9.9.0/24", "10.9.9.254", "bookworm", False, {"a": "10.9.9.1"}, "x", "noon")
    (reason,) = reasons(lab(), bare(marker=old))
    assert "another inventory at noon: subnet 10.9.9.0/24" in reason
    assert "clusterctl down" in reason


def test_a_host_that_moves_is_another_inventory():
    old = replace(wanted_marker(lab()), hosts={"docker1": "10.1.77.9"})
    assert "docker1 at 10.1.77.9" in reasons(lab(), bare(marker=old))[0]


def test_hosts_that_come_or_go_are_the_same_inventory():
    old = wanted_marker(lab("docker1", "docker2", "docker3"))
    decide(Preflight(), lab("docker1"), bare(marker=old))
    decide(Preflight(), lab("docker1", "docker2", "docker3", "docker4"), bare(marker=old))


def test_names_of_two_labs_never_meet():
    other = replace(wanted_marker(lab()), lab="prov-docker1", subnet="10.8.8.0/24")
    assert "clusterctl-prov-docker1" in reasons(lab(), bare(others={"prov-docker1": other}))[0]


# The root


def test_a_root_is_built_once():
    (built,) = decide(BuildRoot(), lab(), bare())
    assert isinstance(built, Noop)
    (build,) = decide(BuildRoot(), lab(), bare(roots=frozenset()))
    assert build.command.within == 900
    assert Recipe("bookworm").path in build.after(bare(roots=frozenset())).roots


def test_another_recipe_is_another_root():
    assert Recipe("bookworm").path != Recipe("trixie").path
    assert "docker-cli" in Recipe("trixie").packages


# The switch and the nodes


def test_from_nothing_everything_is_made_in_order():
    assert titles(decide(Nodes(), lab("docker1"), bare())) == [
        ("docker1", "mount docker1's disk"),
        ("docker1", "give docker1 its name, keys and resolver"),
        ("docker1", "plug docker1 into the switch as 10.1.77.1"),
        ("docker1", "start docker1"),
    ]


def test_a_node_without_internet_asks_the_gateway_for_names_which_says_at_once_that_it_knows_none():
    def resolver(wanted):
        return next(s.resolver for s in decide(Nodes(), wanted, bare()) if "resolver" in getattr(s, "title", ""))

    assert resolver(lab("docker1")) == "nameserver 10.1.77.254\n"
    assert resolver(lab("docker1", internet=True)) == bare().resolver


def test_a_running_lab_plans_nothing_and_says_why():
    wanted = lab()
    for phase in UP:
        steps = decide(phase, wanted, running(wanted))
        assert steps
        assert actions(steps) == []
    assert "process 101" in decide(Nodes(), wanted, running(wanted))[0].reason


def test_a_plan_that_is_only_shown_ends_with_fresh_hosts_and_nothing_left_to_do():
    wanted = lab()
    facts = after(UP, wanted, bare())
    assert set(facts.hosts) == {"docker1", "docker2"}
    fresh = facts.hosts["docker1"]
    assert fresh == LocalProvider().fresh(wanted, wanted.inventory.hosts["docker1"])
    assert (fresh.hostname, fresh.versions["docker"]) == ("debian", "20.10.24")
    for phase in (BuildRoot(), Nodes(), Access()):
        assert actions(decide(phase, wanted, facts.machine)) == []


def test_a_killed_node_is_only_started_again():
    wanted = lab()
    up = running(wanted)
    dead = up.with_node(node("docker1", 1, nspawn=0, leader=0, banner=""))
    assert titles(decide(Nodes(), wanted, dead)) == [
        ("docker1", "remove what is left of docker1's last run"),
        ("docker1", "start docker1"),
    ]
    waits = actions(decide(Access(), wanted, dead))
    assert [type(w) for w in waits] == [AwaitSsh]


def test_a_node_that_is_starting_is_not_started_twice():
    wanted = lab()
    starting = running(wanted).with_node(node("docker1", 1, leader=0, banner=""))
    assert actions(decide(Nodes(), wanted, starting)) == []


def test_a_lost_switch_is_made_again_and_running_nodes_are_plugged_in():
    wanted = lab()
    lost = replace(running(wanted), switch=None, link="")
    assert [a.title for a in actions(decide(Switch(), wanted, lost))] == [
        "make the switch in clusterctl-prov, and cc-prov with 10.1.77.254/24 into it"
    ]
    (one, two) = actions(decide(Nodes(), wanted, lost))
    assert (one.title, two.host) == ("plug docker1 into the switch as 10.1.77.1", "docker2")
    assert one.command.argv[-1] == "201", "a namespace that lost its name gets it back from the node"


def test_a_lost_key_is_made_again_and_let_in_beside_the_others():
    wanted = lab()
    up = replace(running(wanted), files={"id_ed25519.pub": "ssh-ed25519 NEW clusterctl\n"})
    write = actions(decide(Nodes(), wanted, up))[0]
    assert write.path == f"{NAMES.place('docker1')}/root/root/.ssh/authorized_keys"
    assert write.content == "ssh-ed25519 LAB clusterctl\nssh-ed25519 NEW clusterctl\n"
    assert write.mode == 0o600


def test_a_dropped_host_stays_in_the_marker():
    old = running(lab())
    write = actions(decide(Switch(), lab("docker1"), old))[0]
    assert Marker.parse(write.content).hosts == {"docker1": "10.1.77.1", "docker2": "10.1.77.2"}


def test_internet_is_shared_only_where_it_is_asked_for():
    wanted = lab(internet=True)
    (share,) = [a for a in actions(decide(Switch(), wanted, running(lab()))) if "masquerade" in a.title]
    assert share.command.argv[-4:] == ("10.1.77.0/24", "clusterctl-prov", f"{NAMES.was}/ip_forward", "")
    shared = replace(running(wanted), ip_forward=True, rules=("one",))
    assert actions(decide(Switch(), wanted, shared)) == []


@pytest.mark.parametrize(
    ("systemd", "starter"), [(True, "exec systemd-run"), (False, 'setsid "$@"')], ids=["systemd", "setsid"]
)
def test_a_node_outlives_the_login(systemd, starter):
    start = actions(decide(Nodes(), lab("docker1"), bare(systemd=systemd)))[-1]
    assert starter in start.command.argv[2]


def test_a_newer_systemd_is_told_to_accept_old_control_groups():
    start = actions(decide(Nodes(), lab("docker1", suite="trixie"), bare()))[-1]
    assert start.command.argv[-1] == "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    start = actions(decide(Nodes(), lab("docker1", suite="trixie"), bare(cgroup=2)))[-1]
    assert "LEGACY_FORCE" not in start.command.line()


# What a node gets


def test_a_node_gets_its_files_with_their_modes_and_the_public_key_last():
    prepare = actions(decide(Nodes(), lab("docker1"), bare()))[1]
    assert isinstance(prepare, Prepare)
    pair = keys.generate()
    with tarfile.open(fileobj=io.BytesIO(prepare.archive(pair, "f" * 32))) as tar:
        modes = {m.name: m.mode for m in tar.getmembers()}
        last = tar.getmembers()[-1].name
    assert modes["root/.ssh"] == 0o700
    assert modes["root/.ssh/authorized_keys"] == modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
    assert last == "etc/ssh/ssh_host_ed25519_key.pub"
    assert "PRIVATE" in pair.private
    assert pair.private not in repr(pair)


def test_control_groups_are_made_writable_only_where_they_are_not():
    def made(cgroup):
        return actions(decide(Nodes(), lab("docker1"), bare(cgroup=cgroup)))[1].shell()

    assert "remount,bind,rw" in made(1)
    assert "remount" not in made(2)


# The SSH files


def test_hosts_are_trusted_by_their_keys_alone():
    wanted = lab(state='/a b/"c"%')
    machine = replace(running(wanted), files={})
    known, config = actions(decide(Access(), wanted, machine))
    assert known.content == "10.1.77.1,docker1 ssh-ed25519 KEY1\n10.1.77.2,docker2 ssh-ed25519 KEY2\n"
    assert "StrictHostKeyChecking yes" in config.content
    assert r'IdentityFile "/a b/\"c\"%%/id_ed25519"' in config.content
    assert config.mode == known.mode == 0o600


def test_what_is_shown_is_quoted_for_a_shell():
    wanted = lab("docker1", state="/it's here")
    config = actions(decide(Access(), wanted, replace(running(wanted), files={})))[1]
    assert "'/it'\"'\"'s here/ssh_config'" in config.shell()
    (wait,) = actions(decide(Access(), wanted, running(wanted).with_node(node("docker1", 1, banner=""))))
    assert wait.shell() == "ssh -F '/it'\"'\"'s here/ssh_config' docker1 true"
