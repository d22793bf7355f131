#!/usr/bin/env bash
# Makes, once, what a VM with real OpenZFS boots from: a kernel and an initramfs,
# of Debian packages alone, with the zfs modules compiled here by the suite's own compiler, in
# a root of its packages. Installs nothing.
#   OPENZFS_VM_SUITE   whose OpenZFS: bookworm 2.1, bookworm-backports 2.3 (default), trixie-backports 2.4
#   OPENZFS_VM_CACHE   folder to build in, with one folder a suite  (default ~/.cache/imagestore/openzfs-vm)
#   OPENZFS_VM_CONFIGURE  not empty: configure asks the kernel, also where its answers are known
#   OPENZFS_VM_MIRROR  Debian mirror                                (default: the one in apt's sources)
# Exit status: 0 made or up to date, 3 this machine lacks something, 1 anything else.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"

base=${SUITE%-backports}
# The newest kernel that the suite's OpenZFS compiles against.
case $SUITE in
  bookworm | bookworm-backports | trixie) kernel_suite=$SUITE ;;
  trixie-backports) kernel_suite=trixie ;;
  *) fail "OPENZFS_VM_SUITE is $SUITE; known are bookworm, bookworm-backports, trixie, trixie-backports" ;;
esac

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

lacking() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 3
}

# --- what the host must have ----------------------------------------------------
declare -A package_of=([apt-get]=apt [dpkg-deb]=dpkg [strip]=binutils [xz]=xz-utils [zstd]=zstd
  [flock]=util-linux [ssh]=openssh-client [unshare]=util-linux [sha256sum]=coreutils [node]=nodejs)
absent=()
for tool in "${!package_of[@]}"; do
  command -v "$tool" >/dev/null || absent+=("${package_of[$tool]}")
