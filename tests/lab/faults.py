"""Faults for a lab of two hosts, a layer each: how each is made, how it is undone, and what doctor must call it."""

from dataclasses import dataclass

NS = "nsenter --net=$(grep -o '/run/docker/netns/[0-9]*-[0-9a-f]*' /proc/self/mountinfo | head -n 1)"
"""Enters the overlay's network namespace."""


KILL_ETCD = "systemctl kill --signal=KILL clusterctl-etcd; systemctl stop clusterctl-etcd"

DROP_IN = "/etc/systemd/system/docker.service.d/clusterctl.conf"

CURL = (
    "curl -fsS --cacert /etc/clusterctl/pki/ca.crt --cert /etc/clusterctl/pki/etcd.crt "
    "--key /etc/clusterctl/pki/etcd.key https://127.0.0.1:2379"
)
CTL = (
    "ETCDCTL_API=3 etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/clusterctl/pki/ca.crt "
    "--cert /etc/clusterctl/pki/etcd.crt --key /etc/clusterctl/pki/etcd.key"
)

WRONG_DATE = r"""'#!/bin/sh\n[ "$1" = +%%s.%%N ] && exec /bin/date -d "2 hours ago" "$@"\nexec /bin/date "$@"\n'"""
"""What says another time: the clock itself is the machine's, and every host's."""


def inside(container):
    """Return what enters a container's network namespace."""
    return f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {container}) -n"


@dataclass(frozen=True)
class Fault:
    """One thing that is broken.

    breaks, mends: shell lines by host. layer, check: doctor's verdict. where: the host that it must name.
    says: words that its sentence must have. up: whether `clusterctl up` must complete the mending.
    fix: whether `doctor --fix` mends it.
    """

    name: str
    breaks: tuple
    mends: tuple
    layer: str
    check: str
    where: str
    says: tuple = ()
    up: bool = False
    fix: bool = False


def on(host, *lines):
    """Return shell lines for one host, in a list of hosts."""
    return ((host, "; ".join(lines)),)


def rule(name, host, rule, layer, check, says=(), enter="", table="filter"):
    """Return a fault that is an iptables rule."""
    return Fault(
        name,
        on(host, f"{enter} iptables -t {table} -I {rule}"),
        on(host, f"{enter} iptables -t {table} -D {rule}"),
        layer,
        check,
        host,
        says,
    )


OFTEN = frozenset(
    {
        "4789 dropped",
        "MTU too small",
        "missing FDB entry",
    }
)
"""The faults that every run of the tests makes; the others take minutes together."""

