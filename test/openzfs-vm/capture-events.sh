#!/usr/bin/env bash
# Captures what `zpool events -v -f` prints of changes by hand, for the tests of what imagestore makes of it:
# writes test/fixtures/zfs-VERSION/zpool-events.out, in a VM of its own.
#   OPENZFS_VM_SUITE  the release
set -euo pipefail
scripts=$(dirname "$(readlink -f "$0")")
export OPENZFS_VM_RUN=${TMPDIR:-/tmp}/capture-$$ LC_ALL=C

"$scripts/build.sh"
VM_POOL='' VM_DISKS=4G,4G "$scripts/start.sh"
trap '"$scripts/stop.sh"' EXIT
version=$("$scripts/exec.sh" zfs version </dev/null | sed -n '1s/^zfs-\([0-9.]*\).*/\1/p')
"$scripts/exec.sh" sh >"$scripts/../fixtures/zfs-$version/zpool-events.out" <<'EOF'
p=tank
zpool create -f -O mountpoint=none $p mirror vda vdb
sleep 1
zpool events -c >/dev/null
zpool events -v -f > /tmp/ev.txt 2>/tmp/ev.err & E=$!
sleep 1
zfs create $p/guests
zfs create -p -s -V 8M $p/guests/g/disk-0
zfs create -V 8M $p/a
zfs snapshot $p/a@s1
zfs snapshot $p/a@s2
zfs snapshot -r $p/guests@r1
zfs rename $p/a@s2 @s3
zfs hold imagestore:x $p/a@s3
zfs release imagestore:x $p/a@s3
zfs rollback -r $p/a@s1
zfs clone $p/a@s1 $p/c
zfs promote $p/c
zfs set volsize=16M $p/c
zfs set compression=off $p/c
zfs set imagestore:lease="host 12 ab 99" $p
zfs set 'note:x=say "hi" = there' $p/c
zfs inherit compression $p/c
zfs rename $p/c $p/d
zfs send $p/d@s1 | zfs receive -u -o readonly=on $p/r
zfs snapshot $p/d@s9
zfs send -i @s1 $p/d@s9 | zfs receive -F -u $p/r
zfs bookmark $p/d@s1 $p/d#b
zfs destroy $p/d#b
zfs destroy -r $p/guests
zfs destroy $p/r@s1,s9
zfs destroy -r $p/r
echo "zfs.sync.snapshot(\"$p/d@p\")" | zfs program $p - >/dev/null
zpool scrub $p; sleep 3
zpool set comment="hello" $p
zpool offline $p vda
sleep 1
zpool online $p vda
sleep 4
zpool clear $p
zpool export $p; zpool import $p
sleep 2
kill $E
cat /tmp/ev.txt
EOF
