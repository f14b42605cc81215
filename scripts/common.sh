# Sourced by the scripts of this folder: where things are, and how we speak.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache
# The variables are for whoever sources this.
export root cache

say() { printf '==> %s\n' "$*"; }
warn() { printf '!!! %s\n' "$*" >&2; }
die() { warn "$*"; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# Servers live in folders that are not on every user's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# The rows of tests/parts.txt as NAME|CHECKS|PACKAGES|WHAT FOR without padding.
parts() {
  sed -e '/^#/d' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]*|[[:space:]]*/|/g' "$root/tests/parts.txt"
}

# Whether one check of a row holds; the same questions as in tests/kit/src/part.rs.
check_holds() {
  case $1 in
    python:*) "$cache/python/bin/python" -c "import ${1#python:}" >/dev/null 2>&1 ;;
    go:*) printf 'go%s\n%s\n' "${1#go:}" "$(go env GOVERSION 2>/dev/null || echo go0)" | sort --version-sort --check=quiet ;;
    cargo:*) [[ -x $cache/cargo/bin/${1#cargo:} ]] || have "${1#cargo:}" ;;
    cache:*) [[ -e $cache/${1#cache:} ]] ;;
    capture) dumpcap -D 2>/dev/null | grep -qw lo ;;
    netns) unshare --net true >/dev/null 2>&1 ;;
    *) have "$1" ;;
  esac
}

# Whether all checks of a row (its second column, unquoted words) hold.
checks_hold() {
  local check
  for check in $1; do
    check_holds "$check" || return 1
  done
}

# Whether packages can be installed here without asking anyone.
is_debian_root() {
  [[ $(id -u) == 0 ]] && have apt-get
}
