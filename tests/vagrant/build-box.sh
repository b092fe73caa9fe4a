#!/bin/bash
# Debian 12 as a Vagrant box for libvirt, from Debian's packages alone: no box is downloaded.
#
#   build-box.sh FOLDER [PACKAGE…]    leaves there: debian.box, vmlinuz, initrd.img (the kernel is booted directly)
#
# Packages are installed as they would be on a host that has them, but Docker and etcd do not start by themselves.
set -euo pipefail
out=$1
shift
work=$(mktemp -d "${TMPDIR:-/var/tmp}/clusterctl-box.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
mkdir -p "$out" "$root"
key=$(find / -xdev -path "*/vagrant-*/keys/vagrant.pub" -print -quit 2>/dev/null || :)
[ -n "$key" ] || { echo "vagrant's public key was not found: apt-get install vagrant" >&2; exit 1; }

arch=$(dpkg --print-architecture)
packages=systemd-sysv,dbus,udev,openssh-server,sudo,iproute2,iputils-ping,ifupdown,isc-dhcp-client,procps,kmod
packages=$packages,ca-certificates,e2fsprogs,initramfs-tools,linux-image-cloud-$arch
for package; do packages=$packages,$package; done
mmdebstrap --quiet --variant=apt --format=directory --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
  --essential-hook='echo MODULES=list > "$1/etc/initramfs-tools/conf.d/few"' \
  --essential-hook='printf "%s\n" virtio_pci virtio_blk ext4 > "$1/usr/share/initramfs-tools/modules.d/few"' \
  bookworm "$root"

# What makes it a box: the user vagrant with Vagrant's well-known key, sudo without a password.
chroot "$root" useradd -m -s /bin/bash -U vagrant
install -d -m 700 "$root/home/vagrant/.ssh"
install -m 600 "$key" "$root/home/vagrant/.ssh/authorized_keys"
chroot "$root" chown -R vagrant:vagrant /home/vagrant/.ssh
install -m 440 /dev/stdin "$root/etc/sudoers.d/vagrant" <<<'vagrant ALL=(ALL) NOPASSWD: ALL'
echo 'UseDNS no' > "$root/etc/ssh/sshd_config.d/vagrant.conf"
echo 'Acquire::Languages "none";' > "$root/etc/apt/apt.conf.d/few"

# Each host makes its own host key when it first boots.
rm -f "$root"/etc/ssh/ssh_host_*
cat > "$root/etc/systemd/system/ssh-host-key.service" <<'UNIT'
[Unit]
Description=Make this host's SSH key
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key.pub
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
[Install]
RequiredBy=ssh.service
UNIT
chroot "$root" systemctl --quiet enable ssh-host-key.service
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service \
  e2scrub_all.timer fstrim.timer dpkg-db-backup.timer systemd-pstore.service man-db.timer

for unit in docker.service docker.socket containerd.service etcd.service; do
  chroot "$root" systemctl --quiet disable "$unit" 2>/dev/null || :
done

# The first card by DHCP; Vagrant sets the second one up by itself.
printf '%s\n' 'auto lo' 'iface lo inet loopback' 'auto eth0' 'iface eth0 inet dhcp' > "$root/etc/network/interfaces"
: > "$root/etc/machine-id"
echo debian > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' > "$root/etc/hosts"
echo '/dev/vda / ext4 defaults,noatime 0 1' > "$root/etc/fstab"

install -m 644 "$root"/boot/vmlinuz-* "$work/vmlinuz"
install -m 644 "$root"/boot/initrd.img-* "$work/initrd.img"
rm -rf "$root"/boot/* "$root"/var/cache/apt/archives/*.deb

truncate -s 8G "$work/disk.raw"
mkfs.ext4 -q -F -L root -d "$root" "$work/disk.raw"
qemu-img convert -O qcow2 "$work/disk.raw" "$work/box.img"
echo '{"provider":"libvirt","format":"qcow2","virtual_size":8}' > "$work/metadata.json"
echo 'Vagrant.configure("2") { |config| }' > "$work/Vagrantfile"
tar -C "$work" -cf - metadata.json Vagrantfile box.img | gzip -1 > "$work/debian.box"
mv "$work/vmlinuz" "$work/initrd.img" "$out/"
mv "$work/debian.box" "$out/"
