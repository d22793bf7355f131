/**
 * The table that a channel program returned, by Lua's indexes, which begin at 1. `zfs program
 * -j` prints it in one line as `{"return":{…}}`, but a prefix such as ssh or sudo may print
 * lines around it. @returns undefined if there is no such line.
 */
export function programResult(stdout: string): Readonly<Record<string, unknown>> | undefined {
  for (const line of stdout.split("\n")) {
    if (!line.trimStart().startsWith("{")) continue;
    try {
      const { return: result }: { readonly return?: unknown } = JSON.parse(line);
      if (typeof result === "object" && result !== null) return Object.fromEntries(Object.entries(result));
    } catch {
      // Not the line of the program.
    }
  }
  return undefined;
}
