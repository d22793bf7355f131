/** Lines that work as they are, by the path of their command. They are in its help, and in its man page. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  imagestore: [
    "imagestore image pack disk.raw -o images/golden.zfs",
    "imagestore image serve images",
    "imagestore image request golden",
    "imagestore guest create-disks web1 --disk image=golden",
    "imagestore snapshot create guests/web1/disk-0 before",
    "imagestore snapshot download guests/web1/disk-0@before -o web1.zfs",
    "imagestore snapshot rollback guests/web1/disk-0@before",
    "imagestore event watch",
  ],
  "imagestore serve": [
    "imagestore serve --config /etc/imagestore/imagestore.json",
    "imagestore serve --zpool tank --log-level info --log-format pretty",
  ],
  "imagestore image": [
    "imagestore image pack disk.raw -o images/golden.zfs",
    "imagestore image serve images",
    "imagestore image request golden --type kvm",
    "imagestore image list",
  ],
  "imagestore volume": [
    "imagestore volume create guests/db/data --size 10G",
    "imagestore volume list --watch 5",
    "imagestore volume delete guests/db/data",
  ],
  "imagestore snapshot": [
    "imagestore snapshot create guests/db/data before-upgrade",
    "imagestore snapshot list guests/db",
    "imagestore snapshot download guests/db/data@before-upgrade -o db.zfs",
    "imagestore snapshot rollback guests/db/data@before-upgrade",
  ],
  "imagestore guest": [
    "imagestore guest create-disks web1 --disk image=golden --disk size=20G",
    "imagestore guest delete-disks web1",
  ],
  "imagestore pool": ["imagestore pool status", "imagestore pool status tank -H -p"],
  "imagestore backup": [
    "imagestore backup create guests/db/data@monday --profile offsite",
    "imagestore backup list guests/db/data --profile offsite",
    "imagestore backup restore 7311029383465519301 guests/db/data-old --profile offsite",
  ],
  "imagestore bookmark": [
    "imagestore bookmark create guests/db/data@before-upgrade kept",
    "imagestore bookmark list",
  ],
  "imagestore job": ["imagestore job list --state running", "imagestore job list --watch"],
  "imagestore audit": [
    "imagestore audit list guests/web1 --since 7d",
    "imagestore audit list --outcome access.denied --json",
  ],
  "imagestore event": ["imagestore event watch", "imagestore event watch --topics snapshot,image --json"],
  "imagestore top": ["imagestore top", "imagestore top --once --sort p99", "imagestore top --json"],
  "imagestore context": [
    "imagestore context add lab --url http://lab:19999 --token-file lab.token",
    "imagestore context use lab",
    "imagestore pool status --context lab",
  ],
  "imagestore call": ["imagestore call GetPool", 'imagestore call GetImage \'{"id":"golden"}\''],
  "imagestore token": [
    "imagestore token create --role operate --label agent",
    "imagestore token list",
    "imagestore token revoke 1c2cbe832861",
  ],
};
