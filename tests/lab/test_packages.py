"""Hosts on which nothing is installed are made ready, and are bare again afterwards."""

import base64
import hashlib
import http.server
import re
import shutil
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import labs
import pytest
from clusterctl.providers.local.root import Recipe

pytestmark = [pytest.mark.lab, pytest.mark.long]

# What installing and removing packages leaves on every Debian: lists, caches, and the copies that the
# account tools make of their files.
ALWAYS = re.compile(r"/var/(lib/apt/lists|cache/apt)/| /etc/(passwd|group|shadow|gshadow|subuid|subgid)-$")


@pytest.fixture(scope="module", autouse=True)
def mirror():
    """The distribution's mirror is not ours to fake: without it there is nothing to install."""
    try:
        socket.create_connection(("deb.debian.org", 80), 5).close()
    except OSError as error:
        pytest.skip(f"deb.debian.org does not answer: {error}")


def given(folder, name, net, hosts, local, cluster=""):
    """Return a lab by its hosts' roles: {"h1": "etcd, docker"}."""
    lines = "".join(
        f"  {h}: {{address: {net}.{i}, roles: [{roles}]}}\n" for i, (h, roles) in enumerate(hosts.items(), 1)
    )
    text = f"name: {name}\nprovider: local\nhosts:\n{lines}local: {{subnet: {net}.0/24, {local}}}\n{cluster}"
    made = labs.Lab(folder, name, net, text)
    made.hosts = {h: f"{net}.{i}" for i, h in enumerate(hosts, 1)}
    made.cli("down", "--yes", check=None)
    return made


def gone(made):
    made.cli("down", "--yes")
    assert made.gone()


def left(before, made):
    """Return what is different on the hosts from what it was, but for what apt always leaves."""
    return [line for line in labs.differences(before, made.snapshots()) if not ALWAYS.search(line)]


def rules(made, host):
    """Return the rules of a host's firewall and its links, seen from outside: the host has no iptables now."""
    enter = ["nsenter", f"--net=/run/netns/clusterctl-{made.name}-{host}"]
    done = subprocess.run([*enter, "iptables-save"], capture_output=True, text=True, timeout=20, check=True)
    links = subprocess.run([*enter, "ip", "-o", "link"], capture_output=True, text=True, timeout=20, check=True)
    return [x for x in done.stdout.splitlines() if x.startswith("-A") or re.match(r":\w+ (DROP|-)", x)], [
        line.split(": ")[1].split("@")[0] for line in links.stdout.splitlines()
    ]


@pytest.fixture(scope="module")
def debian12(tmp_path_factory):
    both = dict.fromkeys(("docker1", "docker2"), "etcd, docker")
    made = given(tmp_path_factory.mktemp("bap"), "bap", "10.1.96", both, "bare: true, internet: true")
    made.make_hosts()
    made.before = made.snapshots()
    yield made
    gone(made)


def test_without_a_mirror_nothing_is_installed_and_the_error_says_why(debian12):
    debian12.ssh("docker1", "cp /etc/apt/sources.list /root/; sed -i s,//[^/]*,//mirror.invalid, /etc/apt/sources.list")
    debian12.ssh("docker2", "mv /usr/bin/apt-get /usr/bin/apt-get.away")
    done = debian12.cli("up", "playbooks/overlay.yml", check=None)
    assert done.returncode == 3, labs.seen(done)
    assert "docker2: Debian GNU/Linux 12 (bookworm) has no apt, and " in done.stderr
    debian12.ssh("docker2", "mv /usr/bin/apt-get.away /usr/bin/apt-get; mv /etc/apt/sources.list /root/")

    done = debian12.cli("up", "playbooks/overlay.yml", check=4)
    assert re.search(r"^docker1: install .*: exit 100: .*ould not resolve 'mirror.invalid'", done.stderr, re.M), (
        labs.seen(done)
    )
    assert re.search(r"^docker2: install .*: exit 100: .*has no installation candidate|Unable to locate", done.stderr)
    assert "apt-get update && apt-get install" in done.stderr
    for host in debian12.hosts:
        assert debian12.ssh(host, "command -v dockerd etcd iptables", check=None) == ""
        assert debian12.ssh(host, "hostname") == "debian\n", "what comes after has not begun"
    for host in debian12.hosts:
        debian12.ssh(host, "mv /root/sources.list /etc/apt/")


