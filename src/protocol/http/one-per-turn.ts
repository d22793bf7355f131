/**
 * Runs pieces of work that each take a while, one in each turn of the event loop: what else is ready
 * is done between them.
 */
export function createOnePerTurn(): (work: () => void) => void {
  const waiting: (() => void)[] = [];
  const runNext = () => {
    const work = waiting.shift();
    if (waiting.length > 0) setImmediate(runNext);
    work?.();
  };
  return (work) => {
    if (waiting.push(work) === 1) setImmediate(runNext);
  };
}
