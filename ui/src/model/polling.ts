/**
 * Runs `work` now and then again `everyMs()` after it has ended, as long as the page can be seen. An interval of
 * undefined waits for `poke`, which runs it at once.
 */
export interface Polling {
  poke(): void;
  stop(): void;
}

export function startPolling(work: () => Promise<void>, everyMs: () => number | undefined): Polling {
  let timer: number | undefined;
  let isRunning = false;
  /** Asked for while the work was running. */
  let again = false;
  let hasStopped = false;

  async function run(): Promise<void> {
    clearTimeout(timer);
    if (hasStopped) return;
    if (isRunning) {
      again = true;
      return;
    }
    isRunning = true;
    await work();
    isRunning = false;
    if (again) {
      again = false;
      return run();
    }
    const ms = everyMs();
    if (ms !== undefined && !hasStopped) timer = setTimeout(() => void (document.hidden || run()), ms);
  }

  const onVisible = () => void (document.hidden || run());
  document.addEventListener("visibilitychange", onVisible);
  void run();
  return {
    poke: () => void run(),
    stop: () => {
      hasStopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    },
  };
}
