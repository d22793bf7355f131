#!/usr/bin/env bash
# Makes, once, what a VM with real OpenZFS boots from: a kernel and an initramfs,
# of Debian packages alone, with the zfs modules compiled here. Installs nothing.
#   OPENZFS_VM_CACHE   folder to build in    (default ~/.cache/imagestore/openzfs-vm)
#   OPENZFS_VM_SUITE   bookworm-backports: OpenZFS 2.3 (default); bookworm: 2.1
#   OPENZFS_VM_MIRROR  Debian mirror         (default: the one in apt's sources)
# Exit status: 0 made or up to date, 3 this machine lacks something, 1 anything else.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/env.sh"

suite=${OPENZFS_VM_SUITE:-bookworm-backports}
modules_source=
headers_dir=

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

lacking() {
  printf 'build.sh: %s\n' "$*" >&2
  exit 3
}

# --- what the host must have ----------------------------------------------------
declare -A package_of=([apt-get]=apt [dpkg-deb]=dpkg [gcc-12]=gcc-12 [make]=make [xz]=xz-utils
  [zstd]=zstd [flock]=util-linux [ssh]=openssh-client [unshare]=util-linux [sha256sum]=coreutils)
absent=()
for tool in "${!package_of[@]}"; do
  command -v "$tool" >/dev/null || absent+=("${package_of[$tool]}")
