"""What a host stands on: features of its kernel and firewall rules. One script that only reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clusterctl.commands.kernel import HAS, Feature
from clusterctl.plan.command import Command, script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Ground:
    """What was read. rules: as `iptables-save` prints them, a table each. nft: nftables' own chains, not iptables'.

    source: what listed the rules, "" where nothing could; why: then, why not.
    """

    features: Mapping[str, Feature] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    nft: tuple[str, ...] = ()
    source: str = ""
    why: str = ""


_SCRIPT = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
@HAS@
for f in vxlan:VXLAN bridge:BRIDGE veth:VETH overlay:OVERLAY_FS br_netfilter:BRIDGE_NETFILTER; do
  echo "feature ${f%:*} $(has "${f%:*}" "${f#*:}")"
done
listed=
if command -v iptables-save >/dev/null; then
  if said=$(iptables-save 2>&1); then listed="$listed iptables-save"; printf '%s\n' "$said" | sed 's/^/rule /'
  else echo "why iptables-save: $(printf %s "$said" | head -n 1)"; fi
fi
if command -v nft >/dev/null; then
  if said=$(nft list ruleset 2>&1); then listed="$listed nft"; printf '%s\n' "$said" | sed 's/^/nft /'
  else echo "why nft: $(printf %s "$said" | head -n 1)"; fi
fi
if [ -z "$listed" ] && ! grep -qs . /proc/net/ip_tables_names; then
  tables=unknown
  if [ -d "$k" ] && ! grep -q '^nf_tables ' /proc/modules && ! grep -qs '/nf_tables\.ko' "$k/modules.builtin"
  then tables=0
  elif command -v perl >/dev/null; then tables=$(perl -e "$1" 2>/dev/null)
  elif command -v python3 >/dev/null; then tables=$(python3 -c "$2" 2>/dev/null); fi
  [ "$tables" = 0 ] && listed=" the kernel, which has no rules"
fi
echo "source$listed"
echo end
""".replace("@HAS@", HAS)


# Where no program lists rules, the kernel is asked how many tables nftables has: NFT_MSG_GETTABLE, to the end.
_TABLES_PERL = r"""
use Socket; alarm 2; socket(my $s, 16, SOCK_RAW, 12) or die;
send($s, pack("LSSLLCCS", 20, 0xa01, 0x301, 1, 0, 0, 0, 0), 0) or die;
my $n = 0;
while (defined recv($s, my $d, 65536, 0)) {
  while (length $d >= 16) {
    my ($l, $t) = unpack "LS", $d; if ($t == 3) { print $n; exit } die if $t < 16 || $l < 16;
    $n++; substr($d, 0, ($l + 3) & ~3) = "";
  }
}
"""
_TABLES_PYTHON = """
import signal, socket, struct
signal.alarm(2); s = socket.socket(16, socket.SOCK_RAW, 12); n = 0
s.send(struct.pack("=IHHIIBBH", 20, 0xA01, 0x301, 1, 0, 0, 0, 0))
while True:
    d = s.recv(65536)
    while len(d) >= 16:
        l, t = struct.unpack("=IH", d[:6])
        if t == 3: print(n); raise SystemExit
        if t < 16 or l < 16: raise SystemExit(1)
        n += 1; d = d[(l + 3) & ~3:]
"""


def read_ground() -> Command:
    """Read the kernel's features and the firewall's rules."""
    return script(_SCRIPT, _TABLES_PERL, _TABLES_PYTHON, within=8)


def parse(text: str) -> Ground:
    """Turn what the script printed into a value. Raises ValueError when it is cut short."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not lines or lines[-1] != "end":
        raise ValueError("the host did not answer in full")

    def tagged(tag: str) -> list[str]:
        return [line.removeprefix(f"{tag} ") for line in lines if line.startswith(f"{tag} ")]

    features = {}
    for line in tagged("feature"):
        name, _, how = line.partition(" ")
        features[name] = Feature(how) if how in list(Feature) else Feature.UNTOLD
    source = next(iter(tagged("source")), "")
    return Ground(features, tuple(tagged("rule")), tuple(own_tables(tagged("nft"))), source, "; ".join(tagged("why")))


def own_tables(lines: Sequence[str]) -> list[str]:
    """Return the lines of tables that iptables does not manage: those it lists itself."""
    kept: list[str] = []
    table: list[str] = []
    for line in lines:
        table.append(line)
        if line == "}":
            words = next((one.split() for one in table if one.startswith("table ")), [])
            managed = any("managed by iptables" in one or "xt match" in one for one in table)
            if not managed and words[1:2] in (["inet"], ["ip"], ["bridge"], ["netdev"]):
                kept += table
            table = []
    return kept
