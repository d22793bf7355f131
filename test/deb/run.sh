#!/usr/bin/env bash
# Installs the Debian package in roots of Debian 12 and 13 that have nothing but the smallest set of
# packages, starts the daemon there by hand, upgrades, removes and purges it, and looks what is left.
#   test/deb/run.sh [PACKAGE]        (npm run test:deb builds the package first)
# DEB_ROOTS: a folder with the pristine roots `bookworm` and `trixie`, made by debootstrap where they are
# absent. DEB_RESULTS: where the results go, as JSON. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() { echo "test:deb: $*" >&2; exit 1; }
((UID == 0)) || fail "needs root, for debootstrap and chroot"
for tool in dpkg-deb debootstrap chroot; do
  command -v $tool >/dev/null || fail "there is no $tool (Debian's packages debootstrap, dpkg, coreutils)"
done
package=${1:-$(ls -t build/imagestore_*.deb 2>/dev/null | head -1)}
[[ -f $package ]] || fail "there is no package: run npm run package:deb"
roots=${DEB_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/imagestore/debootstrap}
results=${DEB_RESULTS:-build/deb-results.json}
work=$(mktemp -d "${TMPDIR:-/tmp}/imagestore-deb-XXXXXX")
version=$(dpkg-deb -f "$package" Version)
daemon=

finish() {
  [[ -z $daemon ]] || kill -KILL "$daemon" 2>/dev/null || true
  local mounted
  for mounted in "$work"/*/proc "$work"/*/dev; do
    ! mountpoint -q "$mounted" || umount "$mounted" || umount --lazy "$mounted"
  done
  rm -rf --one-file-system "$work"
}
trap finish EXIT

# The same program with a higher version; with $2, its default configuration is another one.
higher() {
  local folder=$work/tree-$1
  dpkg-deb -R "$package" "$folder"
  sed -i "s/^Version: .*/Version: $1/" "$folder/DEBIAN/control"
  if [[ -n ${2:-} ]]; then echo "$2" >"$folder/etc/imagestore/imagestore.json"; fi
  sed -i '/etc\/imagestore/d' "$folder/DEBIAN/md5sums"
  dpkg-deb --root-owner-group -Znone --build "$folder" "$work/imagestore_$1.deb" >/dev/null
  rm -rf "$folder"
}

# All paths, but for what dpkg itself writes down.
paths() {
  (cd "$1" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./var/lib/dpkg -o -path ./var/log -o \
    -path ./var/cache -o -path ./tmp -o -path ./root \) -prune -o -printf '%p %y %m\n' | sort)
}

clean=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8)
inside() { chroot "$root" "${clean[@]}" "$@"; }

# POST a call to the daemon at $1, without any client but bash.
rpc() {
  inside bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" ${#2} "$2" >&3
    cat <&3' rpc "$@"
}

# Starts the daemon as an administrator would by hand, calls it and stops it. Sets $transport.
serve() {
  local log=$work/$suite.log port answer status=0
  : >"$log" # what the last start wrote
  chroot "$root" "${clean[@]}" imagestore serve --config /root/pool.json --port 0 --log-level info >"$log" 2>&1 &
  daemon=$!
  for _ in {1..300}; do
    port=$(sed -n 's/^imagestore .* listening on http:.*:\([0-9]*\)$/\1/p' "$log")
    [[ -z $port ]] || break
    kill -0 $daemon 2>/dev/null || { cat "$log"; fail "$suite: the daemon ended"; }
    sleep 0.1
  done
  [[ -n $port ]] || { cat "$log"; fail "$suite: the daemon did not listen within 30 s"; }
  transport=$(sed -n 's/.*"transport":"\([a-z]*\)".*"msg":"listening".*/\1/p' "$log")
  answer=$(rpc "$port" "{\"jsonrpc\":\"2.0\",\"method\":\"$1\",\"params\":$2,\"id\":1}")
  [[ $answer == *"$3"* ]] || { cat "$log"; fail "$suite: $1 is answered: $answer"; }
  kill -TERM $daemon
  wait $daemon 2>/dev/null || status=$?
  daemon=
  ((status == 0)) || { cat "$log"; fail "$suite: the daemon ended with status $status"; }
}

# A step with a name, that ends the run unless it succeeds.
step() {
  local name=$1
  shift
  "$@" >"$work/step.log" 2>&1 || { cat "$work/step.log"; fail "$suite: $name"; }
  echo "  $name"
  steps+=("\"$name\"")
}
holds() { [[ $1 ]] ; }
absent() { [[ ! -e $1 && ! -L $1 ]]; }

