#!/usr/bin/env bash
# Starts a VM in the background and returns when commands can run in it.
#   VM_MEM    memory                                        (default 2G)
#   VM_CPUS   virtual processors                            (default: the host's, at most 4)
#   VM_DISKS  sizes of the disks /dev/vda, /dev/vdb, ...    (default 4G); sparse
#   VM_POOL   pool to make over all disks                   (default tank; empty: none)
#   VM_PORT   ssh port on 127.0.0.1                         (default: a free one)
#   VM_SHARE  folder of the host to show read-only, mostly /  (default: none); exec.sh -H uses it.
#             What the VM has read of it must stay as it is, but for what is below the host's folder
#             for temporary files.
#   VM_FWD    more ports, HOST:GUEST with commas            (default: none)
#   VM_OWNER  pid: the VM ends when this process does       (default: none)
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"

memory=${VM_MEM:-2G}
processors=${VM_CPUS:-$(($(nproc) < 4 ? $(nproc) : 4))}
pool=${VM_POOL-tank}
share=${VM_SHARE:-}
IFS=', ' read -ra sizes <<<"${VM_DISKS:-4G}"
IFS=', ' read -ra forwards <<<"${VM_FWD:-}"
BOOT_LIMIT_S=300

[[ -f $CACHE/recipe ]] || fail "nothing is built in $CACHE: run build.sh"
[[ ! -e $RUN ]] || fail "$RUN exists: is a VM running? stop.sh ends it"
use_qemu
umask 077
mkdir "$RUN"
clean_up() {
  local status=$?
  ((status == 0)) && return
  tail -n 20 "$RUN"/*.log >&2 || true
  "$SCRIPTS/stop.sh"
}
trap clean_up EXIT
# A signal alone would end this with the status of the last command, which is mostly 0.
trap 'exit 143' TERM INT HUP

ssh-keygen -q -t ed25519 -N '' -C imagestore-test -f "$RUN/key"
public_key=$(cut -d' ' -f2 "$RUN/key.pub")

# Emulation unless KVM works; on some clouds /dev/kvm is there and does not (kvm_pvm).
# QEMU 7.2 gets cmpxchg16b wrong, the guest dies of it: hide the instruction. Without erms and fsrm
# the guest copies by words: QEMU emulates `rep movsb` byte by byte, and a zfs took half as long again.
# At random addresses each start of a program is code that QEMU 7.2 has not translated: hence norandmaps.
# What it has translated is thrown away when it exceeds tb-size MiB; a boot and some commands make 600.
# shellcheck disable=SC2054
machine=(-machine q35 -accel tcg,thread=multi,tb-size=1024 -cpu max,-cx16,-erms,-fsrm)
if [[ -w /dev/kvm && ! -d /sys/module/kvm_pvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
  machine=(-machine q35 -accel kvm -cpu host)
fi
boot_line="console=ttyS0 quiet panic=-1 mitigations=off nokaslr norandmaps nowatchdog is.key=$public_key"
devices=(-nodefaults -no-user-config -display none -no-reboot -serial "file:$RUN/console.log"
  -device virtio-rng-pci -device "virtio-net-pci,netdev=net,romfile=")
for index in "${!sizes[@]}"; do
  truncate -s "${sizes[index]}" "$RUN/disk$index.raw"
  devices+=(-drive "file=$RUN/disk$index.raw,format=raw,if=virtio,cache=unsafe,discard=unmap")
done

# A private mount that is read-only whatever the guest asks for. virtiofsd ends with QEMU.
share_folder() { # TAG FOLDER CACHE
  # shellcheck disable=SC2016
  MOUNT=$RUN/$1 SHARED=$2 DAEMON=$VIRTIOFSD CACHE_MODE=$3 unshare --mount --propagation private sh -ec '
    mkdir "$MOUNT"
    mount --bind "$SHARED" "$MOUNT"
    mount -o remount,bind,ro "$MOUNT"
    exec "$DAEMON" --socket-path="$MOUNT.sock" -o "source=$MOUNT" -o "cache=$CACHE_MODE"
  ' </dev/null >"$RUN/virtiofsd-$1.log" 2>&1 &
  local daemon=$!
  while [[ ! -S $RUN/$1.sock ]]; do
    kill -0 "$daemon" || fail "virtiofsd does not start"
    sleep 0.05
  done
  devices+=(-chardev "socket,id=$1,path=$RUN/$1.sock" -device "vhost-user-fs-pci,chardev=$1,tag=$1")
}
if [[ $share ]]; then
  devices+=(-object "memory-backend-memfd,id=ram,size=$memory,share=on" -numa "node,memdev=ram")
  # With cache=auto the VM reads a file again after each open: `node --version` takes 4 to 8 s then
  # and not 0.5 s. Tests write what it must see anew below the folder for temporary files.
  share_folder host "$share" always
  boot_line+=" is.share"
  temporary=$(realpath "${TMPDIR:-/tmp}")
  if [[ $share == / ]]; then
    share_folder temporary "$temporary" auto
    boot_line+=" is.temporary=$temporary"
  fi
fi

try_port() { # PORT: boots with ssh on that port, unless it is taken
  local network="user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$1-:22" each
  for each in "${forwards[@]}"; do network+=",hostfwd=tcp:127.0.0.1:${each%%:*}-:${each##*:}"; done
  "${QEMU[@]}" "${machine[@]}" -smp "$processors" -m "$memory" "${devices[@]}" -netdev "$network" \
    -kernel "$CACHE/vmlinuz" -initrd "$CACHE/initramfs.zst" -append "$boot_line" \
    -daemonize -pidfile "$RUN/qemu.pid" 2>>"$RUN/qemu.log"
}
port=
for candidate in ${VM_PORT:-$(shuf -i 20000-32000 -n 8)}; do
  if try_port "$candidate"; then
    port=$candidate
    break
  fi
done
[[ $port ]] || fail "QEMU does not start"
qemu=$(<"$RUN/qemu.pid")

if [[ ${VM_OWNER:-} ]]; then
  # A VM that was stopped in the meantime, and another started in its folder, is not to be ended.
  # shellcheck disable=SC2016
  OPENZFS_VM_RUN=$RUN setsid bash -c '
    while kill -0 "$1" && kill -0 "$2"; do sleep 2; done
    [[ $(<"$OPENZFS_VM_RUN/qemu.pid") != "$2" ]] || exec "$3"
    # Somebody has deleted the folder below a running VM.
    ! tr "\0" "\n" <"/proc/$2/cmdline" | grep -qxF "file:$OPENZFS_VM_RUN/console.log" || kill "$2"
  ' - "$VM_OWNER" "$qemu" "$SCRIPTS/stop.sh" </dev/null >/dev/null 2>&1 &
fi

until grep -qs '^vm: ready' "$RUN/console.log"; do
  kill -0 "$qemu" || fail "the VM died while booting"
  ((SECONDS < BOOT_LIMIT_S)) || fail "the VM did not boot within $BOOT_LIMIT_S s"
  sleep 0.1
done
# Opened here and not by the first exec.sh, whose caller's pipes the background ssh would keep open.
# Of the ciphers, this costs an emulated processor the least.
open_ssh() {
  ssh -F none -c aes128-ctr -i "$RUN/key" -p "$port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
    -o ServerAliveInterval=60 -o ControlPath="$RUN/ssh" -fNM root@127.0.0.1 </dev/null >/dev/null 2>"$RUN/ssh.log"
}
# On a busy machine the VM says that it is ready a moment before its sshd listens.
until open_ssh; do
  kill -0 "$qemu" || fail "the VM died while booting"
  ((SECONDS < BOOT_LIMIT_S)) || fail "the VM does not answer to ssh within $BOOT_LIMIT_S s"
  sleep 0.5
done
if [[ $pool ]]; then
  "$SCRIPTS/exec.sh" sh -c "zpool create -f -O mountpoint=none $pool /dev/vd[a-z]" </dev/null
fi
echo "a VM with OpenZFS is up after ${SECONDS} s, ssh on 127.0.0.1:$port, state in $RUN"
