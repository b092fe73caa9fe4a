#!/bin/bash
# Runs the tests on real VMs: `run.sh PYTEST…`, from `make test-vagrant`. Where that cannot be, it says why and
# that is a skip; with CI set it is a failure.
#
#   CLUSTERCTL_TEST_CACHE=/var/cache/clusterctl/vagrant    where the box is kept between runs
#   CLUSTERCTL_TEST_BARE=1    a box without Docker and etcd: clusterctl installs them in the VMs, which takes minutes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

cannot() {
  echo "SKIPPED: tests on Vagrant's VMs: $*" >&2
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

[ "$(uname -s)" = Linux ] || cannot "they need Linux"
[ "$(id -u)" = 0 ] || cannot "they need root, for namespaces and the box: sudo make test-vagrant"
missing=
for program in vagrant:vagrant virsh:libvirt-clients libvirtd:libvirt-daemon qemu-system-x86_64:qemu-system-x86 \
  qemu-img:qemu-utils dnsmasq:dnsmasq-base mmdebstrap:mmdebstrap mkfs.ext4:e2fsprogs slirp4netns:slirp4netns \
  unshare:util-linux; do
  command -v "${program%%:*}" >/dev/null || missing="$missing ${program##*:}"
done
[ -z "$missing" ] || cannot "missing:$missing (apt-get install --no-install-recommends$missing)"
vagrant plugin list 2>/dev/null | grep -q vagrant-libvirt || dpkg -s vagrant-libvirt >/dev/null 2>&1 ||
  cannot "missing: vagrant-libvirt"
unshare --net --mount --pid --fork true 2>/dev/null || cannot "this machine lets nobody make namespaces"

cache=${CLUSTERCTL_TEST_CACHE:-/var/cache/clusterctl/vagrant}
brings="apparmor docker.io etcd-server iptables busybox-static tcpdump"
[ -z "${CLUSTERCTL_TEST_BARE:-}" ] || brings=
box=$cache/$({ cat "$here/build-box.sh"; echo "$brings"; } | sha256sum | cut -c1-12)
mkdir -p "$cache"
(
  flock 9
  if [ ! -e "$box/debian.box" ]; then
    echo "building a box from Debian's packages in $box" >&2
    rm -rf "$box.part"
    # shellcheck disable=SC2086  # a list of words
    "$here/build-box.sh" "$box.part" $brings
    mv -T "$box.part" "$box"
  fi
) 9>"$cache/lock"

work=$(mktemp -d /var/tmp/clusterctl-vagrant.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
export CLUSTERCTL_TEST_BOX=$box CLUSTERCTL_VM_BOX=clusterctl/debian
export VAGRANT_HOME=$work/home VAGRANT_DEFAULT_PROVIDER=libvirt VAGRANT_CHECKPOINT_DISABLE=1
"$here/sandbox.sh" "$work" "$@"
