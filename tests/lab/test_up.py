"""One command makes a finished lab; what it says, and what is on the hosts then."""

import json
import re
import stat

import labs
import pytest

pytestmark = pytest.mark.lab

HOSTS = ("docker1", "docker2")
PEER = {"docker1": ("qyt1", "qyt2"), "docker2": ("qyt2", "qyt1")}
PKI = "/etc/clusterctl/pki"
DONE = re.compile(r"^(this machine|docker[12]): .+: done in \d+\.\d s$")

# What must stay the same while nothing is to be done: who runs, since when.
_RUNS = (
    "systemctl show -p Id,MainPID,ExecMainStartTimestampMonotonic docker containerd clusterctl-etcd; "
    "docker inspect -f '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}' $(docker ps -q); docker network ls --no-trunc; "
    "find /etc -xdev -newermt @%d -type f"
)


@pytest.fixture(scope="module", params=HOSTS)
def host(request, lab):
    found = lab.host(request.param)
    found.name = request.param
    return found


def test_results_go_to_stdout_and_progress_to_stderr(lab):
    progress = lab.first.stderr.splitlines()
    assert progress, "a run that does something says so"
    assert [line for line in progress if not DONE.match(line)] == []
    assert any(line.startswith("docker1: start etcd: done in ") for line in progress)
    assert labs.UP_HOLDS in lab.first.stdout
    actions, following = lab.first.stdout.splitlines()[-2:]
    assert re.fullmatch(rf"{lab.name}: {len(progress)} actions, \d+\.\d s in all", actions)
    assert following == "next: clusterctl status · clusterctl verify · clusterctl down"
    assert "\x1b" not in lab.first.stdout + lab.first.stderr, "no colour where there is no terminal"


def test_json_is_exactly_one_document(lab):
    done = lab.cli("up", "-o", "json")
    document = json.loads(done.stdout)
    assert (document["schema_version"], document["lab"], document["actions"]) == (1, lab.name, 0)
    assert len(document["report"]["findings"]) == 11
    for command in ("verify", "status"):
        assert json.loads(lab.cli(command, "-o", "json").stdout)["schema_version"] == 1


def test_a_second_up_plans_nothing_and_does_nothing(lab):
    since = int(lab.ssh("docker1", "date +%s"))
    before = {host: lab.ssh(host, _RUNS % since) for host in HOSTS}
    planned = lab.cli("up", "--dry-run")
    assert planned.stdout.splitlines()[-1] == f"{lab.name}: nothing to do"

    done = lab.cli("up", "-v")
    assert f"{lab.name}: nothing to do, " in done.stdout
    assert [x for x in done.stderr.splitlines() if not re.match(r"(this machine|docker\d): nothing to do: ", x)] == []
    transcript = [line.split(" ", 1)[1] for line in lab.transcript().splitlines()]
    assert [x for x in transcript if not re.match(r"-: (==|--) |.*: nothing to do: ", x)] == []
    assert len([x for x in transcript if x.startswith("-: == ")]) >= 10, "every phase was looked at"
    assert {host: lab.ssh(host, _RUNS % since) for host in HOSTS} == before


def test_verify_and_status_find_nothing_wrong(lab):
    assert labs.ALL_HOLD in lab.cli("verify").stdout
    assert lab.cli("status").stdout.splitlines()[-1] == f"{lab.name}: all is as it must be"


def test_a_host_has_its_name_and_knows_its_peers(host, lab):
    assert host.check_output("hostname") == host.name
    assert host.file("/etc/hostname").content_string == f"{host.name}\n"
    hosts = host.file("/etc/hosts")
    peers = "".join(f"{address}\t{name}\n" for name, address in lab.hosts.items())
    assert hosts.content_string == (
        f"127.0.0.1 localhost\n# BEGIN clusterctl {lab.name}\n{peers}# END clusterctl {lab.name}\n"
    )
    for name, address in lab.hosts.items():
        assert host.check_output("getent ahostsv4 %s", name).split()[0] == address


def test_etcd_listens_on_the_cluster_address_and_loopback_only(host, lab):
    listening = {line.split()[3] for line in host.check_output("ss -Hlnt").splitlines()}
    etcd = {place for place in listening if place.rpartition(":")[2] in {"2379", "2380"}}
    address = lab.hosts[host.name]
    assert etcd == {f"{address}:2379", "127.0.0.1:2379", f"{address}:2380"}


def test_etcd_talks_to_nobody_without_a_certificate(host, lab):
    url = f"https://{lab.hosts[host.name]}:2379/v2/keys/"
    # TLS 1.2, where the refusal is part of the handshake; with 1.3 curl may see only a closed connection.
    without = host.run("curl -sS --tls-max 1.2 --cacert %s/ca.crt %s", PKI, url)
    assert without.rc == 35, without
    assert "bad certificate" in without.stderr
    assert host.run("curl -sS --cacert %s/ca.crt %s", PKI, url).rc != 0
    assert host.run("curl -fsS %s", url.replace("https", "http")).rc != 0
    own = "--cert %s/docker.crt --key %s/docker.key"
    assert host.run(f"curl -fsS --cacert %s/ca.crt {own} %s", PKI, PKI, PKI, url).rc == 0


