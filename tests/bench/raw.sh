#!/bin/bash
# The same job as `clusterctl up` on booted hosts, by hand: raw ssh, both hosts at once, one connection each.
# usage: raw.sh SSH_CONFIG IP1 IP2
set -euo pipefail
config=$1 ip1=$2 ip2=$3
d=$(mktemp -d); trap 'for h in docker1 docker2; do ssh -F "$d/config" -O exit $h 2>/dev/null; done; rm -rf "$d"' EXIT
{ printf 'Host *\n  ControlMaster auto\n  ControlPath %s/%%n\n  ControlPersist 60\n' "$d"; cat "$config"; } > "$d/config"
on() { ssh -F "$d/config" "$@"; }
both() { "$1" docker1 "$ip1" & a=$!; "$1" docker2 "$ip2" & b=$!; wait $a; wait $b; }

cd "$d"
pair() { # name, subjectAltName
  openssl ecparam -genkey -name prime256v1 -noout -out "$1.key" 2>/dev/null
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf 'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$2" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}
openssl ecparam -genkey -name prime256v1 -noout -out ca.key
openssl req -x509 -new -key ca.key -subj /CN=raw -days 365 -out ca.crt
for h in docker1:$ip1 docker2:$ip2; do
  pair "${h%%:*}-etcd" "IP:${h##*:},IP:127.0.0.1"; pair "${h%%:*}-docker" DNS:client
done

etcd() {
  local h=$1 ip=$2
  tar -c ca.crt "$h-etcd.crt" "$h-etcd.key" "$h-docker.crt" "$h-docker.key" | on "$h" "
    set -e; umask 022; mkdir -p /etc/clusterctl/pki; cd /etc/clusterctl/pki; tar -x
    mv $h-etcd.crt etcd.crt; mv $h-etcd.key etcd.key; mv $h-docker.crt docker.crt; mv $h-docker.key docker.key
    chown root:root *; chown etcd:etcd etcd.key; chmod 600 *.key
    hostnamectl set-hostname $h; printf '%s docker1\n%s docker2\n' $ip1 $ip2 >> /etc/hosts
    cat > /etc/clusterctl/etcd.yml <<X
name: $h
data-dir: /var/lib/clusterctl-etcd/member
listen-client-urls: https://$ip:2379,https://127.0.0.1:2379
advertise-client-urls: https://$ip:2379
listen-peer-urls: https://$ip:2380
initial-advertise-peer-urls: https://$ip:2380
initial-cluster: docker1=https://$ip1:2380,docker2=https://$ip2:2380
initial-cluster-state: new
enable-v2: true
client-transport-security: {cert-file: /etc/clusterctl/pki/etcd.crt, key-file: /etc/clusterctl/pki/etcd.key, client-cert-auth: true, trusted-ca-file: /etc/clusterctl/pki/ca.crt}
peer-transport-security: {cert-file: /etc/clusterctl/pki/etcd.crt, key-file: /etc/clusterctl/pki/etcd.key, client-cert-auth: true, trusted-ca-file: /etc/clusterctl/pki/ca.crt}
X
    cat > /etc/systemd/system/clusterctl-etcd.service <<X
[Service]
Type=notify
User=etcd
StateDirectory=clusterctl-etcd
ExecStart=/usr/bin/etcd --config-file=/etc/clusterctl/etcd.yml
[Install]
WantedBy=multi-user.target
X
    systemctl enable -q --now clusterctl-etcd"
}
docker_on_store() {
  local h=$1 ip=$2
  on "$h" "
    set -e; mkdir -p /etc/docker; cat > /etc/docker/daemon.json <<X
{\"cluster-store\": \"etcd://$ip1:2379,$ip2:2379\", \"cluster-advertise\": \"$ip:2375\",
 \"cluster-store-opts\": {\"kv.cacertfile\": \"/etc/clusterctl/pki/ca.crt\", \"kv.certfile\": \"/etc/clusterctl/pki/docker.crt\", \"kv.keyfile\": \"/etc/clusterctl/pki/docker.key\"}}
X
    systemctl stop docker; systemctl start docker
    d=\$(mktemp -d); mkdir -p \$d/bin; cp /bin/busybox \$d/bin; for a in \$(busybox --list); do [ \$a = busybox ] || ln -s busybox \$d/bin/\$a; done
    tar -C \$d -c . | docker import -c 'CMD [\"/bin/sleep\", \"100000\"]' - probe:1 >/dev/null; rm -rf \$d
    for i in \$(seq 100); do docker info 2>/dev/null | grep -q 'Cluster Store' && break; sleep 0.05; done"
}
network() {
  if [ "$1" = docker1 ]; then on "$1" "docker network create -d overlay --subnet 10.10.10.0/24 qyt_overlay >/dev/null"
  else on "$1" "for i in \$(seq 200); do docker network inspect qyt_overlay >/dev/null 2>&1 && exit; sleep 0.05; done; exit 1"; fi
}
container() { on "$1" "docker run -d --name qyt${1#docker} --network qyt_overlay probe:1 >/dev/null"; }
ping_it() {
  local mine=qyt${1#docker} other=qyt1; [ "$mine" = qyt1 ] && other=qyt2
  on "$1" "for i in 1 2 3 4 5; do docker exec $mine ping -c 1 -W 1 $other >/dev/null && exit; done; exit 1"
}
both etcd; both docker_on_store; both network; both container; both ping_it
