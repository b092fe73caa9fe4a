#!/bin/bash
# Runs a command where libvirt may do as it likes: its networks, firewall rules, daemons, sockets and settings
# are in namespaces that end with the command. The guests reach the internet through slirp4netns, as a process of
# this machine would: nothing is forwarded, masqueraded or left behind.
#
#   sandbox.sh FOLDER COMMAND…      FOLDER keeps the disks while the command runs; root is needed
set -euo pipefail

if [ "${1:-}" != --inside ]; then
  ready=$(mktemp -u "$1/ready.XXXXXX")
  mkfifo "$ready"
  exec 3<>"$ready"
  rm -f "$ready"
  unshare --net --mount --pid --fork --kill-child --mount-proc "$0" --inside "$@" &
  inside=$!
  trap 'kill -TERM "$inside" 2>/dev/null || :; wait "$inside" || :' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if command -v slirp4netns >/dev/null; then
    # unshare itself is in the new network namespace once the network of its own is no longer ours.
    while [ "$(readlink "/proc/$inside/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
    slirp4netns --configure --mtu=1500 --disable-host-loopback "$inside" tap0 >"$1/slirp.log" 2>&1 &
    slirp=$!
    trap 'kill -TERM "$inside" 2>/dev/null || :; kill "$slirp" 2>/dev/null || :; wait "$inside" || :' EXIT
  fi
  echo go >&3
  code=0
  wait "$inside" || code=$?
  exit "$code"
fi

folder=$2
shift 2
read -r _ <&3
exec 3>&-
mount --make-rprivate /
ip link set lo up
for private in /run /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p "$private"
  mount -t tmpfs -o mode=755 tmpfs "$private"
done
rm -rf "$folder/etc"
mkdir -p /run/lock /run/libvirt "$folder/etc" "$folder/pool"
cp -a /etc/libvirt/. "$folder/etc/"
mount --bind "$folder/etc" /etc/libvirt
rm -rf /etc/libvirt/qemu/networks/autostart /etc/libvirt/storage/autostart
# As root, so that what QEMU can do is probed once; without control groups, which belong to the machine.
printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'cgroup_controllers = []' \
  'namespaces = []' 'remember_owner = 0' >> /etc/libvirt/qemu.conf
virtlogd --daemon
libvirtd --daemon
for _ in $(seq 100); do virsh -q -c qemu:///system uri >/dev/null 2>&1 && break; sleep 0.1; done
virsh -q -c qemu:///system pool-define-as clusterctl-test dir --target "$folder/pool" >/dev/null
virsh -q -c qemu:///system pool-start clusterctl-test >/dev/null
export CLUSTERCTL_SANDBOX=$folder CLUSTERCTL_TEST_POOL=$folder/pool
code=0
"$@" || code=$?
exit "$code"
