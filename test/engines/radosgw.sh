#!/usr/bin/env bash
# Ceph's gateway for S3, with one monitor and one store of objects in memory, on loopback.
#   radosgw.sh FOLDER
#   radosgw.sh --check    only tells whether its packages are there
# Keeps all its files in the folder, which must be empty. Prints endpoint, access, secret, version and "ready", a line
# each, and runs until its standard input ends. Then all its processes have ended. See lifecycle.sh for what it reads.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lifecycle.sh"
need_packages ceph-mon ceph-osd ceph-common radosgw python3
open_folder "$@"

ACCESS=enginesaccess
SECRET=enginessecret
read -r mon_port port < <(free_ports 2)
fsid=$(cat /proc/sys/kernel/random/uuid)
osd=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$FOLDER/ceph.conf
# All of it is one disk: no copies, and no balance of placement groups to wait for.
cat >"$CEPH_CONF" <<END
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$mon_port
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
ms bind ipv6 = false
# The gateway wants its words with the monitor encrypted, for which there are no keys.
ms mon client mode = crc
public addr = 127.0.0.1
run dir = $FOLDER
admin socket = $FOLDER/\$name.\$pid.asok
log file = $FOLDER/\$name.ceph.log
mon cluster log file = $FOLDER/cluster.ceph.log
mon data = $FOLDER/mon
mon data avail warn = 1
mon data avail crit = 1
osd data = $FOLDER/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target autotune = false
# No manager is there, and nothing is to be kept through a crash of the machine.
mon warn on pool no redundancy = false
rgw data = $FOLDER/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 32
rgw gc obj min wait = 60
keyring = $FOLDER/keyring
END
mkdir "$FOLDER"/{mon,osd,rgw}
touch "$FOLDER/keyring"
monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$FOLDER/monmap" >/dev/null
ceph-mon --id a --mkfs --monmap "$FOLDER/monmap" >>"$FOLDER/mon.log" 2>&1
run_aside mon ceph-mon --id a --foreground
await "a monitor" timeout 10 ceph --connect-timeout 5 status
timeout 30 ceph osd new "$osd" >>"$FOLDER/osd.log" 2>&1
ceph-osd --id 0 --mkfs --osd-uuid "$osd" >>"$FOLDER/osd.log" 2>&1
run_aside osd ceph-osd --id 0 --foreground
await "a store of objects" sh -c 'ceph osd stat | grep -q "1 up"'

start_front() {
  run_aside radosgw radosgw --name client.rgw --foreground
  front=$started
  await "the gateway" listens_at "$port"
}
radosgw-admin --name client.rgw user create --uid engines --display-name engines \
  --access-key "$ACCESS" --secret-key "$SECRET" >>"$FOLDER/radosgw.log" 2>&1 || tell_logs "no user can be made"
start_front
serve "$port" "$ACCESS" "$SECRET" "$(radosgw --version | awk '{print $3}')"
