/**
 * Longest wait for the end of a killed runner and its commands. They may hang in the kernel, or stay zombies
 * because nobody reaps them.
 */
export const GROUP_END_LIMIT_MS = 30_000;
const GROUP_PAUSE_MS = 10;

/**
 * Kills a runner and its commands, or what is left of them, and waits until they have ended.
 * @returns whether they have.
 */
export async function endGroup(pid: number | undefined, limitMs: number): Promise<boolean> {
  if (pid === undefined) return true;
  for (const deadline = performance.now() + limitMs; performance.now() < deadline; ) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // ESRCH: the group is empty. EPERM: all that is left belongs to another user, by sudo.
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, GROUP_PAUSE_MS));
  }
  return false;
}
