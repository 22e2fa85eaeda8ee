#!/usr/bin/env bash
# Runs a Ceph cluster of one monitor, one OSD and one S3 gateway for whoever holds this script's stdin, and takes it down
# when that is closed, be it by a kill -9:   cluster.sh DIRECTORY GATEWAY_URL
# The directory holds a ceph.conf. Reads commands from stdin, a line each (restart-gateway); says `ready` on stdout after
# the start and after each command. Everything in it is removed at the end.
set -euo pipefail
directory=$1
gateway_url=$2
conf=$directory/ceph.conf
fsid=$(sed -n 's/^fsid = //p' "$conf")
mon_host=$(sed -n 's/^mon_host = //p' "$conf")

pids=()
gateway_pid=
stop() {
  trap - EXIT TERM INT HUP
  kill -9 "${pids[@]}" $gateway_pid 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$directory"
}
trap stop EXIT
trap 'exit 1' TERM INT HUP

# The servers die with this script even if it is killed itself; none of them may hold its stdin or stdout open.
server() {
  setpriv --pdeathsig KILL "$@" --conf "$conf" --foreground </dev/null >>"$directory/log/servers.out" 2>&1 &
}
ceph() { command ceph --conf "$conf" --connect-timeout 30 "$@" 2>>"$directory/log/commands.out"; }

# Polls until the command succeeds; fails after about a minute, or at once when the server of that pid has ended.
await() {
  local pid=$1
  shift
  for _ in $(seq 600); do
    if "$@"; then return; fi
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "cluster.sh: gave up on: $*" >&2
  tail -n 20 "$directory/log/servers.out" >&2
  exit 1
}

osd_is_up() { [[ $(ceph osd stat) == *"1 up"* ]]; }
gateway_answers() { curl --fail --silent --insecure --max-time 5 --output /dev/null "$gateway_url"; }

start_gateway() {
  rm -f "$directory"/run/client.rgw.asok
  server radosgw -n client.rgw
  gateway_pid=$!
  await "$gateway_pid" gateway_answers
}

mkdir -p "$directory"/{mon,osd,rgw,run,log}
monmaptool --create --clobber --fsid "$fsid" --addv a "$mon_host" "$directory/monmap" >/dev/null
ceph-mon --conf "$conf" --mkfs -i a --monmap "$directory/monmap" 2>>"$directory/log/commands.out"
server ceph-mon -i a
pids+=($!)
osd_uuid=$(cat /proc/sys/kernel/random/uuid)
osd_id=$(ceph osd new "$osd_uuid")
ceph-osd --conf "$conf" -i "$osd_id" --mkfs --osd-uuid "$osd_uuid" 2>>"$directory/log/commands.out"
server ceph-osd -i "$osd_id"
pids+=($!)
await $! osd_is_up
start_gateway
echo ready

while read -r command; do
  case $command in
  restart-gateway)
    kill -9 "$gateway_pid"
    wait "$gateway_pid" 2>/dev/null || true
    start_gateway
    echo ready
    ;;
  esac
done
