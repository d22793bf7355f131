import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Writes a program that answers as `zfs` and `zpool` do for an idle pool without guests. What ends
 * with `POOL/hanging` or `hangs` does not end. `zfs create` of `busy` takes most of a second and then says that it is busy.
 * @returns the settings of the pool.
 */
export function standInPool(folder: string, name: string, hangs = "(nothing)") {
  const path = join(folder, `stand-in-zfs-${name}`);
  // One daemon of this machine may have a pool with this guid.
  const guid = randomInt(2 ** 47);
  const row = (dataset: string, guid: number) => `${dataset}\\tfilesystem\\t${guid}\\t1\\t-\\t0\\t-\\n`;
  const script = `#!/bin/sh
case "$*" in
  *"${hangs}") exec sleep 600 ;;
  "list -Hp -o health,guid ${name}") printf 'ONLINE\\t${guid}\\n' ;;
  version) echo zfs-0.0-stand-in ;;
  *${name}/hanging) exec sleep 600 ;;
  "create "*${name}/busy) sleep 0.7; echo "cannot create '${name}/busy': dataset is busy" >&2; exit 1 ;;
  "list "*"name,type,"*"-r "*) ;;
  "list "*" ${name}") printf '${row(name, 1)}' ;;
esac
`;
  writeFileSync(path, script, { mode: 0o755 });
  const command = [path];
  return {
    ...{ name, driver: "openzfs", zfsCommand: command, zpoolCommand: command, kstatCommand: [] },
    deviceWaitMs: 0,
  };
}
