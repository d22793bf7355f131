import type { Config } from "../config/schema.js";
import { hideSecrets, shownArgv } from "./hidden-secrets.js";

/** The configuration with all defaults as JSON, its commands without passwords. */
export function configText(config: Config): string {
  const pools = config.pools.map((pool) => {
    if (pool.driver === "embedded") return pool;
    const { zfsCommand, zpoolCommand, kstatCommand } = pool;
    return {
      ...pool,
      zfsCommand: shownArgv(zfsCommand),
      zpoolCommand: shownArgv(zpoolCommand),
      ...(kstatCommand ? { kstatCommand: shownArgv(kstatCommand) } : {}),
    };
  });
  const { tracing } = config;
  const shown = tracing && {
    ...tracing,
    url: hideSecrets(tracing.url),
    headers: Object.fromEntries(Object.keys(tracing.headers).map((name) => [name, "…"])),
  };
  return JSON.stringify({ ...config, pools, ...(shown && { tracing: shown }) }, null, 2);
}
