#!/usr/bin/env bash
# Ends the VM of OPENZFS_VM_RUN and deletes its disks. Does nothing where none runs.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
[[ -d $RUN ]] || exit 0
if [[ -s $RUN/qemu.pid ]]; then
  qemu=$(<"$RUN/qemu.pid")
  # The pid may be another's by now: it is ours only if it writes our console.
  is_ours() { tr '\0' '\n' <"/proc/$qemu/cmdline" 2>/dev/null | grep -qxF "file:$RUN/console.log"; }
  if is_ours; then kill "$qemu"; fi
  while is_ours; do sleep 0.05; done
fi
rm -rf "$RUN"
