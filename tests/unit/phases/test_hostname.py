from __future__ import annotations

from dataclasses import replace

from clusterctl.model.facts import Facts, File
from clusterctl.phases.hostname import HOSTS, NameHosts, RestoreHostnames, with_block, without_block
from clusterctl.plan import files
from example import after, both, changed, decide, finished, fresh, lab, reasons, titles

NEW = ["record the hostname", "set the hostname docker1", "name the peers in /etc/hosts"]


def test_a_fresh_host_gets_its_name_which_is_recorded_first() -> None:
    steps = decide(NameHosts(), lab(), fresh())
    assert [s.title for s in steps if s.host == "docker1"] == NEW
    assert steps[0].command == files.record("hostname", "debian")
    assert steps[2].record


def test_a_finished_host_plans_nothing_and_says_why() -> None:
    steps = decide(NameHosts(), lab(), finished())
    assert titles(steps) == []
    assert reasons(steps) == [
        "docker1: its name is docker1 and it knows its peers",
        "docker2: its name is docker2 and it knows its peers",
    ]


def test_it_comes_out_as_foreseen() -> None:
    facts = after(decide(NameHosts(), lab(), fresh()), fresh())
    assert titles(decide(NameHosts(), lab(), facts)) == []


def test_a_name_that_would_not_outlive_a_boot_is_set_again() -> None:
    facts = changed(finished(), "docker1", lambda f: f.with_file("/etc/hostname", File("debian\n")))
    assert titles(decide(NameHosts(), lab(), facts)) == [
        "docker1: record the hostname",
        "docker1: set the hostname docker1",
    ]


def test_a_host_that_is_named_but_knows_no_peers() -> None:
    facts = changed(
        finished(), "docker2", lambda f: f.with_file(HOSTS, File("127.0.0.1 localhost\n", 0o600, "root:adm"))
    )
    (write,) = [s for s in decide(NameHosts(), lab(), facts) if s.host == "docker2"]
    assert (write.mode, write.owner) == (0o600, "root:adm")


def test_a_lab_that_grew_is_named_anew_on_every_host() -> None:
    wanted = lab(hosts={"docker1": "10.1.90.1", "docker2": "10.1.90.2", "docker3": "10.1.90.3"})
    facts = finished().with_host(replace(fresh().hosts["docker1"], name="docker3"))
    steps = decide(NameHosts(), wanted, facts)
    assert [t for t in titles(steps) if "docker3" not in t[:7]] == both("name the peers in /etc/hosts")
    assert "10.1.90.3\tdocker3" in steps[0].content


def test_the_block_comes_and_goes_and_leaves_the_rest_alone() -> None:
    hosts = lab().inventory.hosts
    for text in ("", "127.0.0.1 localhost\n", "# mine\n\n10.0.0.1 a b\n"):
        assert without_block(with_block(text, "ut", hosts), "ut") == text
        assert with_block(with_block(text, "ut", hosts), "ut", hosts) == with_block(text, "ut", hosts)


def test_a_host_without_the_files_has_none_afterwards() -> None:
    def bare(found):
        return replace(found, files={p: f for p, f in found.files.items() if p not in (HOSTS, "/etc/hostname")})

    facts = changed(fresh(), "docker1", bare)
    named = decide(NameHosts(), lab(), facts)
    assert [s.title for s in named if s.host == "docker1"] == ["record that there is no /etc/hostname", *NEW]
    back = [s for s in decide(RestoreHostnames(), lab(), after(named, facts)) if s.host == "docker1"]
    assert [s.shell() for s in back] == [
        "rm /etc/hosts /var/lib/clusterctl/was/files/etc/hosts.absent",
        "rm /etc/hostname /var/lib/clusterctl/was/files/etc/hostname.absent",
        "hostnamectl set-hostname --transient debian",
    ]


def test_a_missing_last_newline_does_not_swallow_the_block() -> None:
    assert with_block("127.0.0.1 localhost", "ut", lab().inventory.hosts).startswith("127.0.0.1 localhost\n# BEGIN")


def test_only_the_block_of_this_lab_is_touched() -> None:
    hosts = lab().inventory.hosts
    other = with_block("", "ut2", hosts)
    both_labs = with_block(other, "ut", hosts)
    assert without_block(both_labs, "ut") == other
    assert without_block(both_labs, ".*") == both_labs


def test_down_gives_the_recorded_name_back_and_takes_the_block_out() -> None:
    steps = decide(RestoreHostnames(), lab(), finished())
    assert titles(steps) == [
        "docker1: put /etc/hosts back",
        "docker1: set the hostname debian",
        "docker2: put /etc/hosts back",
        "docker2: set the hostname debian",
    ]
    assert steps[0].command == files.put_back(HOSTS, there=True)


def test_down_keeps_what_the_user_wrote_into_etc_hosts_meanwhile() -> None:
    hosts = finished().hosts["docker1"].files[HOSTS]
    mine = replace(hosts, content="10.0.0.1 mine\n" + hosts.content)
    steps = decide(RestoreHostnames(), lab(), changed(finished(), "docker1", lambda f: f.with_file(HOSTS, mine)))
    assert (steps[0].title, steps[0].content) == (
        "take the peers out of /etc/hosts",
        "10.0.0.1 mine\n127.0.0.1 localhost\n",
    )


def test_down_leaves_a_host_alone_that_was_not_named() -> None:
    steps = decide(RestoreHostnames(), lab(), fresh())
    assert titles(steps) == []
    assert reasons(steps) == both("its name was not changed")


def test_down_does_not_need_the_inventory_to_know_the_host() -> None:
    facts = Facts(hosts={"docker9": replace(finished().hosts["docker1"], name="docker9")})
    assert titles(decide(RestoreHostnames(), lab(), facts))[0] == "docker9: put /etc/hosts back"