def test_dockerd_listens_on_its_socket_alone(host):
    tcp = [line for line in host.check_output("ss -Hlntp").splitlines() if '"dockerd"' in line]
    # 7946 is the gossip of the overlay, on the cluster address.
    assert [line for line in tcp if not line.split()[3].endswith(":7946")] == []
    assert host.socket("unix:///run/docker.sock").is_listening


def test_docker_is_on_the_store_and_its_settings_say_so(host, lab):
    store = "etcd://" + ",".join(f"{address}:2379" for address in lab.hosts.values())
    advertise = f"{lab.hosts[host.name]}:2375"
    info = host.check_output("docker info --format '{{.ClusterStore}} {{.ClusterAdvertise}}'")
    assert info.split() == [store, advertise]
    settings = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert settings == {
        "cluster-store": store,
        "cluster-advertise": advertise,
        "cluster-store-opts": {
            "kv.cacertfile": f"{PKI}/ca.crt",
            "kv.certfile": f"{PKI}/docker.crt",
            "kv.keyfile": f"{PKI}/docker.key",
        },
    }


def test_private_keys_are_their_owners_alone(host):
    keys = {"etcd": ("etcd", "etcd"), "docker": ("root", "root")}
    for name, owner in keys.items():
        key = host.file(f"{PKI}/{name}.key")
        assert (key.mode, key.user, key.group) == (0o600, *owner), name
        assert host.file(f"{PKI}/{name}.crt").mode == 0o644
    assert host.run("find / -xdev -name ca.key").stdout == "", "the CA's key stays on the controller"
    assert host.run("ls /var/lib/clusterctl/was").rc == 0
    assert host.file("/var/lib/clusterctl/was").mode & 0o077 == 0


def test_the_controllers_folder_is_the_users_alone(lab):
    assert stat.S_IMODE(lab.state.stat().st_mode) == 0o700
    secret = [p for p in lab.state.rglob("*") if p.suffix == ".key" or p.name == "id_ed25519"]
    assert len(secret) == 3
    assert {stat.S_IMODE(p.stat().st_mode) for p in secret} == {0o600}


def test_services_run_and_start_in_order_at_boot(host):
    etcd = host.service("clusterctl-etcd")
    assert (etcd.is_running, etcd.is_enabled) == (True, True)
    assert host.service("docker").is_running
    assert not host.service("etcd").is_running, "Debian's own etcd stays off"
    after = host.check_output("systemctl show -p After docker").split("=", 1)[1].split()
    assert "clusterctl-etcd.service" in after
    assert host.check_output("systemctl show -p User --value clusterctl-etcd") == "etcd"
    assert host.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_dockers_keys_are_in_the_store(host, lab):
    own = f"--cacert {PKI}/ca.crt --cert {PKI}/docker.crt --key {PKI}/docker.key"
    base = f"https://{lab.hosts[host.name]}:2379/v2/keys/docker"
    nodes = json.loads(host.check_output(f"curl -fsS {own} {base}/nodes"))["node"]["nodes"]
    assert {n["value"] for n in nodes} == {f"{address}:2375" for address in lab.hosts.values()}
    network = host.check_output("docker network inspect -f '{{.Id}}' qyt_overlay")
    found = json.loads(host.check_output(f"curl -fsS {own} {base}/network/v1.0/network/{network}"))
    assert json.loads(found["node"]["value"])["name"] == "qyt_overlay"


def test_the_overlay_is_one_network_on_both(lab):
    asked = "docker network inspect -f '{{.Id}} {{.Driver}} {{.Scope}} {{(index .IPAM.Config 0).Subnet}}' qyt_overlay"
    said = {lab.host(name).check_output(asked) for name in HOSTS}
    assert len(said) == 1
    assert said.pop().split()[1:] == ["overlay", "global", "10.10.10.0/24"]


def test_containers_run_and_reach_each_other_by_name(host):
    own, peer = PEER[host.name]
    container = host.docker(own)
    assert container.is_running
    assert container.inspect()["Config"]["Labels"]["clusterctl.lab"] == "lt"
    ping = host.run("docker exec %s ping -c 2 -W 2 %s", own, peer)
    assert ping.rc == 0, ping
    assert "2 packets received, 0% packet loss" in ping.stdout


def test_people_get_in_with_the_labs_ssh_config(lab):
    text = (lab.state / "ssh_config").read_text()
    assert text.count("StrictHostKeyChecking yes") == 2
    assert lab.ssh("docker2", "hostname") == "docker2\n"


def test_the_facts_that_phases_decide_from_are_what_is_there(lab):
    facts = lab.facts()
    assert set(facts.hosts) == set(HOSTS)
    assert facts.docker("docker1").containers["qyt1"].state == "running"
    with lab.session() as session:
        assert session.doors("docker1").etcd.health().healthy
        assert session.doors("docker2").etcd.keys("/docker/nodes")


def test_a_check_that_does_not_hold_is_exit_1_and_says_what_was_seen(lab):
    lab.ssh("docker2", "docker pause qyt2")
    try:
        done = lab.cli("verify", check=1)
        assert "✗ FAILED" in done.stdout or "? unknown" in done.stdout, labs.seen(done)
        assert "do not hold" in done.stdout
        document = json.loads(lab.cli("verify", "-o", "json", check=1).stdout)
        assert document["schema_version"] == 1
    finally:
        lab.ssh("docker2", "docker unpause qyt2")
    lab.cli("verify")
