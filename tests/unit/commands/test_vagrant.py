"""Vagrant's command lines, and what it printed on real machines."""

from clusterctl.commands.vagrant import Project, Way, complaint, parse_address, parse_host_key, parse_status, parse_ways

STATUS = """\
1795523945,docker1,metadata,provider,libvirt
1795523945,docker2,metadata,provider,libvirt
1795523945,docker1,provider-name,libvirt
1795523945,docker1,state,running
1795523945,docker1,state-human-short,running
1795523945,docker1,state-human-long,The Libvirt domain is running. To stop this machine%!(VAGRANT_COMMA) you can run
1795523945,docker2,provider-name,libvirt
1795523945,docker2,state,not_created
1795523945,docker2,state-human-short,not created
1795523945,,ui,info,Current machine states:\\n\\ndocker1                   running (libvirt)
"""

CONFIG = """\
Host docker1
  HostName 192.168.121.70
  User vagrant
  Port 22
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile /home/x/.vagrant/machines/docker1/libvirt/private_key
  IdentitiesOnly yes
  LogLevel FATAL

Host docker2
  HostName 127.0.0.1
  User vagrant
  Port 2222
  IdentityFile "/Users/some one/.vagrant.d/insecure_private_keys/vagrant.key.ed25519"
  IdentityFile "/Users/some one/.vagrant.d/insecure_private_keys/vagrant.key.rsa"
  ProxyCommand ssh libvirt.example.org -W %h:%p
"""

NO_PROVIDER = """\
1795523816,,ui,error,No usable default provider could be found for your system.\\n\\nVagrant relies on interactions
1795523816,,error-exit,Vagrant::Errors::NoDefaultProvider,No usable default provider could be found for your system.\
\\n\\nIf you believe you already have a provider%!(VAGRANT_COMMA) make sure it is installed.
"""

SCANNED = """\
# 192.168.121.70:22 SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7
192.168.121.70 ssh-rsa AAAAB3Nz
# 192.168.121.70:22 SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7
192.168.121.70 ssh-ed25519 AAAAC3Nz
"""


def test_states_are_read_by_machine():
    assert parse_status(STATUS) == {"docker1": ("running", "libvirt"), "docker2": ("not_created", "libvirt")}
    assert parse_status(NO_PROVIDER) == {}
    assert parse_status("") == {}


def test_ways_are_read_with_all_their_keys():
    ways = parse_ways(CONFIG)
    assert ways["docker1"] == Way("192.168.121.70", keys=("/home/x/.vagrant/machines/docker1/libvirt/private_key",))
    assert (ways["docker2"].address, ways["docker2"].port) == ("127.0.0.1", 2222)
    assert [key.rpartition(".")[2] for key in ways["docker2"].keys] == ["ed25519", "rsa"]
    assert ways["docker2"].proxy == "ssh libvirt.example.org -W %h:%p"
    assert parse_ways("The provider for this Vagrant-managed machine is not yet ready for SSH.") == {}


def test_the_best_host_key_is_taken():
    assert parse_host_key(SCANNED) == "ssh-ed25519 AAAAC3Nz"
    assert parse_host_key("ssh-rsa AAAAB3Nz root@docker1\r\n") == "ssh-rsa AAAAB3Nz"
    assert parse_host_key("# 192.168.121.70:22 SSH-2.0-x\n") == ""


def test_vagrants_own_words_are_what_is_said():
    assert complaint(NO_PROVIDER).startswith("No usable default provider could be found for your system.")
    assert complaint(NO_PROVIDER).endswith("a provider, make sure it is installed.")
    assert complaint("==> docker1: Starting domain.\nThe box 'x' could not\nbe found.\n") == (
        "The box 'x' could not be found."
    )


def test_command_lines_are_what_one_would_type():
    project = Project("/p", (("CLUSTERCTL_VM_HOSTS", "docker1=192.168.56.11"), ("A", "b c")), "/p/.vagrant")
    assert project.up("docker1").line() == (
        "env VAGRANT_CWD=/p CLUSTERCTL_VM_HOSTS=docker1=192.168.56.11 'A=b c' vagrant up --no-parallel docker1"
    )
    assert project.destroy("a", "b").argv[-4:] == ("destroy", "-f", "a", "b")
    assert project.mark("docker1") == "/p/.vagrant/clusterctl/docker1"
    assert project.line("destroy", "-f", "docker1") == "cd /p && vagrant destroy -f docker1"


def test_the_address_for_peers_is_not_that_of_the_default_route():
    eth0 = "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic eth0\\       valid_lft forever"
    eth1 = "3: eth1    inet 192.168.56.11/24 brd 192.168.56.255 scope global eth1\\       valid_lft forever"
    route = "default via 10.0.2.2 dev eth0 proto dhcp src 10.0.2.15 metric 100"
    assert parse_address("\n".join((route, eth0, eth1))) == "192.168.56.11"
    assert parse_address("\n".join((route, eth0))) == "10.0.2.15"
    assert parse_address("") == ""