def test_an_installation_that_was_cut_short_is_finished(debian12):
    """As a power cut does it: apt and dpkg are gone in the middle of their work."""
    run = debian12.start("up", "playbooks/overlay.yml")
    try:
        seen = "grep -qs 'status half-installed docker.io' /var/log/dpkg.log"
        cut = f"timeout 60 sh -c \"until {seen}; do sleep 0.05; done\" && pkill -9 -x 'apt-get|dpkg'"
        debian12.ssh("docker1", cut)
        out, err = run.communicate(timeout=90)
    finally:
        run.kill()
        run.wait(10)
    assert run.returncode == 4, (out, err)
    assert re.search(r"docker1: install .*: exit (137|100|143|247)", err), err

    done = debian12.cli("up", "playbooks/overlay.yml")
    assert labs.UP_HOLDS in done.stdout
    assert debian12.ssh("docker1", "dpkg --audit") == ""
    assert "nothing to do" in debian12.cli("up").stdout
    assert "all is as it must be" in debian12.cli("status").stdout
    for host in debian12.hosts:
        assert debian12.ssh(host, "systemctl is-enabled docker; systemctl is-enabled etcd", check=1) == (
            "enabled\ndisabled\n"
        )
        started = debian12.ssh(host, "journalctl -q -u docker -u etcd | grep -c 'Started'")
        assert started == "1\n", "neither started by itself when it was installed"


REGISTRY = """\
set -e; mkdir -p /root/reg; cd /root/reg; apt-get download -qq docker-registry; dpkg-deb -x docker-registry_*.deb .
cat > c.yml <<'EOF'
version: 0.1
storage: {filesystem: {rootdirectory: /root/reg/data}}
http: {addr: "127.0.0.1:5000"}
EOF
systemd-run -q --unit=reg /root/reg/usr/bin/docker-registry serve /root/reg/c.yml
docker tag clusterctl/probe:1 localhost:5000/probe:1
for i in 1 2 3 4 5; do docker push -q localhost:5000/probe:1 && break || sleep 1; done
docker image rm localhost:5000/probe:1
"""


def test_images_come_from_a_registry_or_a_tar_and_go_again(debian12, tmp_path):
    debian12.ssh("docker1", REGISTRY)
    archive = tmp_path / "saved.tar"
    debian12.ssh("docker2", "docker tag clusterctl/probe:1 saved/probe:2; docker save saved/probe:2 > /root/saved.tar")
    copied = debian12.ssh("docker2", "docker image rm saved/probe:2 >/dev/null; base64 -w0 /root/saved.tar")
    archive.write_bytes(base64.b64decode(copied))
    text = (labs.ROOT / "playbooks/overlay.yml").read_text()
    text = text.replace("docker1, networks", "docker1, image: 'pulled:1', networks")
    text = text.replace("docker2, networks", "docker2, image: 'saved/probe:2', networks")
    text += f"images:\n  pulled:1: {{pull: 'localhost:5000/probe:1'}}\n  saved/probe:2: {{load: {archive}}}\n"
    playbook = tmp_path / "p.yml"
    playbook.write_text(text)

    debian12.ssh("docker1", "systemctl stop reg")
    done = debian12.cli("up", str(playbook), check=4)
    assert re.search(r"^docker1: pull localhost:5000/probe:1: .*connection refused", done.stderr, re.M), labs.seen(done)
    debian12.ssh(
        "docker1", "systemd-run -q --unit=reg /root/reg/usr/bin/docker-registry serve /root/reg/c.yml; sleep 1"
    )
    assert labs.UP_HOLDS in debian12.cli("up", str(playbook)).stdout
    assert "nothing to do" in debian12.cli("up").stdout
    images = "docker image ls --format '{{.Repository}}:{{.Tag}}' | sort"
    assert debian12.ssh("docker1", images) == "clusterctl/probe:1\nlocalhost:5000/probe:1\npulled:1\n"
    debian12.ssh("docker1", "systemctl stop reg; rm -r /root/reg")
    debian12.ssh("docker2", "rm /root/saved.tar")