completes() {
  [[ $(inside bash -c 'source /usr/share/bash-completion/completions/imagestore
    COMP_WORDS=(imagestore image pa); COMP_CWORD=2; _imagestore; echo "${COMPREPLY[*]}"
    COMP_WORDS=(imagestore serve --tr); _imagestore; echo "${COMPREPLY[*]}"') == $'pack\n--transport' ]]
}
explains() {
  for page in man8/imagestore.8 man8/imagestore-serve.8 man1/imagestore-image.1; do
    zcat "$root/usr/share/man/$page.gz" | grep -q '^\.SH OPTIONS\|^\.SH IMAGESTORE' || return 1
  done
  inside imagestore --help | grep -q diagnose
  [[ $(inside imagestore --version) == "$version" ]]
}
config_kept() { grep -q '"name": "kept"' "$root/etc/imagestore/imagestore.json"; }
same_paths() { diff <(paths "$root") "$work/$suite.before"; }
quiet_purge() { inside dpkg --purge imagestore && absent "$root/var/lib/imagestore"; }

check_suite() {
  root=$work/$suite steps=()
  [[ -d $roots/$suite ]] || {
    mkdir -p "$roots"
    debootstrap --variant=minbase "$suite" "$roots/$suite.part" >"$work/debootstrap.log" 2>&1 ||
      { tail -20 "$work/debootstrap.log"; fail "debootstrap $suite"; }
    mv "$roots/$suite.part" "$roots/$suite"
  }
  cp -a "$roots/$suite" "$root"
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
  echo "$suite"
  paths "$root" >"$work/$suite.before"
  cp "$package" "$work"/imagestore_*.deb "$root/root/"

  step "installs with the packages of the smallest system" inside dpkg -i "/root/$(basename "$package")"
  step "help, version and man pages" explains
  step "completion in bash" completes
  step "the configuration of the package is valid" inside imagestore check-config -c /etc/imagestore/imagestore.json
  cat >"$root/root/pool.json" <<'POOL'
{ "pools": [{ "name": "tank", "driver": "embedded", "folder": "/var/lib/imagestore/pool" }] }
POOL
  serve CreateVolume '{"id":"guests/g/disk","size":64}' '"tank/guests/g/disk"'
  step "serves calls, on a pool in a folder" holds "$transport"
  local first_transport=$transport

  sed -i 's/"tank"/"kept"/' "$root/etc/imagestore/imagestore.json"
  step "upgrades" inside dpkg -i "/root/imagestore_$version+1.deb" </dev/null
  step "keeps a changed configuration without a question" config_kept
  step "upgrades to another default configuration" \
    inside dpkg -i --force-confdef --force-confold "/root/imagestore_$version+2.deb" </dev/null
  step "keeps the administrator's beside it" config_kept
  serve GetVolume '{"id":"guests/g/disk"}' '"tank/guests/g/disk"'
  step "serves what was there before" holds "$transport"

  step "is removed" inside dpkg --remove imagestore
  step "a removal leaves no program" absent "$root/usr/lib/imagestore"
  step "a removal keeps the configuration" config_kept
  step "is purged" inside dpkg --purge imagestore
  step "a purge keeps the data of guests" test -f "$root/var/lib/imagestore/pool/pool.db"
  step "a purge drops the records" absent "$root/var/lib/imagestore/tank.db"
  rm -r "$root/var/lib/imagestore"
  step "nothing else is left" same_paths

  step "installs again" inside dpkg -i "/root/$(basename "$package")"
  sed -i 's,/var/lib/imagestore/pool,/root/pool,' "$root/root/pool.json"
  serve CreateVolume '{"id":"guests/g/disk","size":64}' '"tank/guests/g/disk"'
  step "serves a pool elsewhere" test -f "$root/var/lib/imagestore/tank.db"
  step "a purge takes records alone" quiet_purge
  step "nothing at all is left" same_paths
  umount "$root/proc" "$root/dev"
  summary+=("{\"suite\":\"$suite\",\"transport\":\"$first_transport\",\"steps\":[$(IFS=,; echo "${steps[*]}")]}")
  rm -rf --one-file-system "$root"
}

higher "$version+1"
higher "$version+2" '{ "pools": [{ "name": "another" }] }'
summary=()
for suite in ${DEB_SUITES:-bookworm trixie}; do check_suite; done
mkdir -p "$(dirname "$results")"
printf '{"package":"%s","bytes":%d,"runs":[%s]}\n' "$(basename "$package")" "$(stat -c %s "$package")" \
  "$(IFS=,; echo "${summary[*]}")" >"$results"
echo "results: $results"
