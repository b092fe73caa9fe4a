"""Sharing this machine's internet with a subnet: forwarding and masquerading."""

from __future__ import annotations

from clusterctl.plan.command import Command, script

FORWARD = "/proc/sys/net/ipv4/ip_forward"

# "$1" the subnet, "$2" the comment that marks our rules, "$3" where the old value of ip_forward is
# recorded, "$4" non-empty where forwarded packets are dropped by default.
_SHARE = """\
set -eu; umask 077
if [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]; then
  mkdir -p "$(dirname "$3")"; [ -e "$3" ] || echo 0 > "$3"
  echo 1 > /proc/sys/net/ipv4/ip_forward
fi
rule() {
  table=$1 how=$2 chain=$3; shift 3
  iptables -w 5 -t "$table" -C "$chain" "$@" 2>/dev/null || iptables -w 5 -t "$table" "$how" "$chain" "$@"
}
rule nat -A POSTROUTING -s "$1" ! -d "$1" -m comment --comment "$2" -j MASQUERADE
if [ -n "$4" ]; then
  rule filter -I FORWARD -s "$1" -m comment --comment "$2" -j ACCEPT
  rule filter -I FORWARD -d "$1" -m conntrack --ctstate RELATED,ESTABLISHED \\
    -m comment --comment "$2" -j ACCEPT
fi"""

# "$1" the comment. xargs reads the rule with the quotes that iptables printed.
_UNSHARE = """\
set -eu
for table in nat filter; do
  iptables-save -t "$table" 2>/dev/null | grep -E -- "--comment \\"?$1\\"?( |\\$)" | sed 's/^-A/-D/' |
    while read -r rule; do printf '%s\\n' "$rule" | xargs iptables -w 5 -t "$table"; done
done"""


def share(subnet: str, comment: str, record: str, *, forward_drops: bool) -> Command:
    """Forward and masquerade what comes from `subnet`; the first old value of ip_forward is recorded."""
    return script(_SHARE, subnet, comment, record, "drops" if forward_drops else "")


def unshare(comment: str) -> Command:
    """Remove every rule that carries the comment."""
    return script(_UNSHARE, comment)
