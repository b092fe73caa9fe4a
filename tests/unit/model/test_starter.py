"""The starter inventories are valid as they are, and say what is still to be filled in."""

import pytest
from clusterctl.model import starter
from clusterctl.model.inventory import load_inventory


def hosts(text):
    return {h.name: h.address for h in load_inventory(text, "inventory.yml").hosts.values()}


def test_hosts_on_this_machine():
    assert hosts(starter.local("lab")) == {"docker1": "10.1.1.1", "docker2": "10.1.1.2"}


def test_hosts_that_exist():
    text = starter.ssh("lab", ["192.0.2.1", "admin@192.0.2.2:2222"])
    assert hosts(text) == {"docker1": "192.0.2.1", "docker2": "192.0.2.2"}
    assert "REPLACE" not in text
    assert "REPLACE" in starter.ssh("lab", ["db.example.org"])


@pytest.mark.parametrize("target", ["", "@192.0.2.1", "root@", "192.0.2.1:ssh"])
def test_what_is_no_host(target):
    with pytest.raises(ValueError, match="is not"):
        starter.ssh("lab", [target])


def test_machines_of_a_vagrantfile():
    told = [starter.Machine("a1", told=True), starter.Machine("a2", "10.1.1.2")]
    text = starter.vagrant("lab", told, "../vms # 1")
    assert hosts(text) == {"a1": "192.168.56.11", "a2": "10.1.1.2"}
    assert "REPLACE" not in text
    assert load_inventory(text, "/x/inventory/i.yml").vagrant.folder == "/x/vms # 1"
    untold = starter.vagrant("lab", [starter.Machine("a1")], ".")
    assert hosts(untold) == {"a1": "192.168.56.11"}
    assert "REPLACE" in untold
