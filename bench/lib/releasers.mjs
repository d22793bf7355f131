// @ts-check

/**
 * Gives back what a bench has opened, in the reverse order, however the bench ends.
 * @typedef {object} Releasers
 * @property {(release: () => unknown) => void} defer adds a function that gives something back
 * @property {() => Promise<void>} releaseAll runs and removes all of them; the error of one is printed and the others still run
 */

/** @returns {Releasers} */
export function createReleasers() {
  /** @type {(() => unknown)[]} */
  const stack = [];
  /** The last call of releaseAll. The next one starts when it has ended, so that releasers never run at the same time. */
  let last = Promise.resolve();

  async function releaseRest() {
    for (let release = stack.pop(); release; release = stack.pop()) {
      try {
        await release();
      } catch (error) {
        process.stderr.write(`could not clean up: ${error}\n`);
      }
    }
  }

  return {
    defer: (release) => {
      stack.push(release);
    },
    // An interrupted bench fails while the signal handler releases. Its own call waits for the handler's.
    releaseAll: () => {
      last = last.then(releaseRest);
      return last;
    },
  };
}