FAULTS = (
    rule(
        "4789 dropped",
        "docker2",
        "INPUT -p udp --dport 4789 -j DROP",
        "underlay",
        "udp-4789-dropped",
        ("4789", "INPUT"),
    ),
    rule(
        "4789 dropped one way",
        "docker1",
        "OUTPUT -p udp --dport 4789 -j DROP",
        "underlay",
        "udp-4789-dropped",
        ("4789", "OUTPUT"),
    ),
    rule("7946 dropped", "docker2", "INPUT -p udp --dport 7946 -j DROP", "underlay", "udp-7946-dropped", ("7946",)),
    rule("7946/tcp dropped", "docker1", "INPUT -p tcp --dport 7946 -j DROP", "underlay", "tcp-7946-dropped", ("7946",)),
    rule("2380 dropped", "docker2", "INPUT -p tcp --dport 2380 -j DROP", "underlay", "tcp-2380-dropped", ("2380",)),
    Fault(
        "forward policy DROP",
        on("docker1", "iptables-save > /run/rules", "iptables -P FORWARD DROP", "iptables -F FORWARD"),
        on("docker1", "iptables-restore < /run/rules"),
        "forwarding",
        "forward-drop",
        "docker1",
        ("forward policy DROP",),
    ),
    Fault(
        "forward policy DROP in the overlay",
        on("docker1", f"{NS} iptables -P FORWARD DROP"),
        on("docker1", f"{NS} iptables -P FORWARD ACCEPT"),
        "forwarding",
        "overlay-rule",
        "docker1",
        ("policy DROP of FORWARD",),
    ),
    Fault(
        "MTU too small",
        on("docker2", "ip link set eth0 mtu 1400"),
        on("docker2", "ip link set eth0 mtu 1500"),
        "underlay",
        "mtu",
        "docker2",
        ("MTU", "1400"),
    ),
    Fault(
        "ip_forward off",
        on("docker2", "sysctl -qw net.ipv4.ip_forward=0"),
        on("docker2", "sysctl -qw net.ipv4.ip_forward=1"),
        "host",
        "ip-forward",
        "docker2",
        fix=True,
    ),
    Fault(
        "wrong advertised address",
        on(
            "docker2",
            "sed -i.was 's/\\(advertise.*\\)\\.2:/\\1.77:/' /etc/docker/daemon.json",
            "systemctl restart docker",
        ),
        on("docker2", "mv /etc/docker/daemon.json.was /etc/docker/daemon.json"),
        "dockerd",
        "advertise",
        "docker2",
        (".77:2375",),
        up=True,
    ),
    Fault(
        "dockerd without the store",
        on(
            "docker2",
            "cp -p /etc/docker/daemon.json /run/daemon.json",
            "echo '{}' > /etc/docker/daemon.json",
            "systemctl restart docker",
        ),
        on("docker2", "cp -p /run/daemon.json /etc/docker/daemon.json"),
        "dockerd",
        "no-store",
        "docker2",
        ("without the cluster store",),
        up=True,
        fix=True,
    ),
    Fault(
        "quorum lost",
        on("docker2", KILL_ETCD),
        on("docker2", "systemctl start clusterctl-etcd"),
        "etcd",
        "quorum-lost",
        "docker2",
        ("quorum is lost",),
        fix=True,
    ),
    Fault(
        "etcd shut off from its own host",
        on("docker1", "iptables -I INPUT -i lo -p tcp --dport 2379 -j REJECT"),
        on("docker1", "iptables -D INPUT -i lo -p tcp --dport 2379 -j REJECT"),
        "etcd",
        "quorum-lost",
        "docker1",
        ("a rule there takes what asks it",),
    ),
    Fault(
        "etcd halted",
        on("docker1", "systemctl kill --signal=STOP clusterctl-etcd"),
        on("docker1", "systemctl kill --signal=CONT clusterctl-etcd"),
        "etcd",
        "quorum-lost",
        "docker1",
        ("halted",),
    ),
    Fault(
        "dockerd hangs",
        on("docker2", "systemctl kill --kill-who=main --signal=STOP docker"),
        on("docker2", "systemctl kill --kill-who=main --signal=CONT docker"),
        "dockerd",
        "hung",
        "docker2",
        ("halted",),
        fix=True,
    ),
    Fault(
        "missing FDB entry",
        on(
            "docker1",
            f"mac=$({NS} bridge fdb show dev vxlan0 | awk '/dst/{{print $1}}')",
            f"{NS} bridge fdb del $mac dev vxlan0 self",
        ),
        (),
        "forwarding",
        "fdb-missing",
        "docker1",
        ("no entry for qyt2",),
        fix=True,
    ),
    Fault(
        "container stopped",
        on("docker2", "docker kill qyt2"),
        on("docker2", "docker start qyt2"),
        "containers",
        "container-stopped",
        "docker2",
        ("qyt2", "stopped"),
        fix=True,
    ),
    Fault(
        "container paused",
        on("docker1", "docker pause qyt1"),
        on("docker1", "docker unpause qyt1"),
        "containers",
        "container-paused",
        "docker1",
        fix=True,
    ),
    Fault(
        "name not resolving",
        on(
            "docker1",
            "docker exec qyt1 sh -c 'cp /etc/resolv.conf /tmp/was; echo nameserver 192.0.2.53 > /etc/resolv.conf'",
        ),
        on("docker1", "docker exec qyt1 sh -c 'cat /tmp/was > /etc/resolv.conf'"),
        "reachability",
        "dns-server",
        "docker1",
        ("does not resolve",),
    ),
    Fault(
        "clock wrong",
        on(
            "docker2",
            f"printf {WRONG_DATE} > /usr/local/bin/date",
            "chmod +x /usr/local/bin/date",
        ),
        on("docker2", "rm /usr/local/bin/date"),
        "host",
        "clock",
        "docker2",
        ("-7200 s",),
    ),
    Fault(
        "disk full",
        on(
            "docker2",
            "mount -t tmpfs -o size=8m,mode=700 tmpfs /var/lib/containerd",
            "dd if=/dev/zero of=/var/lib/containerd/full bs=1M 2>/dev/null || true",
        ),
        on("docker2", "umount /var/lib/containerd"),
        "host",
        "disk",
        "docker2",
        ("full", "/var/lib/containerd"),
    ),
    Fault(
        "a rule inside a container",
        on("docker2", f"{inside('qyt2')} iptables -A INPUT -p icmp -j DROP"),
        on("docker2", f"{inside('qyt2')} iptables -D INPUT -p icmp -j DROP"),
        "containers",
        "container-rule",
        "docker2",
    ),
    Fault(
        "duplicate hostname",
        on("docker2", "hostname docker1"),
        on("docker2", "hostname docker2"),
        "host",
        "same-hostname",
        "docker2",
    ),
    Fault(
        "overlay's VXLAN down",
        on("docker1", f"{NS} ip link set vxlan0 down"),
        on("docker1", f"{NS} ip link set vxlan0 up"),
        "forwarding",
        "overlay-down",
        "docker1",
        fix=True,
    ),
    Fault(
        "subnet collision",
        on("docker1", "ip addr add 10.10.10.200/24 dev docker0"),
        on("docker1", "ip addr del 10.10.10.200/24 dev docker0"),
        "network",
        "subnet",
        "docker1",
    ),
    Fault(
        "no way to the other host",
        on("docker1", "ip route add blackhole 10.1.0.2"),
        on("docker1", "ip route del blackhole 10.1.0.2"),
        "underlay",
        "route",
        "docker1",
    ),
    Fault(
        "overlay's MTU too small",
        on("docker2", f"{NS} ip link set vxlan0 mtu 1300"),
        on("docker2", f"{NS} ip link set vxlan0 mtu 1450"),
        "forwarding",
        "overlay-mtu",
        "docker2",
        ("1300",),
        fix=True,
    ),
    Fault(
        "containerd stopped",
        on("docker1", "systemctl kill --kill-who=main --signal=KILL containerd", "systemctl stop containerd"),
        on("docker1", "systemctl start containerd"),
        "dockerd",
        "containerd",
        "docker1",
        fix=True,
    ),
    Fault(
        "wrong ARP entry in a container",
        on("docker1", f"{inside('qyt1')} ip neigh replace 10.10.10.3 lladdr 02:42:0a:0a:0a:99 dev eth0 nud permanent"),
        on("docker1", f"{inside('qyt1')} ip neigh del 10.10.10.3 dev eth0"),
        "containers",
        "container-neighbour",
        "docker1",
    ),
    Fault(
        "container's interface down",
        on("docker2", f"{inside('qyt2')} ip link set eth0 down"),
        on("docker2", "docker rm -f qyt2"),
        "containers",
        "container-link",
        "docker2",
        up=True,
    ),
    Fault(
        "container off its network",
        on("docker2", "docker network disconnect qyt_overlay qyt2"),
        (),
        "containers",
        "container-network",
        "docker2",
        ("not on qyt_overlay",),
        up=True,
    ),
    Fault(
        "TCP dropped in the overlay's bridge",
        on("docker1", f"{NS} ebtables -A FORWARD -p IPv4 --ip-proto tcp -j DROP"),
        on("docker1", f"{NS} ebtables -F FORWARD"),
        "reachability",
        "tcp-lost",
        "docker1",
    ),
    Fault(
        "large packets dropped on the host",
        on("docker2", "iptables -I INPUT -p udp --dport 4789 -m length --length 1400: -j DROP"),
        on("docker2", "iptables -D INPUT -p udp --dport 4789 -m length --length 1400: -j DROP"),
        "reachability",
        "large-lost",
        "docker2",
        ("docker2",),
    ),
    Fault(
        "dockerd stopped",
        on("docker2", "systemctl stop docker.socket docker"),
        on("docker2", "systemctl start docker.socket docker"),
        "dockerd",
        "stopped",
        "docker2",
        up=True,
        fix=True,
    ),
    Fault(
        "dockerd started before the store",
        (
            *on("docker1", KILL_ETCD),
            *on(
                "docker2",
                KILL_ETCD,
                # Otherwise Docker's start waits for etcd's.
                f"mv {DROP_IN} /run/drop-in; systemctl daemon-reload",
                "systemctl kill --signal=KILL docker; sleep 0.3; systemctl start docker",
                f"mv /run/drop-in {DROP_IN}; systemctl daemon-reload",
            ),
            *on("docker1", "systemctl start --no-block clusterctl-etcd"),
            *on("docker2", "systemctl start clusterctl-etcd"),
        ),
        on("docker2", "systemctl restart docker"),
        "dockerd",
        "blind-start",
        "docker2",
        ("started before the store",),
        up=True,
    ),
    Fault(
        "etcd's settings broken",
        on(
            "docker2",
            "cp -p /etc/clusterctl/etcd.yml /run/etcd.yml",
            "echo '{' > /etc/clusterctl/etcd.yml",
            "systemctl restart clusterctl-etcd || true",
        ),
        on(
            "docker2",
            "cp -p /run/etcd.yml /etc/clusterctl/etcd.yml",
            "systemctl reset-failed clusterctl-etcd",
            "systemctl restart clusterctl-etcd",
        ),
        "etcd",
        "quorum-lost",
        "docker2",
        ("does not start", "YAML"),
    ),
    Fault(
        "daemon.json broken",
        on(
            "docker1",
            "cp -p /etc/docker/daemon.json /run/daemon.json",
            "echo '{' > /etc/docker/daemon.json",
            "systemctl restart docker || true",
        ),
        on(
            "docker1",
            "cp -p /run/daemon.json /etc/docker/daemon.json",
            "systemctl reset-failed docker docker.socket",
            "systemctl restart docker.socket docker",
        ),
        "dockerd",
        "stopped",
        "docker1",
        ("does not start", "daemon.json"),
        up=True,
    ),
    Fault(
        "overlay's VXLAN deleted",
        on("docker1", f"{NS} ip link del vxlan0"),
        on("docker1", "docker rm -f qyt1"),
        "forwarding",
        "overlay-missing",
        "docker1",
        ("no VXLAN device",),
        up=True,
    ),
    Fault(
        "one machine-id on both",
        (
            *on("docker1", "cat /etc/machine-id > /run/id", f"echo {'7' * 32} > /etc/machine-id"),
            *on("docker2", "cat /etc/machine-id > /run/id", f"echo {'7' * 32} > /etc/machine-id"),
        ),
        (
            *on("docker1", "cat /run/id > /etc/machine-id"),
            *on("docker2", "cat /run/id > /etc/machine-id"),
        ),
        "host",
        "same-machine-id",
        "docker2",
        ("cloned",),
    ),
    Fault(
        "the overlay's VNI taken",
        on(
            "docker2",
            "docker rm -f qyt2",
            "until ip link add taken type vxlan id 256 dstport 4789 local 10.1.0.2 dev eth0; do sleep 0.2; done",
        ),
        on("docker2", "ip link del taken"),
        "network",
        "vni-taken",
        "docker2",
        ("256",),
        up=True,
    ),
    Fault(
        "etcd's quota used up",
        on(
            "docker1",
            "cp -p /etc/clusterctl/etcd.yml /run/etcd.yml",
            "echo 'quota-backend-bytes: 16384' >> /etc/clusterctl/etcd.yml",
            "systemctl restart clusterctl-etcd",
            f"! {CTL} put full full",
        ),
        on(
            "docker1",
            "cp -p /run/etcd.yml /etc/clusterctl/etcd.yml",
            "systemctl restart clusterctl-etcd",
            f"{CTL} alarm disarm",
        ),
        "etcd",
        "alarm-nospace",
        "docker1",
        ("NOSPACE",),
    ),
    Fault(
        "two daemons of one name in the gossip",
        on("docker2", "hostname docker1", "systemctl restart docker", "hostname docker2"),
        on("docker2", "systemctl restart docker"),
        "dockerd",
        "gossip-conflict",
        "docker",
        up=True,
    ),
)