def test_down_leaves_the_hosts_bare(debian12):
    debian12.cli("down", "--yes", "--keep-hosts")
    assert left(debian12.before, debian12) == []
    for host in debian12.hosts:
        assert rules(debian12, host) == ([], ["lo", "eth0"])


def test_what_is_installed_is_neither_upgraded_nor_removed(debian12):
    """A host where apt could only go on by changing what is there, and one whose mirror has a later Docker."""
    fake = (
        "mkdir -p /tmp/f/DEBIAN; printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: x\\n%s"
        "Description: x\\n' > /tmp/f/DEBIAN/control; dpkg-deb -b /tmp/f /tmp/f.deb >/dev/null; rm -r /tmp/f; %s"
    )
    debian12.ssh(
        "docker1", fake % ("theirs", "1", "Conflicts: runc\\n", "dpkg -i /tmp/f.deb >/dev/null; rm /tmp/f.deb")
    )
    local = (
        "mkdir /tmp/r; mv /tmp/f.deb /tmp/r/; cd /tmp/r; md5=$(md5sum f.deb); "
        "{ dpkg-deb -f f.deb; echo Filename: ./f.deb; echo Size: $(stat -c %s f.deb); "
        "echo SHA256: $(sha256sum f.deb | cut -d' ' -f1); echo; } > Packages; "
        "echo 'deb [trusted=yes] file:/tmp/r ./' > /etc/apt/sources.list.d/theirs.list"
    )
    debian12.ssh("docker2", fake % ("docker.io", "99.0", "", local))
    done = debian12.cli("up", "playbooks/overlay.yml", check=4)
    assert re.search(r"^docker1: install .*: exit 3: apt-get would also remove theirs$", done.stderr, re.M), labs.seen(
        done
    )
    assert re.search(
        r"^docker2: install .*: exit 3: docker.io would be 99.0, and a cluster store needs one before 20.11$",
        done.stderr,
        re.M,
    ), labs.seen(done)
    assert debian12.ssh("docker1", "dpkg-query -W -f '${db:Status-Status}' theirs") == "installed"
    assert debian12.ssh("docker1", "command -v dockerd runc iptables", check=None) == ""
    debian12.cli("down", "--yes", "--keep-hosts")
    debian12.ssh("docker1", "dpkg --purge theirs")
    debian12.ssh("docker2", "rm -r /tmp/r /etc/apt/sources.list.d/theirs.list; apt-get update")
    assert left(debian12.before, debian12) == []


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Docker and etcd of Debian 12, packed as their projects release them."""
    root, folder = Path(Recipe("bookworm").path), tmp_path_factory.mktemp("released")
    if not root.is_dir():
        pytest.skip(f"no lab was made yet: {root} is missing")
    docker, etcd = folder / "docker", folder / "etcd-v3.4.23-linux-amd64"
    (docker / "lib").mkdir(parents=True)
    etcd.mkdir()
    for name in ("bin/docker", "bin/containerd", "bin/containerd-shim-runc-v2", "sbin/runc", "sbin/docker-proxy"):
        shutil.copy(root / "usr" / name, docker)
    shutil.copy(root / "usr/bin/tini-static", docker / "docker-init")
    # Docker's own build is static; Debian's needs one library that a bare host lacks.
    shutil.copy(root / "usr/sbin/dockerd", docker / "dockerd.dynamic")
    (library,) = root.glob("usr/lib/*-linux-gnu/libdevmapper.so.1.02.1")
    shutil.copy(library, docker / "lib")
    start = 'd=$(dirname "$(readlink -f "$0")"); LD_LIBRARY_PATH=$d/lib exec "$d/dockerd.dynamic" "$@"'
    (docker / "dockerd").write_text(f"#!/bin/sh\n{start}\n")
    (docker / "dockerd").chmod(0o755)
    for name in ("etcd", "etcdctl"):
        shutil.copy(root / "usr/bin" / name, etcd)
    made = {}
    for name, place in (("docker", docker), ("etcd", etcd)):
        made[name] = folder / f"{place.name}.tgz"
        with tarfile.open(made[name], "w:gz", compresslevel=1) as archive:
            archive.add(place, place.name)
        shutil.rmtree(place)
    return made


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves one folder; breaks off after so many bytes where that is set."""

    def do_GET(self):
        content = (Path(self.directory) / self.path.lstrip("/")).read_bytes()
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        self.server.starts.append(start)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = self.server.breaks_after or len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(released):
    folder = str(released["docker"].parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=folder)) as made:
        made.starts, made.breaks_after = [], 0
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def debian13(tmp_path_factory, released, server):
    folder = tmp_path_factory.mktemp("bat")
    both = dict.fromkeys(("docker1", "docker2"), "etcd, docker")
    made = given(folder, "bat", "10.1.97", both, "suite: trixie, bare: true, internet: true")
    made.plain = made.inventory.read_text()
    sums = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in released.items()}
    docker = f"http://127.0.0.1:{server.server_port}/{released['docker'].name}"
    made.cluster = f"cluster:\n  docker: {{url: '{docker}', sha256: {sums['docker']}}}\n"
    made.cluster += f"  etcd: {{file: {released['etcd']}, sha256: {sums['etcd']}}}\n"
    made.sums = sums
    made.make_hosts()
    made.before = made.snapshots()
    yield made
    gone(made)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    return tmp_path_factory.getbasetemp() / "cache/clusterctl"


