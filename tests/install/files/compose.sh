# shellcheck shell=bash
# Starts docs/examples/compose as its users do, with podman, in namespaces of its own: `bash compose.sh FOLDER PYTHON`.
#
# PYTHON has podman-compose. FOLDER has `stunner.tar`, an image, and `compose`, a copy of the example. What is seen is printed, a line each.
# Nothing is left behind: processes and mounts go with the namespaces, all else is in FOLDER.
set -euo pipefail
folder=$1 python=$2

ip link set lo up
mount -t tmpfs -o mode=755 compose /run
# crun wants control groups of one version only, even where it is told to use none.
umount /sys/fs/cgroup/unified 2>/dev/null || true
cat >"$folder/storage.conf" <<CONF
[storage]
driver = "vfs"
graphroot = "$folder/storage"
runroot = "$folder/run"
CONF
# Without systemd, and without control groups that somebody would have to remove.
cat >"$folder/containers.conf" <<CONF
[containers]
cgroups = "disabled"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
tmp_dir = "$folder/tmp"
static_dir = "$folder/static"
volume_path = "$folder/volumes"
CONF
export CONTAINERS_STORAGE_CONF=$folder/storage.conf CONTAINERS_CONF=$folder/containers.conf DISABLE_HC_SYSTEMD=true
export TMPDIR=$folder HOME=$folder

podman load --quiet --input "$folder/stunner.tar" >/dev/null
cd "$folder/compose"
"$python" -m podman_compose up --detach
container=$(podman ps --format '{{.Names}}')
[[ -n $container ]] || { echo 'no container runs'; exit 1; }

# What the engine would do every few seconds.
await_health() {
  local _
  for _ in {1..200}; do
    podman healthcheck run "$container" >"$folder/health" 2>&1 && return
    sleep 0.1
  done
  cat "$folder/health"
  podman logs "$container"
  return 1
}
await_health
echo 'health: good'

process=$(podman inspect --format '{{.State.Pid}}' "$container")
sed -n 's/^\(Uid\|Gid\|CapEff\|CapBnd\|NoNewPrivs\):[[:space:]]*\([0-9a-f]*\).*/\1: \2/p' "/proc/$process/status"
awk '$5 == "/" || $5 == "/etc/stunner" { split($6, option, ","); print "mount " $5 ": " option[1] }' "/proc/$process/mountinfo"

for address in 127.0.0.1:3478 127.0.0.1:8088; do
  podman exec "$container" /health "tcp://$address" && echo "open: $address"
done

# As an editor does it: a new file in the place of the old one.
sed 's/port: 3478/port: 3479/' gateway/gateway.yaml >gateway/new
mv gateway/new gateway/gateway.yaml
for _ in {1..200}; do
  podman exec "$container" /health tcp://127.0.0.1:3479 2>/dev/null && echo 'edited: 127.0.0.1:3479' && break
  sleep 0.1
done

"$python" -m podman_compose down
podman ps --all --format '{{.Names}} is left'
echo 'done'
