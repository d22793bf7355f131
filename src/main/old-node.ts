/**
 * Ends the process with one clear line where Node is too old for anything else to load. Imported
 * before everything else, and needs nothing itself.
 */
const OLDEST_NODE = 20;

if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  process.stderr.write(
    `imagestore needs Node ${OLDEST_NODE} or newer, and this is Node ${process.versions.node}\n`,
  );
  process.exit(1);
}

export {};
