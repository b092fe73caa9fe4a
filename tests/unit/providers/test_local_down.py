"""Taking local hosts away: facts in, decisions out."""

from dataclasses import replace

from clusterctl.plan.phase import Noop
from clusterctl.providers.local.down import DOWN, RemoveFiles, RemoveNetwork, StopNodes
from clusterctl.providers.local.facts import Namespace, NodeFacts
from clusterctl.providers.local.names import Names
from clusterctl.providers.local.up import wanted_marker
from local_lab import actions, after, bare, decide, lab

NAMES = Names("prov")
OLD = NodeFacts(
    "old",
    folder=True,
    nspawn=11,
    leader=22,
    network=Namespace(),
    mounts=(f"{NAMES.place('old')}/root/deep", f"{NAMES.place('old')}/root"),
)


def test_where_nothing_is_nothing_is_done():
    for phase in DOWN:
        steps = decide(phase, lab(), bare())
        assert actions(steps) == []
        assert all(isinstance(s, Noop) for s in steps)


def test_a_host_that_is_no_longer_in_the_inventory_goes_too():
    end, unmount = actions(decide(StopNodes(), lab("docker1"), bare(nodes={"old": OLD})))
    assert end.command.argv[-3:] == ("clusterctl-prov-old", "11", "22")
    assert unmount.command.argv[-2:] == OLD.mounts


def test_leftover_control_groups_are_reason_enough():
    left = NodeFacts("old", control_groups=True)
    (end,) = actions(decide(StopNodes(), lab(), bare(nodes={"old": left})))
    assert end.command.argv[-2:] == ("clusterctl-prov-old", "")


def test_everything_of_the_network_goes():
    machine = bare(
        nodes={"old": OLD},
        switch=Namespace(),
        link="10.1.77.254/24",
        rules=("-A POSTROUTING",),
        stray_namespaces=("clusterctl-prov-gone",),
    )
    lines = [a.shell() for a in actions(decide(RemoveNetwork(), lab(), machine))]
    assert "cc-prov" in lines[0]
    assert "clusterctl-prov-old clusterctl-prov clusterctl-prov-gone" in lines[1]
    assert "iptables" in lines[2]


def test_forwarding_is_put_back_by_the_one_who_turned_it_on():
    (back,) = actions(decide(RemoveNetwork(), lab(), bare(was={"ip_forward": "0"}, ip_forward=True)))
    assert back.title == "put net.ipv4.ip_forward back to 0"
    assert actions(decide(RemoveNetwork(), lab(), bare(ip_forward=True))) == []


def test_forwarding_is_left_to_the_lab_that_still_needs_it():
    other = replace(wanted_marker(lab(internet=True)), lab="other")
    machine = bare(was={"ip_forward": "0"}, ip_forward=True, others={"other": other})
    (hand_over,) = actions(decide(RemoveNetwork(), lab(), machine))
    assert hand_over.command.argv[-2:] == (f"{NAMES.was}/ip_forward", f"{Names('other').was}/ip_forward")


def test_the_controllers_folder_goes_last():
    titles = [a.title for a in actions(decide(RemoveFiles(), lab(), bare(folder=True, state=True)))]
    assert titles[0] == f"remove {NAMES.folder}"
    assert titles[-1] == "remove /state"


def test_after_it_nothing_is_left_to_do():
    machine = bare(nodes={"old": OLD}, switch=Namespace(), link="x", folder=True, state=True)
    facts = after(DOWN, lab(), machine)
    for phase in DOWN:
        assert actions(decide(phase, lab(), facts.machine)) == []


def test_names_stay_unique_when_they_are_cut():
    long = Names("twelve-chars1")
    assert len(long.link) == 15
    assert long.link != Names("twelve-chars2").link
    hosts = ("h" * 62 + "1", "h" * 62 + "2")
    assert len({long.port(h) for h in hosts}) == len({long.node(h) for h in hosts}) == 2
    assert all(len(long.node(h)) <= 64 for h in hosts)
    assert long.mac("a").startswith("02:")


def test_what_the_first_lab_of_a_machine_makes_goes_with_the_last():
    was = {"netns": "absent", "nspawn": "absent"}
    assert [a.title for a in actions(decide(RemoveNetwork(), lab(), bare(was=was)))] == [
        "remove /run/systemd/nspawn, as it was",
        "put /run/netns back as it was",
    ]
    other = replace(wanted_marker(lab()), lab="other")
    (hand_over,) = actions(decide(RemoveNetwork(), lab(), bare(was=was, others={"other": other})))
    assert hand_over.command.argv[-2:] == (f"{NAMES.was}/nspawn", f"{Names('other').was}/nspawn")
