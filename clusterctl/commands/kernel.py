"""Whether a host's kernel has a feature, without loading it where that can be avoided."""

from __future__ import annotations

from enum import StrEnum


class Feature(StrEnum):
    """How a kernel has a feature. UNTOLD: nothing that can be read tells."""

    LOADED = "loaded"
    BUILTIN = "built in"
    WORKS = "works"
    LOADABLE = "loadable"
    ABSENT = "absent"
    UNTOLD = "cannot be told"

    @property
    def there(self) -> bool:
        """Whether the kernel has it, or can load it."""
        return self in (Feature.LOADED, Feature.BUILTIN, Feature.WORKS, Feature.LOADABLE)


# `has MODULE CONFIG` prints a Feature. One without a file of its own (a container's view of a kernel without modules)
# is tried in a network namespace that ends with the command; where there are no modules, that loads none.
HAS = r"""
k=/lib/modules/$(uname -r)
config=$(zcat /proc/config.gz 2>/dev/null || cat "/boot/config-$(uname -r)" 2>/dev/null)
has() {
  u=$(echo "$1" | tr - _)
  case $1 in
    overlay) grep -qw overlay /proc/filesystems && { echo works; return; };;
    br_netfilter) [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && { echo works; return; };;
  esac
  grep -qw "^$u" /proc/modules 2>/dev/null && { echo loaded; return; }
  grep -qs "/$1\.ko" "$k/modules.builtin" && { echo built in; return; }
  printf '%s\n' "$config" | grep -qx "CONFIG_$2=y" && { echo built in; return; }
  modinfo "$1" >/dev/null 2>&1 && { echo loadable; return; }
  grep -qs "/$1\.ko" "$k/modules.dep" && { echo loadable; return; }
  [ -d "/sys/module/$u" ] && { echo built in; return; }
  if [ ! -d "$k" ] && command -v unshare >/dev/null && unshare -n true 2>/dev/null; then
    below=
    case $1 in
      vxlan) try="ip link add t0 type vxlan id 7 dstport 4789 local 127.0.0.1";;
      veth) try="ip link add t0 type veth";;
      bridge) try="ip link add t0 type bridge";;
      macvlan|ipvlan) below=1 try="ip link add link t1 name t0 type $1";;
      8021q) below=1 try="ip link add link t1 name t0 type vlan id 7";;
      *) echo cannot be told; return;;
    esac
    below=${below:+ip link add t1 type veth peer name t2;}
    said=$(unshare -n sh -c "$below $try" 2>&1) && { echo works; return; }
    case $said in *"not supported"*|*"nknown device type"*) echo absent; return;; esac
  fi
  [ -e "$k/modules.dep" ] && echo absent || echo cannot be told
}
"""

CONFIGS = {"macvlan": "MACVLAN", "ipvlan": "IPVLAN", "8021q": "VLAN_8021Q"}
"""The kinds of devices that not every kernel has, by their modules, and the kernel's options for them."""
