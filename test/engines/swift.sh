#!/usr/bin/env bash
# OpenStack Swift with its s3api, with one device in a folder, on loopback.
#   swift.sh FOLDER
#   swift.sh --check    only tells whether its packages are there
# Keeps all its files in the folder, which must be empty, on a file system with user xattrs. Prints endpoint, access,
# secret, version and "ready", a line each, and runs until its standard input ends. Then all its processes have ended. See
# lifecycle.sh for what it reads.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lifecycle.sh"
need_packages swift-proxy swift-account swift-container swift-object memcached python3
open_folder "$@"

ACCESS=engines:tester
SECRET=enginessecret
read -r account container object cache port < <(free_ports 5)
mkdir -p "$FOLDER"/devices/d1 "$FOLDER"/cache
cat >"$FOLDER/swift.conf" <<END
[swift-hash]
swift_hash_path_suffix = engines
swift_hash_path_prefix = engines
[storage-policy:0]
name = one
default = yes
END
printf '[memcache]\nmemcache_servers = 127.0.0.1:%s\n' "$cache" >"$FOLDER/memcache.conf"

common() { # PORT
  cat <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $1
workers = 0
user = $(id -un)
swift_dir = $FOLDER
devices = $FOLDER/devices
mount_check = false
disable_fallocate = true
log_level = WARNING
log_name = swift
END
}
for kind in account container object; do
  {
    common "${!kind}"
    printf '[pipeline:main]\npipeline = %s-server\n' "$kind"
    printf '[app:%s-server]\nuse = egg:swift#%s\n' "$kind" "$kind"
    # What was written is not to be kept through a crash of the machine.
    if [[ $kind == object ]]; then printf 'mb_per_sync = 0\n'; fi
  } >"$FOLDER/$kind-server.conf"
  builder=$FOLDER/$kind.builder
  {
    swift-ring-builder "$builder" create 4 1 1
    swift-ring-builder "$builder" add "r1z1-127.0.0.1:${!kind}/d1" 1
    swift-ring-builder "$builder" rebalance
  } >>"$FOLDER/rings.log"
done
{
  common "$port"
  cat <<END
[pipeline:main]
pipeline = catch_errors cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$cache
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_engines_tester = $SECRET .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
END
} >"$FOLDER/proxy-server.conf"

run_aside memcached memcached -l 127.0.0.1 -p "$cache" -U 0 -u "$(id -un)"
for kind in account container object; do
  run_aside "$kind" "swift-$kind-server" "$FOLDER/$kind-server.conf"
done
for kind in account container object cache; do await "the $kind server" listens_at "${!kind}"; done

start_front() {
  run_aside proxy swift-proxy-server "$FOLDER/proxy-server.conf"
  front=$started
  await "the proxy" listens_at "$port"
}
start_front
serve "$port" "$ACCESS" "$SECRET" "$(dpkg-query --show --showformat='${Version}' swift-proxy)"
