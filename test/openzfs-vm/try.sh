#!/usr/bin/env bash
# Serves a pool of the VM on 127.0.0.1:19999, for machines without ZFS: everything in the
# README can be tried. Ctrl-C ends the daemon, the VM and the pool with all that is in it.
# Arguments go to `imagestore serve`.
set -euo pipefail
OPENZFS_VM_RUN=${OPENZFS_VM_RUN:-/tmp/imagestore-try-$UID}
export OPENZFS_VM_RUN
. "$(dirname "$(readlink -f "$0")")/env.sh"
cli=$SCRIPTS/../../dist/main/cli.js
[[ -f $cli ]] || fail "nothing is compiled: run npm run build"
"$SCRIPTS/build.sh"
VM_OWNER=$$ "$SCRIPTS/start.sh"
trap '"$SCRIPTS/stop.sh"' EXIT
cat >"$RUN/config.json" <<CONFIG
{
  "pools": [
    {
      "name": "tank",
      "zfsCommand": ["$SCRIPTS/exec.sh", "zfs"],
      "zpoolCommand": ["$SCRIPTS/exec.sh", "zpool"],
      "deviceWaitMs": 0
    }
  ],
  "imageService": "127.0.0.1:19998",
  "dataDir": "$RUN/data"
}
CONFIG
# The shell waits, so that it can end the VM afterwards; a signal reaches both.
node "$cli" serve --config "$RUN/config.json" "$@" || true
