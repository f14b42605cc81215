#!/bin/sh
# Makes an image's contents of the Janus that is installed on this machine (Debian or a relative of it), with the echo
# test and the HTTP API: `sh from-installed.sh FOLDER`, then `buildah build -t localhost/stunner/janus:1.1.2 FOLDER`.
# There is no shell in it, nothing is downloaded, and it is a fifth of what Containerfile makes.
set -eu
folder=${1:?which folder, as in: sh from-installed.sh target/janus}
root=$folder/root
mkdir -p "$root"

copy() { cp --dereference --parents "$@" "$root"; }

modules=$(dirname "$(dirname "$(find /usr/lib -name libjanus_echotest.so -print -quit)")")
set -- /usr/bin/janus "$modules/plugins/libjanus_echotest.so" "$modules/transports/libjanus_http.so"
# What libraries load by name: the cryptography of SRTP does it.
for library in "$(dirname "$modules")"/libsoftokn3.so "$(dirname "$modules")"/libfreebl*3.so; do
  [ ! -e "$library" ] || set -- "$@" "$library"
done
copy "$@"
copy /etc/janus/janus.jcfg /etc/janus/janus.transport.http.jcfg /etc/janus/janus.plugin.echotest.jcfg
for file in "$@"; do ldd "$file"; done | grep -o '/[^ ]*' | sort -u | while read -r library; do copy "$library"; done
# Janus looks into these, too.
mkdir -p "$root$modules/events" "$root$modules/loggers"
chmod -R go+rX "$root"

cat >"$folder/Containerfile" <<END
FROM scratch
COPY root/ /
USER 65532:65532
ENTRYPOINT ["/usr/bin/janus"]
END
