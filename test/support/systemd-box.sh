#!/usr/bin/env bash
# Boots this machine's own systemd as PID 1 of a throw-away container, to test units for real.
#
#   systemd-box.sh NAME [OPTION OF systemd-nspawn]...      such as --bind-ro=SOURCE:TARGET, --private-network
#
# Everything is a tmpfs; below it, /usr is the host's: packages can be installed, and nothing of it stays. Prints `up PID`
# (of the container's systemd, for nsenter) once it has booted. A line `reboot` on its standard input restarts it with
# all files kept, `crash` does so without a word to anyone; `up PID` tells the new one. When its standard input ends, it
# kills everything in the container and leaves nothing: a test run that is killed leaves no container behind.
# Needs root and Debian's systemd, systemd-container and dbus.
set -euo pipefail
name=$1
shift

# All mounts below are made in a mount namespace of our own and go with it.
if [[ ${SYSTEMD_BOX_NAMESPACE:-} != "$name" ]]; then
  export SYSTEMD_BOX_NAMESPACE=$name
  exec unshare --mount --propagation private "$0" "$name" "$@"
fi

root=$(mktemp -d)
cgroup=/sys/fs/cgroup/$name
umount -R -l /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$cgroup"

leave() {
  echo 1 >"$cgroup/cgroup.kill"
  for _ in {1..200}; do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
    [[ -d $cgroup ]] || break
    sleep 0.05
  done
  umount -R -l "$root" && rmdir "$root"
  rm -rf --one-file-system "/run/systemd/nspawn/propagate/$name"
}
trap 'leave 2>/dev/null || true' EXIT

mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir -p "$root"/{usr,etc/systemd/system,var/log/journal,run,proc,sys,dev,root,home,srv,opt}
mkdir -m 1777 "$root/tmp"
for dir in bin sbin lib lib32 lib64 libx32; do
  if [[ -L /$dir ]]; then ln -s "usr/$dir" "$root/$dir"; fi
done
mkdir "$root"/.usr-{changes,work}
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$root/.usr-changes,workdir=$root/.usr-work" "$root/usr"
for file in nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives ssl ca-certificates.conf pam.d security login.defs; do
  if [[ -e /etc/$file ]]; then cp -a "/etc/$file" "$root/etc/"; fi
done
ln -s ../usr/lib/os-release "$root/etc/os-release"
printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s\n' "$name" >"$root/etc/hosts"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/box.target" <<'UNIT'
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
AllowIsolate=yes
UNIT

boot() {
  (
    echo "$BASHPID" >"$cgroup/cgroup.procs"
    exec setpriv --pdeathsig KILL systemd-nspawn --quiet --boot --directory="$root" --machine="$name" --register=no \
      --keep-unit --system-call-filter=bpf --link-journal=no --resolv-conf=off --timezone=off --console=pipe "$@" \
      systemd.unit=box.target
  ) </dev/null >"$root/.console" 2>&1 &
  nspawn=$!
  leader=
  for _ in {1..400}; do
    kill -0 $nspawn 2>/dev/null || break
    for child in $(cat /proc/$nspawn/task/$nspawn/children); do
      if [[ $(awk '/^NSpid/{print $NF}' "/proc/$child/status") == 1 && $(<"/proc/$child/comm") == systemd ]]; then
        leader=$child
        break 2
      fi
    done
    sleep 0.05
  done 2>/dev/null
  if [[ ! $leader ]]; then
    cat "$root/.console" >&2
    exit 1
  fi
  for _ in {1..400}; do
    if inside test -S /run/systemd/private 2>/dev/null; then break; fi
    sleep 0.05
  done
  inside timeout 60 systemctl is-system-running --wait >/dev/null || true # `degraded` will do
  echo "up $leader"
}
inside() { nsenter -t "$leader" -m -u -i -n -p -C "$@"; }
end_of_nspawn() {
  for _ in {1..1200}; do
    kill -0 $nspawn 2>/dev/null || return 0
    sleep 0.05
  done
}

boot "$@"
while read -r command; do
  case $command in
    reboot) inside systemctl poweroff ;;
    crash) kill -KILL "$leader" ;;
  esac
  end_of_nspawn
  boot "$@"
done