def test_packages_that_are_too_new_are_refused_with_the_lines_to_add(debian13):
    before = debian13.snapshots()
    done = debian13.cli("up", "playbooks/overlay.yml", check=3)
    for host in debian13.hosts:
        assert f"{host}: no package of Debian GNU/Linux 13 (trixie) fits a cluster store, and docker is missing" in (
            done.stderr
        )
    assert "  docker: {url: https://download.docker.com/linux/static/stable/x86_64/docker-20.10.24.tgz" in done.stderr
    assert labs.differences(before, debian13.snapshots()) == []


def test_a_wrong_checksum_installs_nothing(debian13, cache):
    wrong = debian13.cluster.replace(debian13.sums["docker"], "a" * 64)
    debian13.inventory.write_text(debian13.plain + wrong)
    done = debian13.cli("up", "playbooks/overlay.yml", check=None)
    assert done.returncode in {3, 4}, labs.seen(done)
    assert f"has the checksum {debian13.sums['docker']}, and the inventory says {'a' * 64}" in done.stderr
    assert labs.differences(debian13.before, debian13.snapshots()) == []
    assert not (cache / ("a" * 64)).exists()


def test_a_download_that_broke_off_goes_on_and_a_killed_run_is_finished(debian13, server):
    debian13.inventory.write_text(debian13.plain + debian13.cluster)
    server.breaks_after = 30_000_000
    done = debian13.cli("up", "playbooks/overlay.yml", check=None)
    assert done.returncode in {3, 4}, labs.seen(done)
    assert re.search(r"docker\.tgz: broken off after 2\d{7} bytes", done.stderr), labs.seen(done)
    assert labs.differences(debian13.before, debian13.snapshots()) == []

    server.breaks_after = 0
    killed = debian13.signalled("docker2: write down that docker comes from a tarball: done", [9], "up")
    assert killed.returncode == -9
    assert server.starts[-1] > 20_000_000, "it went on from where it was"
    done = debian13.cli("up", "playbooks/overlay.yml")
    assert labs.UP_HOLDS in done.stdout
    assert "nothing to do" in debian13.cli("up").stdout
    assert "all is as it must be" in debian13.cli("status").stdout
    for host in debian13.hosts:
        assert debian13.ssh(host, "docker version -f '{{.Server.Version}}'").startswith("20.10.24")
        assert debian13.ssh(host, "ls /opt/clusterctl") == "docker\netcd\n"
        assert debian13.ssh(host, "dpkg -l docker.io etcd-server 2>/dev/null | grep -c ^ii", check=1) == "0\n"