done
((${#absent[@]} == 0)) || lacking "missing tools; apt-get install -y ${absent[*]}"
[[ $(uname -m) == x86_64 ]] || lacking "the VM is x86_64, this machine is $(uname -m)"

mkdir -p "$CACHE"
exec {lock}>"$CACHE/lock"
flock "$lock"
recipe=$( (cat "$SCRIPTS/build.sh" "$SCRIPTS/env.sh" "$SCRIPTS"/guest/*; echo "$suite") | sha256sum)
if [[ -f $CACHE/recipe && $(<"$CACHE/recipe") == "$recipe" ]]; then
  echo "up to date: $CACHE"
  exit 0
fi
# Without this file nothing in the cache counts as built; it is written last.
rm -f "$CACHE/recipe"

mirror=${OPENZFS_VM_MIRROR:-}
if [[ ! $mirror ]]; then
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(RELEASE) $(SITE)' | awk '$1 == "bookworm" { print $2; exit }')
fi
[[ $mirror ]] || lacking "apt has no Debian bookworm mirror; set OPENZFS_VM_MIRROR"

# --- packages, through an apt of our own: the host's sources stay as they are -----
work=$CACHE/work
rm -rf "$work"
mkdir -p "$work"/{apt/lists/partial,apt/archives/partial,debs,target,kernel,root}
for each in bookworm bookworm-updates bookworm-backports; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $each main contrib"
done >"$work/apt/sources.list"
apt_options=(-q -o "Dir::Etc::SourceList=$work/apt/sources.list" -o Dir::Etc::SourceParts=-
  -o "Dir::State::Lists=$work/apt/lists" -o "Dir::Cache=$work/apt" -o "Dir::Cache::Archives=$work/apt/archives"
  -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)

dependencies() { # PACKAGE: what it depends on, real packages only
  apt-cache "${apt_options[@]}" depends "$1" | awk '$1 == "Depends:" && $2 !~ /^</ { print $2 }'
}

unpack() { # FOLDER PACKAGE...: download and unpack, without configuring anything
  local folder=$1 deb
  shift
  (cd "$work/debs" && apt-get "${apt_options[@]}" download "$@" >/dev/null)
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$folder"; done
  rm -f "$work"/debs/*.deb
}

say "reading package lists"
apt-get "${apt_options[@]}" update >/dev/null
kernel=$(dependencies "linux-image-cloud-amd64/$suite" | sed -n 's/^linux-image-//p')
[[ $kernel ]] || fail "no cloud kernel in $suite"
mapfile -t header_packages < <(dependencies "linux-headers-$kernel" | grep -E '^linux-(headers|kbuild)-')

say "downloading kernel $kernel and OpenZFS of $suite"
unpack "$work/kernel" "linux-image-$kernel" "linux-headers-$kernel" "${header_packages[@]}" "zfs-dkms/$suite"
mapfile -t zfs_libraries < <(dependencies "zfsutils-linux/$suite" | grep -E '^lib(nvpair|uutil|zfs|zpool)[0-9]')
unpack "$work/target" "zfsutils-linux/$suite" "${zfs_libraries[@]/%//$suite}" \
  busybox-static openssh-server openssh-client udev kmod \
  libc6 libgcc-s1 libssl3 libudev1 libblkid1 libuuid1 zlib1g libzstd1 liblzma5 libcap2 libacl1 libkmod2 \
  libselinux1 libpcre2-8-0 libcrypt1 libpam0g libaudit1 libcap-ng0 libwrap0 libnsl2 libsystemd0 libgcrypt20 \
  libgpg-error0 liblz4-1 libtirpc3 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2
if ! command -v qemu-system-x86_64 >/dev/null && [[ ! -x $CACHE/qemu/usr/bin/qemu-system-x86_64 ]]; then
  say "downloading QEMU"
  mapfile -t qemu_packages < <(
    apt-get "${apt_options[@]}" install --simulate --no-install-recommends qemu-system-x86 | awk '$1 == "Inst" { print $2 }'
  )
  rm -rf "$CACHE/qemu" "$work/qemu"
  mkdir "$work/qemu"
  unpack "$work/qemu" "${qemu_packages[@]}"
  mv "$work/qemu" "$CACHE/qemu"
fi

# --- the modules, kept by kernel and version: the only slow part -------------------
modules_source=$(echo "$work"/kernel/usr/src/zfs-*)
modules=$CACHE/modules-$kernel-${modules_source##*/}
if [[ ! -f $modules/zfs.ko ]]; then
  say "compiling ${modules_source##*/}; log: $CACHE/modules.log"
  headers_dir=$work/kernel/usr/src/linux-headers-$kernel
  common_dir=$(echo "$work"/kernel/usr/src/linux-headers-*-common)
  # The headers' Makefile names its place in the host's file system.
  sed -i "s#/usr/src/#$work/kernel/usr/src/#" "$headers_dir/Makefile"
  # Only good for BTF, for which configure would ask for pahole.
  rm -f "$headers_dir/vmlinux"
  (
    cd "$modules_source"
    export KCFLAGS=-g0
    ./configure --with-config=kernel --disable-dependency-tracking --with-linux="$common_dir" \
      --with-linux-obj="$headers_dir" && make -j"$(nproc)"
  ) >"$CACHE/modules.log" 2>&1 || fail "OpenZFS does not compile, see $CACHE/modules.log"
  rm -rf "$work/modules"
  mkdir "$work/modules"
  find "$modules_source/module" -name '*.ko' -exec strip --strip-debug {} + -exec cp -t "$work/modules" {} +
  mv "$work/modules" "$modules"
fi

# --- the initramfs: busybox, zfs, udev, sshd --------------------------------------
say "putting the initramfs together"
root=$work/root target=$work/target
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

loader=$target/lib64/ld-linux-x86-64.so.2
library_path=$target/lib/x86_64-linux-gnu:$target/usr/lib/x86_64-linux-gnu
programs=("$target"/sbin/{zfs,zpool,zdb,zstream} "$target/usr/sbin/sshd" "$target/usr/bin/ssh-keygen"
  "$target/bin/udevadm" "$target/lib/udev/zvol_id")
for program in "${programs[@]}"; do
  name=${program##*/}
  rm -f "$root/usr/bin/$name" # a busybox applet may have the name
  install "$program" "$root/usr/bin/$name"
  "$loader" --library-path "$library_path" --list "$program"
done | awk '/=> not found/ { print "missing " $1; exit 1 } $2 == "=>" { print $3 }' | sort -u |
  xargs cp -L --target-directory="$root/usr/lib/x86_64-linux-gnu"
mv "$root/usr/bin/zvol_id" "$root/usr/lib/udev/"
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
cp -r "$modules" "$work/kernel/lib/modules/$kernel/extra"
run_kmod() { # NAME ARG...: kmod does what it is called by
  local name=$1
  shift
  ln -sf bin/kmod "$target/$name"
  "$loader" --library-path "$library_path" "$target/$name" "$@"
}
run_kmod depmod -b "$work/kernel" "$kernel"
for module in virtio_pci virtio-rng virtio_blk virtio_net zfs virtiofs overlay; do
  run_kmod modprobe -d "$work/kernel" -S "$kernel" --show-depends "$module"
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
cp "$work/kernel/boot/vmlinuz-$kernel" "$CACHE/vmlinuz"
rm -rf "$work"
echo "$recipe" >"$CACHE/recipe"
say "built: $(du -sh "$CACHE" | cut -f1) in $CACHE"
