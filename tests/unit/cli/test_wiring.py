from __future__ import annotations

import stat
from pathlib import Path

import pytest
from clusterctl.cli import wiring
from clusterctl.providers.access import CONFIG
from clusterctl.stores.certificates import Authority
from example import NOW, ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "pki" / "ca.key"
    wiring.write_private(path, "SECRET")
    assert (path.read_text(), mode(path), mode(path.parent)) == ("SECRET", 0o600, 0o700)


def test_a_private_file_replaces_a_readable_one_and_what_an_earlier_run_left(tmp_path: Path) -> None:
    path = tmp_path / "ca.key"
    path.write_text("old")
    path.chmod(0o644)
    (tmp_path / "ca.key.part").write_text("half")
    wiring.write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert [p.name for p in tmp_path.iterdir()] == ["ca.key"]


def test_a_private_file_does_not_follow_a_link_that_someone_laid(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "ca.key.part").symlink_to(tmp_path / "victim")
    wiring.write_private(tmp_path / "ca.key", "SECRET")
    assert (tmp_path / "victim").read_text() == "mine"


def test_the_state_is_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTERCTL_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert wiring.state_base() == Path("/xdg/clusterctl")
    monkeypatch.setenv("CLUSTERCTL_STATE", "/chosen")
    assert wiring.state_base() == Path("/chosen")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLUSTERCTL_STATE", str(tmp_path))
    return wiring.load(ROOT / "inventory/local.yml", ROOT / "playbooks/overlay.yml")


def authority(lab, *, keep: bool) -> Authority:
    """Return the lab's CA as a command sees it that changes something, or nothing."""
    with wiring.session(lab, "up overlay", changes=keep) as session:
        assert session.authority().fingerprint == session.authority().fingerprint
        return session.authority()


def test_a_lab_is_read_again_with_the_playbook_that_it_was_brought_up_with(lab) -> None:
    text = (ROOT / "playbooks/overlay.yml").read_text().replace("name: overlay", "name: mine")
    wiring.write_private(lab.state / wiring.PLAYBOOK, text)
    assert wiring.load(ROOT / "inventory/local.yml", None).playbook.name == "mine"
    assert wiring.load(ROOT / "inventory/local.yml", ROOT / "playbooks/overlay.yml").playbook.name == "overlay"


def test_a_ca_is_made_once_and_found_again(lab) -> None:
    first = authority(lab, keep=True)
    assert authority(lab, keep=True).fingerprint == first.fingerprint
    files = sorted((lab.state / "pki").iterdir())
    assert [f.name for f in files] == ["ca.crt", "ca.key", "client.crt", "client.key"]
    assert {mode(f) for f in files} == {0o600}
    assert first.unfit((lab.state / "pki/client.crt").read_text(), [], server=False, now=NOW) == ""


def test_a_plan_that_is_only_shown_keeps_no_ca(lab) -> None:
    authority(lab, keep=False)
    assert not lab.state.exists()


def test_a_client_certificate_of_another_ca_is_replaced(lab) -> None:
    authority(lab, keep=True)
    for name in ("ca.crt", "ca.key"):
        (lab.state / "pki" / name).unlink()
    assert authority(lab, keep=True).unfit((lab.state / "pki/client.crt").read_text(), [], server=False, now=NOW) == ""


def test_a_session_that_changes_something_keeps_a_transcript_that_is_private(lab) -> None:
    with wiring.session(lab, "up overlay", changes=True) as opened:
        assert opened.transcript
        assert opened.transcript.name.endswith(".log")
        assert (lab.state.parent / "lab.lock").exists()
        assert mode(lab.state) == 0o700
    assert not (lab.state.parent / "lab.lock").exists()


def test_a_session_that_changes_nothing_leaves_nothing(lab) -> None:
    with wiring.session(lab, "status", changes=False) as opened:
        assert opened.transcript is None
    assert not lab.state.exists()


def ssh_config(lab, *names: str) -> None:
    (lab.state / CONFIG).parent.mkdir(parents=True, exist_ok=True)
    sections = (f"Host {n}\n  HostName {lab.inventory.hosts[n].address}\n  User root\n  Port 22\n" for n in names)
    (lab.state / CONFIG).write_text("".join(sections))


def test_a_host_that_this_run_made_is_looked_for_where_the_settings_lead_by_now(lab) -> None:
    """A lab that grows has connections before the new host is in the settings."""
    ssh_config(lab, "docker1")
    with wiring.session(lab, "status", changes=False, connect=False) as session:
        doors = session.doors
        assert doors.known(["docker1", "docker2"]) == ["docker1"], "one may run from before and be new to them"
        first = doors.ssh("docker1")
        ssh_config(lab, "docker1", "docker2")
        assert doors.ssh("docker2").connection.host == lab.inventory.hosts["docker2"].address
        assert doors.ssh("docker1") is first