def test_what_the_user_has_in_that_docker_is_not_removed_unasked(debian13):
    """The same hosts as hosts of somebody's own, with a volume that is not the lab's."""
    other = debian13.over_ssh("bat")
    debian13.ssh("docker1", "docker volume create theirs")
    (other.state / "ssh_config").write_text((debian13.state / "ssh_config").read_text())
    other.inventory.write_text(other.inventory.read_text() + debian13.cluster)
    done = other.cli("down", "--yes", check=4)
    assert re.search(r"^docker1: look for what is not the lab's .*volumes/theirs", done.stderr, re.M), labs.seen(done)
    assert debian13.ssh("docker1", "ls /opt/clusterctl") == "docker\netcd\n"
    debian13.ssh("docker1", "systemctl start docker; docker volume rm theirs")


def test_down_leaves_nothing_of_a_tarball(debian13):
    debian13.cli("down", "--yes", "--keep-hosts")
    assert left(debian13.before, debian13) == []
    for host in debian13.hosts:
        assert rules(debian13, host) == ([], ["lo", "eth0"])


SPLITS = {
    "one etcd for two daemons": {"h1": "etcd", "h2": "docker", "h3": "docker"},
    "three etcd, one beside a daemon": {"h1": "etcd", "h2": "etcd", "h3": "etcd, docker", "h4": "docker"},
    "four etcd and two daemons": {"h1": "etcd, docker", "h2": "etcd", "h3": "etcd", "h4": "etcd, docker"},
    "five etcd and two daemons": {
        "h1": "etcd, docker",
        **dict.fromkeys(("h2", "h3", "h4"), "etcd"),
        "h5": "etcd, docker",
    },
}
WORDS = {1: "losing one stops the store", 3: "1 may fail", 4: "1 may fail", 5: "2 may fail"}


@pytest.mark.parametrize("split", SPLITS)
def test_roles_may_be_split_over_hosts(tmp_path, split):
    hosts = SPLITS[split]
    made = given(tmp_path, "bar", "10.1.98", hosts, "suite: bookworm")
    first, second = (h for h, roles in hosts.items() if "docker" in roles)
    playbook = tmp_path / "p.yml"
    text = (labs.ROOT / "playbooks/overlay.yml").read_text()
    playbook.write_text(text.replace("docker1", first).replace("docker2", second))
    members = sum("etcd" in roles for roles in hosts.values())
    try:
        assert "all hold" in made.cli("up", str(playbook)).stdout
        assert "all hold" in made.cli("verify").stdout
        said = made.cli("status").stdout
        assert f"{members} member{'s' if members > 1 else ''}, {members} healthy: {WORDS[members]}" in said
        assert "all is as it must be" in said
        for host, roles in hosts.items():
            runs = made.ssh(host, "systemctl is-active clusterctl-etcd docker", check=None).split()
            assert runs == [("active" if r in roles else "inactive") for r in ("etcd", "docker")], host
        made.cli("down", "--yes", "--keep-hosts")
        for host in hosts:
            assert made.ssh(host, "ls -d /etc/clusterctl /var/lib/clusterctl* 2>/dev/null", check=2) == ""
    finally:
        gone(made)
