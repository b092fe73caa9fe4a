"""VMs by Vagrant: facts in, decisions out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from clusterctl.commands.vagrant import Project, Way
from clusterctl.model.errors import HostsFailed, Refused
from clusterctl.model.facts import Facts
from clusterctl.model.inventory import Host, Inventory
from clusterctl.model.lab import Lab
from clusterctl.model.playbook import Playbook
from clusterctl.model.vagrant import Vagrant
from clusterctl.plan.action import MACHINE, WaitFor
from clusterctl.plan.command import Result
from clusterctl.plan.phase import Noop
from clusterctl.providers.vagrant import VagrantProvider, read
from clusterctl.providers.vagrant.actions import DestroyVms, OwnFile, PinHostKeys, StartVm
from clusterctl.providers.vagrant.down import DOWN, Confirm, Destroy
from clusterctl.providers.vagrant.facts import BROKEN, Mark, VagrantFacts, Vm, parse_networks_conf
from clusterctl.providers.vagrant.up import UP, Access, Machines, Preflight

NETS = "192.168.56"


def lab(net: str = NETS, state: str = "/state/vms", **vagrant: object) -> Lab:
    hosts = {
        name: Host(name=name, address=f"{net}.{n}", cluster_address=f"{net}.{n}")
        for n, name in enumerate(("docker1", "docker2"), 11)
    }
    inventory = Inventory(name="vms", provider="vagrant", hosts=hosts, vagrant=Vagrant(**vagrant))
    return Lab(inventory, Playbook(name="none"), playbook_text="", state=Path(state))


def vm(name: str, state: str = "running", **changes: object) -> Vm:
    number = int(name[-1])
    made = Vm(
        name,
        state=state,
        id=f"id{number}",
        mark=Mark("vms", f"{NETS}.1{number}", f"id{number}"),
        way=Way(f"192.168.121.{number}", keys=(f"/k{number}",)) if state == "running" else None,
        answers="SSH-2.0-OpenSSH_9.2p1" if state == "running" else "",
        key=f"ssh-ed25519 KEY{number}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def machine(*vms: Vm, **changes: object) -> VagrantFacts:
    facts = VagrantFacts(
        lab="vms",
        project=Project("/p", (), "/p/.vagrant"),
        provider="libvirt",
        defined=("docker1", "docker2"),
        vms={v.name: v for v in vms},
        state=True,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def decide(phase, facts, wanted=None):
    return list(phase.plan(wanted or lab(), Facts(machine=facts)))


def actions(steps):
    return [s for s in steps if not isinstance(s, Noop)]


def refusal(facts, wanted=None):
    with pytest.raises(Refused) as caught:
        decide(Preflight(), facts, wanted)
    return caught.value.reasons


def after(phases, facts, wanted=None):
    known = Facts(machine=facts)
    for phase in phases:
        for action in actions(phase.plan(wanted or lab(), known)):
            known = action.predict(known)
    return known


def test_what_is_missing_is_made_and_marked_before():
    one, two = actions(decide(Machines(), machine()))
    assert (one.title, two.title) == ("create docker1 with Vagrant (libvirt)", "create docker2 with Vagrant (libvirt)")
    assert one.host == MACHINE, "Vagrant works on one machine at a time"
    assert one.changes, "a host that was made is a change"
    mark, up = one.shell().splitlines()[1:]
    assert mark == """echo '{"lab": "vms", "address": "192.168.56.11", "id": ""}' > /p/.vagrant/clusterctl/docker1"""
    assert up == "env VAGRANT_CWD=/p vagrant up --no-parallel docker1"


@pytest.mark.parametrize("state", ["poweroff", "shutoff", "saved", "aborted", "paused", "stopped", "suspended"])
def test_what_is_off_is_started_and_keeps_its_mark(state):
    (start,) = actions(decide(Machines(), machine(vm("docker1"), vm("docker2", state))))
    assert isinstance(start, StartVm)
    assert (start.title, start.mark) == (f"start docker2, which is '{state}'", None)


def test_what_was_never_finished_is_made_anew():
    half = vm("docker1", "shutoff", mark=Mark("vms", "192.168.56.11"))
    destroy, create = actions(decide(Machines(), machine(half, vm("docker2"))))
    assert isinstance(destroy, DestroyVms)
    assert destroy.vms == ("docker1",)
    assert create.mark == Mark("vms", "192.168.56.11")


def test_what_was_made_by_hand_is_used_and_left():
    hand = vm("docker1", mark=None)
    anew = vm("docker2", id="another", key="")
    steps = decide(Machines(), machine(hand, anew))
    assert actions(steps) == []
    assert all("by hand" in s.reason for s in steps)
    steps = decide(Destroy(), machine(hand, anew))
    assert actions(steps) == []
    assert [s.host for s in steps] == ["docker1", "docker2"]


def test_nothing_is_to_be_done_on_finished_machines():
    wanted, facts = lab(), machine(vm("docker1"), vm("docker2"))
    done = after((Access(),), facts)
    known = "192.168.121.1,docker1 ssh-ed25519 KEY1 id1\n192.168.121.2,docker2 ssh-ed25519 KEY2 id2\n"
    files = {**done.machine.files, "known_hosts": known}
    for phase in UP:
        assert actions(decide(phase, replace(facts, files=files), wanted)) == []


def test_what_up_foresees_is_what_up_wants():
    known = after(UP, machine())
    assert set(known.hosts) == {"docker1", "docker2"}
    assert actions(decide(Machines(), known.machine)) == []


def test_the_settings_are_vagrants_but_the_trust_is_ours():
    write = next(a for a in actions(decide(Access(), machine(vm("docker1"), vm("docker2")))) if a.path[-6:] == "config")
    assert "HostName 192.168.121.2\n" in write.content
    assert 'IdentityFile "/k2"' in write.content
    assert write.content.count("StrictHostKeyChecking yes") == 2
    assert write.content.count('UserKnownHostsFile "/state/vms/known_hosts"') == 2
    assert write.mode == 0o600


class Scanned:
    """A door through which every address has the same host key."""

    host = MACHINE

    def __init__(self, said="x ssh-ed25519 NEW\n"):
        self.said, self.asked, self.written = said, [], ""

    def run(self, command):
        if command.argv[0] == "ssh-keyscan":
            self.asked.append(command.argv[-1])
            return Result(self.host, command, 0, self.said, "")
        self.written = command.input.decode()
        return Result(self.host, command, 0, "", "")


def test_a_new_machines_key_is_read_once_and_bound_to_its_id():
    two = vm("docker2", key="", way=Way("127.0.0.1", 2222))
    (pin, *_) = actions(decide(Access(), machine(vm("docker1"), two)))
    assert isinstance(pin, PinHostKeys)
    assert pin.title == "trust the host keys of docker2 from now on"
    assert pin.shell() == "ssh-keyscan -T 20 -t ed25519,ecdsa,rsa -p 2222 127.0.0.1 >> /state/vms/known_hosts"
    door = Scanned()
    pin.carry_out(door, print)
    assert door.asked == ["127.0.0.1"]
    assert door.written == (
        "192.168.121.1,docker1 ssh-ed25519 KEY1 id1\n[127.0.0.1]:2222,docker2 ssh-ed25519 NEW id2\n"
    )


def test_a_machine_without_a_key_is_an_error():
    (pin, *_) = actions(decide(Access(), machine(vm("docker1", key=""), vm("docker2"))))
    with pytest.raises(Exception, match="docker1: it gave no host key"):
        pin.carry_out(Scanned(""), print)


def test_a_new_address_keeps_the_old_key():
    files = {"known_hosts": "192.168.121.9,docker1 ssh-ed25519 KEY1 id1\n"}
    moved = actions(decide(Access(), machine(vm("docker1"), vm("docker2"), files=files)))[0]
    assert isinstance(moved, OwnFile)
    assert moved.content.startswith("192.168.121.1,docker1 ssh-ed25519 KEY1 id1\n")


def test_a_machine_that_is_silent_is_waited_for_with_advice():
    wait = actions(decide(Access(), machine(vm("docker1", answers=""), vm("docker2"))))[0]
    assert isinstance(wait, WaitFor)
    assert wait.hint.startswith("cd /p && vagrant reload docker1")


def test_a_machine_that_vagrant_cannot_reach_is_an_error_with_advice():
    with pytest.raises(HostsFailed) as caught:
        decide(Access(), machine(vm("docker1", way=None), vm("docker2")))
    assert "hint: cd /p && vagrant reload docker1" in caught.value.lines()


def test_without_vagrant_it_is_said_what_to_install():
    (reason,) = refusal(machine(installed=False))
    assert reason.message == "vagrant is not installed"
    assert "apt-get install vagrant vagrant-libvirt" in reason.hint
    (reason,) = refusal(machine(installed=False, system="Darwin", arch="arm64"))
    assert "vagrant-parallels" in reason.hint


def test_without_a_vagrantfile_or_a_provider_it_is_said_so():
    (reason,) = refusal(machine(vagrantfile=False))
    assert "no Vagrantfile in /p" in reason.message
    (reason,) = refusal(machine(problem="No usable default provider could be found for your system."))
    assert "install VirtualBox" in reason.hint


def test_hosts_that_the_vagrantfile_does_not_define():
    (reason,) = refusal(machine(defined=("default",)))
    assert "defines no docker1, docker2, only default" in reason.message


def test_another_labs_machine_is_left_alone():
    theirs = vm("docker1", mark=Mark("other", "192.168.56.11", "id1"))
    (reason,) = refusal(machine(theirs, vm("docker2")))
    assert reason.message == "it belongs to the lab 'other'"
    assert [a.vms for a in actions(decide(Destroy(), machine(theirs, vm("docker2"))))] == [("docker2",)]


@pytest.mark.parametrize("state", sorted(BROKEN))
def test_a_broken_machine_gets_advice(state):
    (reason,) = refusal(machine(vm("docker1", state), vm("docker2")))
    assert reason.hint == "cd /p && vagrant destroy -f docker1"


def test_virtualbox_allows_some_networks_only():
    (reason,) = refusal(machine(provider="virtualbox"), lab("10.1.1"))
    assert "does not allow 10.1.1.11, 10.1.1.12" in reason.message
    assert "'* 10.1.1.0/24 192.168.56.0/21' | sudo tee -a /etc/vbox/networks.conf" in reason.hint
    assert decide(Preflight(), machine(provider="virtualbox")) == []
    assert decide(Preflight(), machine(provider="libvirt"), lab("10.1.1")) == []
    allowed = parse_networks_conf("# ours\n* 10.0.0.0/8 192.168.56.0/21 # and so on\n* 2001::/64\n")
    assert allowed == ("10.0.0.0/8", "192.168.56.0/21")
    assert decide(Preflight(), machine(provider="virtualbox", ranges=allowed), lab("10.1.1")) == []
    assert parse_networks_conf("# nothing\n") == ("192.168.56.0/21",)


def test_apple_silicon_gets_advice():
    mac = machine(provider="virtualbox", system="Darwin", arch="arm64")
    (reason,) = refusal(mac)
    assert "arm64" in reason.message
    assert decide(Preflight(), mac, lab(env={"CLUSTERCTL_VM_BOX": "some/arm64"})) == []


def test_down_destroys_what_runs_what_is_off_and_what_left_the_inventory():
    old = vm("docker3", mark=Mark("vms", "192.168.56.13", "id3"))
    (destroy,) = actions(decide(Destroy(), machine(vm("docker1"), vm("docker2", "shutoff"), old)))
    assert destroy.shell() == "env VAGRANT_CWD=/p vagrant destroy -f docker1 docker2 docker3"


def test_down_looks_whether_they_are_gone():
    left = machine(vm("docker1"), Vm("docker2", "not_created"))
    with pytest.raises(HostsFailed) as caught:
        decide(Confirm(), left)
    assert caught.value.exit_code == 4
    assert "docker1: it is still there: 'running'" in caught.value.message
    known = after(DOWN, left)
    for phase in DOWN:
        assert actions(decide(phase, known.machine)) == []


def test_down_forgets_nothing_while_vagrant_cannot_be_asked():
    blind = machine(vm("docker1", ""), vm("docker2", ""), installed=False)
    with pytest.raises(Refused) as caught:
        decide(Destroy(), blind)
    assert [r.host for r in caught.value.reasons] == ["docker1", "docker2"]
    nothing = machine(Vm("docker1"), Vm("docker2"), installed=False)
    assert actions(decide(Destroy(), nothing)) == []


def test_down_where_nothing_is_does_nothing():
    for phase in DOWN:
        steps = decide(phase, machine(state=False))
        assert actions(steps) == []


def test_the_project_tells_the_vagrantfile_the_hosts(tmp_path):
    folder = tmp_path / "project"
    marks = folder / ".vagrant/clusterctl"
    marks.mkdir(parents=True)
    (marks / "docker3").write_text(Mark("vms", "192.168.56.13", "id3").dump())
    (marks / "strange").write_text(Mark("other", "192.168.56.14", "id4").dump())
    (marks / "broken").write_text("{")
    project = read.project(lab(folder=str(folder), env={"CLUSTERCTL_VM_MEMORY": "2048"}))
    assert dict(project.env) == {
        "CLUSTERCTL_VM_HOSTS": "docker3=192.168.56.13,docker1=192.168.56.11,docker2=192.168.56.12",
        "CLUSTERCTL_VM_MEMORY": "2048",
    }


def test_vagrant_is_not_asked_where_it_has_made_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert VagrantProvider().present(lab(folder=str(tmp_path))) == frozenset()


def vagrant_in(folder, monkeypatch, script):
    """Put a program called vagrant first in the path."""
    program = folder / "bin/vagrant"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (folder / "Vagrantfile").touch()


def test_making_a_machine_is_followed_and_its_id_written_down(tmp_path, monkeypatch):
    vagrant_in(
        tmp_path,
        monkeypatch,
        "echo '==> docker1: Creating domain'; printf 'Progress: 1%%\\rProgress: 100%%\\rdone\\n'\n"
        'd="$VAGRANT_CWD/.vagrant/machines/docker1/libvirt"; mkdir -p "$d"; printf abc > "$d/id"\n',
    )
    wanted = lab(folder=str(tmp_path), state=str(tmp_path / "state"))
    facts = machine(project=read.project(wanted))
    create = actions(decide(Machines(), facts, wanted))[0]
    heard = []
    create.carry_out(VagrantProvider().door(), heard.append)
    assert heard == ["==> docker1: Creating domain", "done"]
    assert Mark.parse((tmp_path / ".vagrant/clusterctl/docker1").read_text()) == Mark("vms", "192.168.56.11", "abc")


def test_a_machine_that_cannot_be_made_says_why_and_stays_marked(tmp_path, monkeypatch):
    vagrant_in(tmp_path, monkeypatch, "echo 'Volume for domain is already created. Please run vagrant destroy'; exit 1")
    wanted = lab(folder=str(tmp_path))
    create = actions(decide(Machines(), machine(project=read.project(wanted)), wanted))[0]
    with pytest.raises(Exception, match="exit 1: Volume for domain is already created") as caught:
        create.perform(VagrantProvider().door())
    assert "vol-delete" in caught.value.hint
    assert Mark.parse((tmp_path / ".vagrant/clusterctl/docker1").read_text()).id == ""


def test_a_machine_is_read_as_vagrant_has_it(tmp_path, monkeypatch):
    vagrant_in(
        tmp_path,
        monkeypatch,
        'case "$1" in\n'
        "status) echo 1,docker1,provider-name,libvirt; echo 1,docker1,state,running;\n"
        "        echo 1,docker2,state,not_created;;\n"
        "ssh-config) printf 'Host docker1\\n  HostName 127.0.0.1\\n  Port 1\\n  IdentityFile /k\\n';;\n"
        "esac\n",
    )
    made = tmp_path / ".vagrant/machines/docker1/libvirt"
    made.mkdir(parents=True)
    (made / "id").write_text("abc")
    state = tmp_path / "state"
    state.mkdir()
    (state / "known_hosts").write_text("127.0.0.1,docker1 ssh-ed25519 KEY abc\n")
    found = read.read(lab(folder=str(tmp_path), state=str(state)))
    assert found.vm("docker1") == Vm(
        "docker1", "running", id="abc", way=Way("127.0.0.1", 1, keys=("/k",)), key="ssh-ed25519 KEY"
    )
    assert not found.vm("docker2").exists
    assert found.provider == "libvirt"


def test_vagrants_words_are_the_refusal(tmp_path, monkeypatch):
    vagrant_in(tmp_path, monkeypatch, "echo 1,,error-exit,E,No usable default provider could be found.; exit 1")
    found = read.read(lab(folder=str(tmp_path)))
    assert found.problem == "No usable default provider could be found."


def test_where_vagrant_cannot_say_what_runs_nothing_is_taken_for_gone(tmp_path, monkeypatch):
    vagrant_in(tmp_path, monkeypatch, "echo 1,,error-exit,E,There was an error loading a Vagrantfile.; exit 1")
    made = tmp_path / ".vagrant/machines/docker1/libvirt"
    made.mkdir(parents=True)
    (made / "id").write_text("abc")
    with pytest.raises(Refused, match=r"vagrant does not work in .*: There was an error loading a Vagrantfile"):
        VagrantProvider().present(lab(folder=str(tmp_path)))


def test_another_vagrant_is_waited_for(tmp_path, monkeypatch):
    vagrant_in(
        tmp_path,
        monkeypatch,
        'if mkdir "$VAGRANT_CWD/once" 2>/dev/null; then echo "the machine is locked!"; exit 1; fi\n'
        "echo 1,docker1,state,poweroff\n",
    )
    assert read.read(lab(folder=str(tmp_path))).vm("docker1").state == "poweroff"