done
((${#absent[@]} == 0)) || lacking "missing tools; apt-get install -y ${absent[*]}"
[[ $(uname -m) == x86_64 ]] || lacking "the VM is x86_64, this machine is $(uname -m)"

mkdir -p "$CACHE"
exec {lock}>"$CACHE/lock"
flock "$lock"
recipe=$(cat "$SCRIPTS/build.sh" "$SCRIPTS/env.sh" "$SCRIPTS"/guest/* | sha256sum)
if [[ -f $CACHE/recipe && $(<"$CACHE/recipe") == "$recipe" ]]; then
  echo "up to date: $CACHE"
  exit 0
fi
# Without this file nothing in the cache counts as built; it is written last.
rm -f "$CACHE/recipe"

mirror=${OPENZFS_VM_MIRROR:-}
if [[ ! $mirror ]]; then
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(RELEASE) $(SITE)' | awk '$1 == "bookworm" || $1 == "trixie" { print $2; exit }')
fi
[[ $mirror ]] || lacking "apt has no mirror of Debian 12 or 13; set OPENZFS_VM_MIRROR"

# --- packages, through an apt of our own: the host's sources stay as they are -----
work=$CACHE/work
rm -rf "$work"
mkdir -p "$work/debs"

use_packages_of() { # BASE: reads the lists of a release of Debian and its backports
  local apt=$work/apt-$1 each
  mkdir -p "$apt"/{lists,archives}/partial
  for each in "$1" "$1-updates" "$1-backports"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $each main contrib"
  done >"$apt/sources.list"
  apt_options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt" -o "Dir::Cache::Archives=$apt/archives"
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
  apt-get "${apt_options[@]}" update >/dev/null
}

needed_by() { # OPTION... PACKAGE...: these packages and all that they depend on, as NAME=VERSION
  apt-get "${apt_options[@]}" install --simulate --no-install-recommends "$@" |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}
from_nothing=(-o Dir::State::Status=/dev/null)

unpack() { # FOLDER PACKAGE...: download and unpack, without configuring anything
  local folder=$1 deb link
  shift
  # Releases differ in where a file is packed. With these links it is in the same place always.
  mkdir -p "$folder"/usr/{bin,sbin,lib,lib64}
  for link in bin sbin lib lib64; do [[ -L $folder/$link ]] || ln -s "usr/$link" "$folder/$link"; done
  (cd "$work/debs" && apt-get "${apt_options[@]}" download "$@" >/dev/null)
  for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$folder"
  done
  rm -f "$work"/debs/*.deb
}

# It runs with the libraries of the host, so it is built for the host's release. QEMU 10 starts a
# zfs in a third of the time that QEMU 7.2 takes.
# shellcheck source=/dev/null
if [[ $(. /etc/os-release && echo "${VERSION_CODENAME:-}") == trixie ]]; then qemu_suite=trixie; else qemu_suite=bookworm-backports; fi
(
  flock "$qemu_lock"
  if ! command -v qemu-system-x86_64 >/dev/null && [[ $(cat "$QEMU_ROOT/suite" 2>/dev/null) != "$qemu_suite" ]]; then
    say "downloading QEMU of $qemu_suite"
    use_packages_of "${qemu_suite%-backports}"
    wanted=(qemu-system-x86)
    [[ $qemu_suite != trixie ]] || wanted+=(virtiofsd)
    mapfile -t qemu_packages < <(needed_by --target-release "$qemu_suite" "${wanted[@]}")
    ((${#qemu_packages[@]})) || lacking "QEMU can't be had; apt-get install -y qemu-system-x86"
    rm -rf "$QEMU_ROOT" "$work"/qemu*
    unpack "$work/qemu" "${qemu_packages[@]}"
    if [[ $qemu_suite == bookworm-backports ]]; then
      # Debian 12 has virtiofsd with its own QEMU only.
      unpack "$work/qemu-7" qemu-system-common/bookworm
      mkdir -p "$work/qemu/usr/lib/qemu"
      mv "$work/qemu-7/usr/lib/qemu/virtiofsd" "$work/qemu/usr/lib/qemu/"
    fi
    echo "$qemu_suite" >"$work/qemu/suite"
    mv "$work/qemu" "$QEMU_ROOT"
  fi
) {qemu_lock}>"$QEMU_ROOT.lock"

say "reading package lists"
use_packages_of "$base"
depends_of() { apt-cache "${apt_options[@]}" depends "$1" | awk '$1 == "Depends:" { print $2 }'; }
kernel=$(depends_of "linux-image-cloud-amd64/$kernel_suite" | sed -n 's/^linux-image-//p')
[[ $kernel ]] || fail "no cloud kernel in $kernel_suite"

say "downloading kernel $kernel and OpenZFS of $SUITE"
root=$work/root target=$work/target builder=$work/builder
mapfile -t zfs_packages < <(depends_of "zfsutils-linux/$SUITE" | grep -E '^lib(nvpair|uutil|zfs|zpool)[0-9]')
mapfile -t target_packages < <(needed_by "${from_nothing[@]}" "zfsutils-linux/$SUITE" "${zfs_packages[@]/%//$SUITE}" \
  busybox-static openssh-server openssh-client udev kmod | grep -v '^python3')
((${#target_packages[@]})) || fail "OpenZFS of $SUITE can't be had"
unpack "$target" "${target_packages[@]}" "linux-image-$kernel"

# --- the modules, kept by kernel and version: the only slow part -------------------
# shellcheck disable=SC2016
configure='./configure --with-config=kernel --disable-dependency-tracking \
  --with-linux=$(echo /usr/src/linux-headers-*-common) --with-linux-obj=/usr/src/linux-headers-$KERNEL'
# shellcheck disable=SC2016
list_objects='cd module; for file in $(ls -d Kbuild */Makefile 2>/dev/null); do
  make -s -f - FILE=$file >&3 <<"END"
KBUILD_EXTMOD := .
CONFIG_X86 := y
CONFIG_X86_64 := y
include $(FILE)
$(foreach each,$(or $(MODULE),spl zfs),$(if $($(each)-objs),$(info $(FILE) $(each) $($(each)-objs) $($(each)-y))))
listed:
.DEFAULT_GOAL := listed
END
done'
# shellcheck disable=SC2016
compile='make -C /usr/src/linux-headers-$KERNEL "M=$PWD/module" CONFIG_ZFS=m "-j$(nproc)" modules'

in_builder() { # SCRIPT: runs it where the sources of OpenZFS are
  # shellcheck disable=SC2016
  BUILDER=$builder unshare --mount --propagation private sh -ec '
    mount --rbind /dev "$BUILDER/dev"
    mount -t proc proc "$BUILDER/proc"
    exec chroot "$BUILDER" /usr/bin/env -i PATH=/usr/bin:/usr/sbin KCFLAGS=-g0 "KERNEL=$1" sh -ec "
      cd /usr/src/zfs-*
      $2"
  ' - "$kernel" "$1" >>"$CACHE/modules.log" 2>&1
}

use_answers() { # FILE: writes what configure would write of what compiles here
  local file folder inside=/${sources#"$builder/"}
  sed 's/^/#define /' "$1" >"$sources/zfs_config.h"
  for file in "$sources"/module/{Kbuild.in,*/Makefile.in,os/linux/*/Makefile.in}; do
    [[ -f $file ]] || continue
    folder=/$(dirname "${file#"$builder/"}")
    sed -e "s,@abs_top_\(src\|build\)dir@,$inside,g; s,@abs_\(src\|build\)dir@,$folder,g; s,@CONFIG_QAT_TRUE@,#," \
      -e "s,@KERNEL_DEBUG_CFLAGS@,,; s,@KERNEL_DEBUG_CPPFLAGS@,-UDEBUG -DNDEBUG,; s,@\(KERNEL_\)\?NO_FORMAT_ZERO_LENGTH@,-Wno-format-zero-length," \
      "$file" >"${file%.in}"
  done
}

zfs=$(apt-cache "${apt_options[@]}" show "zfs-dkms/$SUITE" | sed -n '0,/^Version: /s/^Version: //p')
modules=$CACHE/modules-$kernel-zfs-$zfs
if [[ ! -f $modules/zfs.ko ]]; then
  say "downloading a compiler for it"
  mapfile -t builder_packages < <(needed_by "${from_nothing[@]}" "linux-headers-$kernel/$kernel_suite" \
    gcc libc6-dev make bash dash coreutils sed grep gawk findutils diffutils perl tar)
  ((${#builder_packages[@]})) || fail "no compiler for kernel $kernel can be had"
  unpack "$builder" "${builder_packages[@]}" "zfs-dkms/$SUITE"
  ln -sf gawk "$builder/usr/bin/awk"
  # Only good for BTF, for which configure would ask for pahole.
  rm -f "$builder/usr/src/linux-headers-$kernel/vmlinux"
  mkdir -p "$builder"/{dev,proc,tmp}
  say "compiling OpenZFS $zfs; log: $CACHE/modules.log"
  sources=$(echo "$builder"/usr/src/zfs-*)
  : >"$CACHE/modules.log"
  answers=kernel-answers/$kernel-zfs-$zfs
  if [[ -f $SCRIPTS/$answers && ! ${OPENZFS_VM_CONFIGURE:-} ]]; then
    use_answers "$SCRIPTS/$answers"
  else
    say "configure asks what kernel $kernel has, for minutes: test/openzfs-vm/$answers is not used"
    in_builder "$configure" || fail "OpenZFS can't be configured, see $CACHE/modules.log"
    mkdir -p "$CACHE/kernel-answers"
    sed -n 's/^#define //p' "$sources/zfs_config.h" | sort >"$CACHE/$answers"
    say "the answers are in $CACHE/$answers"
  fi
  in_builder "$list_objects" 3>"$work/objects" || fail "the makefiles of OpenZFS have no objects, see $CACHE/modules.log"
  node "$SCRIPTS/join-sources.mjs" "$sources/module" <"$work/objects"
  if ! in_builder "$compile"; then
    say "some sources do not compile when they are joined: each is compiled alone"
    node "$SCRIPTS/join-sources.mjs" --undo "$sources/module" <"$work/objects"
    in_builder "$compile" || fail "OpenZFS does not compile, see $CACHE/modules.log"
  fi
  rm -rf "$work/modules" "$CACHE"/modules-*/
  mkdir "$work/modules"
  find "$sources/module" -name '*.ko' -exec strip --strip-debug {} + -exec cp -t "$work/modules" {} +
  mv "$work/modules" "$modules"
fi

# --- the initramfs: busybox, zfs, udev, sshd --------------------------------------
say "putting the initramfs together"
mkdir -p "$root"/{usr/bin,usr/lib/x86_64-linux-gnu,usr/lib/udev/rules.d,usr/lib/modules,usr/lib64,usr/share} \
  "$root"/{dev,proc,sys,run,tmp,mnt,root/.ssh,etc/zfs,etc/udev,etc/ssh}
for link in bin sbin; do ln -s usr/bin "$root/$link"; done
ln -s bin "$root/usr/sbin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
chmod 0700 "$root/root" "$root/root/.ssh"
chmod 1777 "$root/tmp"

install "$target/bin/busybox" "$root/usr/bin/busybox"
while read -r applet; do
  [[ $applet == busybox ]] || ln -s busybox "$root/usr/bin/$applet"
done < <("$target/bin/busybox" --list)
ln -sf usr/bin/busybox "$root/init"

# Not by lib64: its link may lead to the loader of the host.
loader=$target/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
library_path=$target/usr/lib/x86_64-linux-gnu:$target/usr/lib/x86_64-linux-gnu/systemd
programs=("$target"/usr/sbin/{zfs,zpool,zdb,zstream} "$target/usr/sbin/sshd" "$target/usr/bin/ssh-keygen"
  "$target/usr/bin/udevadm" "$target/lib/udev/zvol_id")
# OpenSSH 9.8 and newer is of several programs.
mkdir -p "$root/usr/lib/openssh"
for program in "$target"/usr/lib/openssh/sshd-*; do
  [[ ! -x $program ]] || programs+=("$program")
done
for program in "${programs[@]}"; do
  name=${program##*/}
  rm -f "$root/usr/bin/$name" # a busybox applet may have the name
  install "$program" "$root/usr/bin/$name"
  "$loader" --library-path "$library_path" --list "$program"
done | awk '/=> not found/ { print "missing " $1; exit 1 } $2 == "=>" { print $3 }' | sort -u |
  xargs cp -L --target-directory="$root/usr/lib/x86_64-linux-gnu"
mv "$root/usr/bin/zvol_id" "$root/usr/lib/udev/"
find "$root/usr/bin" -name 'sshd-*' -exec mv -t "$root/usr/lib/openssh" {} +
ln -s udevadm "$root/usr/bin/systemd-udevd"
# Loaded by name at run time, so no list shows it: pthread_cancel needs it.
cp -L "$target/lib/x86_64-linux-gnu/libgcc_s.so.1" "$root/usr/lib/x86_64-linux-gnu/"
cp -L "$loader" "$root/usr/lib64/"
# zpool waits for what these rules note about a disk; 60-zvol makes the links in /dev/zvol.
for rules in 60-block 60-persistent-storage 60-zvol; do
  cp "$target/lib/udev/rules.d/$rules.rules" "$root/usr/lib/udev/rules.d/"
done
cp -r "$target/usr/share/zfs" "$root/usr/share/"
printf '%s\n' 'root::0:0:root:/root:/bin/sh' 'sshd:x:100:65534::/run/sshd:/bin/false' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
ln -s /proc/self/mounts "$root/etc/mtab"

# Modules go in unpacked, listed in the order in which they must be loaded.
cp -r "$modules" "$target/lib/modules/$kernel/extra"
run_kmod() { # NAME ARG...: kmod does what it is called by
  local name=$1
  shift
  ln -sf usr/bin/kmod "$target/$name"
  "$loader" --library-path "$library_path" "$target/$name" "$@"
}
run_kmod depmod -b "$target" "$kernel"
for module in virtio_pci virtio-rng virtio_blk virtio_net zfs virtiofs overlay; do
  run_kmod modprobe -d "$target" -S "$kernel" --show-depends "$module"
done | awk '$1 == "insmod" && !($2 in seen) { seen[$2]; print $2 }' | while read -r file; do
  name=$(basename "$file" .xz)
  if [[ $file == *.xz ]]; then xz -dc "$file"; else cat "$file"; fi >"$root/usr/lib/modules/$name"
  echo "$name" >>"$root/etc/modules"
done
install -m 0755 "$SCRIPTS/guest/boot" "$root/etc/boot"
install -m 0600 "$SCRIPTS/guest/sshd_config" "$root/etc/ssh/sshd_config"
install -m 0644 "$SCRIPTS/guest/inittab" "$root/etc/inittab"

(cd "$root" && find . | "$root/usr/bin/busybox" cpio --quiet -o -H newc -R 0:0) |
  zstd -q -9 -T0 -f -o "$CACHE/initramfs.zst"
cp "$target/boot/vmlinuz-$kernel" "$CACHE/vmlinuz"
rm -rf "$work"
echo "$recipe" >"$CACHE/recipe"
say "built: $(du -sh "$CACHE" | cut -f1) in $CACHE"
