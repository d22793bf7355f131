#!/usr/bin/env bash
# exec.sh [-H] COMMAND [ARG...]: runs a command in the VM. Standard input, output and
# error and the exit status pass through, byte for byte; each ARG arrives as one word.
# With -H the command is one of the host's, run in the host's tree as the VM sees it
# (start.sh with VM_SHARE=/), in the current folder.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"
[[ -S $RUN/ssh ]] || fail "no VM is running in $RUN"
if [[ ${1-} == -H ]]; then
  shift
  # shellcheck disable=SC2016
  set -- chroot /mnt/host /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH="$PATH" \
    /bin/sh -c 'cd "$1" || exit 1; shift; exec "$@"' sh "$PWD" "$@"
fi
(($# > 0)) || fail "no command"
exec ssh -F none -T -o ControlMaster=no -o ControlPath="$RUN/ssh" -o BatchMode=yes -o LogLevel=ERROR \
  root@127.0.0.1 -- "${@@Q}"
