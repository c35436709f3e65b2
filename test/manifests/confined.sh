#!/bin/sh
# A node's three containers in one mount and network namespace, confined as the DaemonSet says:
# its capabilities, a read-only root, a read-only /proc/sys with the host's mounted beside it.
# Arguments: folder for results, then the capability lists of vpp, gobgpd and router (+a,+b).
# Environment: VPP_BIN, VPP_LIBRARIES, GOBGPD_BIN, STARTUP_CONF, NODE_BIN, SOURCES.
set -eu
results=$1 vpp_caps=$2 gobgpd_caps=$3 router_caps=$4

ip link set lo up
ip link add up0 type veth peer name peer0
ip link set up0 up
ip link set peer0 up
ip addr add 192.0.2.11/24 dev up0
ip route add default via 192.0.2.1 dev up0

# A root of our own above the machine's: what is made here is gone with the namespace.
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mkdir -p host/proc/sys/net results
for folder in dev proc sys; do mount --rbind /$folder $folder; done
mount --bind "$results" results
mount --bind /proc/sys/net host/proc/sys/net
for folder in run tmp dev/shm; do mount -t tmpfs tmpfs $folder; done
# The sources may lie in one of these.
mkdir -p ".$SOURCES"
mount --rbind "$SOURCES" ".$SOURCES"
mkdir -p run/vpp run/kube-vpp-router run/state
cp "$STARTUP_CONF" run/startup.conf
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -o remount,bind,ro .

# Runs a program in that root, in the folder of the sources, with these capabilities only.
confined() {
  caps=$1
  shift
  exec chroot /mnt/root sh -c 'cd "$0" && exec "$@"' "$SOURCES" \
    setpriv --bounding-set "-all,$caps" --inh-caps -all "$@"
}
kvr() {
  chroot /mnt/root sh -c 'cd "$0" && exec "$@"' "$SOURCES" \
    "$NODE_BIN" --import tsx src/cli/main.ts "$@" -o json
}
(LD_LIBRARY_PATH=$VPP_LIBRARIES confined "$vpp_caps" --no-new-privs "$VPP_BIN" \
  -c /run/startup.conf) >"$results/vpp.log" 2>&1 &
vpp=$!
(confined "$gobgpd_caps" --no-new-privs "$GOBGPD_BIN" --pprof-disable \
  --api-hosts=unix:///run/kube-vpp-router/gobgp.sock) >"$results/gobgpd.log" 2>&1 &
gobgpd=$!
(confined "$router_caps" "$NODE_BIN" --import tsx src/daemon/main.ts \
  --config /results/config.yaml) >"$results/router.log" 2>&1 &
router=$!
trap 'kill $router $gobgpd $vpp 2>/dev/null; wait' EXIT

# Until VPP and GoBGP are connected and every row is in force; the API server is never there.
for _ in $(seq 1 50); do
  kvr status >"$results/status.json" 2>"$results/kvr.log" || true
  if [ "$(grep -c '"reason": "connected"' "$results/status.json")" -ge 2 ] &&
    grep -q 'all in force' "$results/status.json"; then break; fi
  sleep 0.2
done
kvr show tables >"$results/tables.json"
