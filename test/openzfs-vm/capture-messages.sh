#!/usr/bin/env bash
# Captures what a release of OpenZFS writes to stderr, for the tests of what imagestore makes of it:
# runs the command on the first line of each file of test/fixtures/zfs-2.3.2 on a pool in the state that
# it needs, in a VM of its own, and writes test/fixtures/zfs-VERSION. Prints what could not be captured.
#   OPENZFS_VM_SUITE  the release
# Arguments: names of files without .txt; all, if there are none.
set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
fixtures=$scripts/../fixtures
export OPENZFS_VM_RUN=${TMPDIR:-/tmp}/capture-$$ LC_ALL=C

"$scripts/build.sh"
VM_POOL='' VM_DISKS=1G,256M "$scripts/start.sh"
trap '"$scripts/stop.sh"; rm -f "$OPENZFS_VM_RUN".stderr' EXIT
version=$("$scripts/exec.sh" zfs version </dev/null | sed -n '1s/^zfs-\([0-9.]*\).*/\1/p')
folder=$fixtures/zfs-$version
mkdir -p "$folder"

# What every command finds. The pool is made anew for each group and behind each command that changes it.
# shellcheck disable=SC2016
base='
  cd /dev/shm
  for pool in ut tank; do ! zpool list $pool >/dev/null 2>&1 || zpool destroy -f $pool || exit 1; done
  zpool create -f -O mountpoint=none ut /dev/vda
  zfs create ut/images; zfs create ut/guests; zfs create ut/guests/g
  zfs create -s -V 64M ut/vol; zfs snapshot ut/vol@s1; zfs snapshot ut/vol@s2
  udevadm settle
  until [ -b /dev/zvol/ut/vol ]; do sleep 0.1; done
  dd if=/dev/urandom of=/dev/zvol/ut/vol bs=1M count=16 conv=fsync 2>/dev/null
  zfs snapshot ut/vol@data; zfs hold held ut/vol@s1
  zfs create -s -V 8M ut/images/img; zfs snapshot ut/images/img@s1; zfs clone ut/images/img@s1 ut/guests/g/disk
  zfs create -s -V 8M ut/vol2; zfs snapshot ut/vol2@s1; zfs snapshot ut/vol2@s2; zfs snapshot ut/vol2@s3
  zfs clone ut/vol2@s2 ut/vol2clone
  for each in a b c; do zfs create -s -V 8M ut/$each; done
  for each in free cloned held s; do zfs snapshot ut/a@$each; done
  zfs snapshot ut/b@s; zfs clone ut/a@cloned ut/aclone; zfs hold held ut/a@held
  zpool create -f -O mountpoint=none tank /dev/vdb
  udevadm settle'
# shellcheck disable=SC2016
prelude='cd /dev/shm; as_nobody() { su -s /bin/sh sshd -c "$*"; }; echo "return 0" >program
  until [ -b /dev/zvol/ut/vol2clone ] || [ "$GROUP" != base ]; do sleep 0.1; done'

in_vm() { "$scripts/exec.sh" env LC_ALL=C GROUP="${group:-}" sh -c "$1" </dev/null; }

group_of() {
  case $1 in
    no-module-list | suspended-*) echo none ;;
    perm-*) echo perm ;;
    key-*) echo key ;;
    readonly-*) echo readonly ;;
    clone-no-space | snapshot-no-space | receive-no-space) echo full ;;
    *) echo base ;;
  esac
}

changes_the_pool() {
  case $1 in
    hold-twice | *-quota | *-at-once | receive-resumable | receive-onto-partial | *-sending | *-receiving) ;;
    poolname-* | receive-cut-data) ;;
    *) return 1 ;;
  esac
}

enter() { # GROUP: the pool is as its commands need it
  in_vm "$base" >/dev/null
  case $1 in
    perm) in_vm 'chmod 666 /dev/zfs; zfs destroy ut/vol2clone; zfs destroy ut/vol2@s2,s3; zfs send ut/vol2@s1 >/dev/shm/stream' ;;
    full)
      # shellcheck disable=SC2016
      in_vm 'zfs set refreservation=64M ut/vol; zfs create ut/fill
        zfs set reservation=$(zfs list -Hpo available ut) ut/fill' ;;
    readonly)
      in_vm 'zfs send ut/vol2@s1 >/dev/shm/stream; zfs hold t ut/vol2@s1; zfs destroy ut/vol2clone
        zfs destroy ut/vol2@s2,s3; zpool export ut; zpool import -o readonly=on ut' ;;
    key)
      in_vm 'echo passphrase >/dev/shm/key; zpool destroy -f ut
        zpool create -f -O mountpoint=none -O encryption=on -O keyformat=passphrase -O keylocation=file:///dev/shm/key \
          ut /dev/vda
        zfs create -s -V 8M ut/vol; zfs snapshot ut/vol@s1
        zfs create -s -V 8M tank/v; zfs snapshot tank/v@s; zfs send tank/v@s >/dev/shm/stream
        zpool export ut; zpool import -d /dev ut' ;;
  esac
}

entered=
missing=()
capture() { # FILE
  local name=${1##*/} line command status=0
  name=${name%.txt}
  read -r line <"$1"
  command=${line#\$ }
  group=$(group_of "$name")
  if [[ $group == none ]]; then
    missing+=("$name: takes a VM without the module, or a pool whose disks are gone")
    return
  fi
  if [[ $group != "$entered" ]]; then
    enter "$group"
    entered=$group
  fi
  case $name in
    receive-onto-partial) in_vm 'zfs send ut/vol@data | head -c 5000000 | zfs receive -s -u ut/images/.partial-s 2>/dev/null || true' ;;
    key-receive) command='zfs receive ut/in </dev/shm/stream' ;;
    perm-device-list) in_vm 'chmod 600 /dev/zfs' ;;
  esac
  timeout 20 "$scripts/exec.sh" env LC_ALL=C GROUP="$group" sh -c "$prelude; ${command//as-nobody/as_nobody}" </dev/null \
    >/dev/null 2>"$OPENZFS_VM_RUN.stderr" || status=$?
  case $name in perm-device-list) in_vm 'chmod 666 /dev/zfs' ;; esac
  if ((status == 0 || status == 124)) || [[ ! -s $OPENZFS_VM_RUN.stderr ]]; then
    missing+=("$name: exit status $status")
  else
    { echo "$line"; cat "$OPENZFS_VM_RUN.stderr"; } >"$folder/$name.txt"
  fi
  changes_the_pool "$name" && entered=
  return 0
}

names=("$@")
((${#names[@]})) || for file in "$fixtures"/zfs-2.3.2/*.txt; do names+=("$(basename "$file" .txt)"); done
for name in "${names[@]}"; do capture "$fixtures/zfs-2.3.2/$name.txt"; done
((${#missing[@]} == 0)) || printf 'not captured: %s\n' "${missing[@]}"
