# shellcheck shell=sh
# The first process of a node: `sh first.sh FOLDER` in new network, mount and process namespaces.
#
# Tries everything that running pods asks of the kernel, and says `made`, or `refused: WHAT`. Ends with its input.
folder=$1

try() {
  what=$1
  shift
  "$@" >"$folder/refusal" 2>&1 || {
    echo "refused: $what: $(tr '\n' ' ' <"$folder/refusal")"
    exit 1
  }
}

# What containerd, CNI and the kubelet keep in places that cannot be chosen is for this node alone, and goes with it.
try 'a mount of its own' mount -t tmpfs -o mode=755 node /run
try 'a mount of its own' mount -t tmpfs -o mode=755 node /var/lib
try 'a mount of its own' mount -t tmpfs -o mode=755 node /var/log

# Both ends are in here: nothing gets out, and nothing comes in.
try 'a loopback interface' ip link set lo up
try 'a pair of interfaces' ip link add lan type veth peer name far
try 'an address' ip address add 10.99.0.1/24 dev lan
try 'an interface' ip link set lan up
try 'an interface' ip link set far up
try 'a default route' ip route add default dev lan
try 'forwarding' sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
try 'address translation (iptables)' iptables -t nat -A POSTROUTING -s 192.0.2.1 -m comment --comment try -j MASQUERADE
try 'address translation (iptables)' iptables -t nat -D POSTROUTING -s 192.0.2.1 -m comment --comment try -j MASQUERADE
try 'connection tracking' iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP
try 'connection tracking' iptables -D FORWARD -m conntrack --ctstate INVALID -j DROP

mkdir -p "$folder/try/lower" "$folder/try/upper" "$folder/try/work" "$folder/try/all"
if mount -t overlay try -o "lowerdir=$folder/try/lower,upperdir=$folder/try/upper,workdir=$folder/try/work" \
  "$folder/try/all" 2>/dev/null; then
  umount "$folder/try/all"
  echo overlayfs >"$folder/snapshotter"
else
  # Slower, and needs nothing of the kernel.
  echo native >"$folder/snapshotter"
fi

echo made
exec 2>/dev/null
cat >/dev/null
