"""Labs that tests share: building one takes seconds, asking it takes a moment."""

import fcntl
import os
import types

import labs
import machine_state
import pytest


@pytest.fixture(scope="session", autouse=True)
def root_or_skipped(tmp_path_factory):
    """Real hosts need root. Where a run must count, missing root is a failure and not a skip."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("the lab tests need root: real hosts in namespaces", pytrace=False)
        pytest.skip("real hosts in namespaces need root: sudo make lab-test")
    # Two runs on one machine would take each other's labs for leftovers; a lock on a folder leaves no file.
    lock = os.open("/var/lib", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    labs.remove_leftovers(tmp_path_factory.mktemp("leftovers"))
    yield
    os.close(lock)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A finished lab. Whoever breaks it mends it. `first` is what the run that made it printed."""
    made = labs.Lab(tmp_path_factory.mktemp("lab"), "lt", "10.1.120")
    made.first = made.cli("up", "playbooks/overlay.yml")
    yield made
    made.cli("down", "--yes")
    assert made.gone()


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Two running hosts with nothing of a cluster on them. Whoever changes them puts them back."""
    made = labs.Lab(tmp_path_factory.mktemp("bare"), "ltb", "10.1.121")
    made.make_hosts()
    yield made
    made.cli("down", "--yes")
    assert made.gone()


@pytest.fixture
def fresh(tmp_path):
    """A lab that is not there yet, and that is gone afterwards whatever the test did."""
    made = labs.Lab(tmp_path, "ltf", "10.1.122")
    yield made
    made.cli("down", "--yes", check=None)
    assert made.gone()


@pytest.fixture
def machine(request):
    """This machine as it was before the test: `machine.changes(lab)` says what is different now."""
    before = machine_state.snapshot()

    def changes(lab):
        ignore = machine_state.others_than(lab.name)
        return machine_state.differences(
            machine_state.without(before, ignore), machine_state.without(machine_state.snapshot(), ignore)
        )

    return types.SimpleNamespace(changes=changes)
