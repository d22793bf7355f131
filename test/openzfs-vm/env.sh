# Where the VM's parts are kept; read by the other scripts of this folder.
# shellcheck shell=bash disable=SC2034
SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Of Debian, from which the VM's OpenZFS is.
SUITE=${OPENZFS_VM_SUITE:-bookworm-backports}

# What build.sh makes, for all VMs of this user, a folder for each suite. Holds no secrets: a CI may keep it.
CACHE=${OPENZFS_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imagestore/openzfs-vm}/$SUITE

# A copy of QEMU where the host has none, for all suites.
QEMU_ROOT=${CACHE%/*}/qemu

# One running VM: its disks, key, sockets and logs. A short path, for it holds a unix socket.
# exec.sh, which must be quick, has the line once more.
RUN=${OPENZFS_VM_RUN:-/tmp/openzfs-vm-$UID}

# QEMU from the host, or the copy in the cache where the host has none.
use_qemu() {
  QEMU=(qemu-system-x86_64)
  VIRTIOFSD=/usr/lib/qemu/virtiofsd
  local root=$QEMU_ROOT libs
  [[ -d $root ]] || return 0
  libs=$root/usr/lib/x86_64-linux-gnu
  export LD_LIBRARY_PATH=$libs:$root/lib/x86_64-linux-gnu QEMU_MODULE_DIR=$libs/qemu
  QEMU=("$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios")
  VIRTIOFSD=$root$VIRTIOFSD
  # From Debian 13 on it has a package of its own.
  if [[ -x $root/usr/libexec/virtiofsd ]]; then VIRTIOFSD=$root/usr/libexec/virtiofsd; fi
}

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}
