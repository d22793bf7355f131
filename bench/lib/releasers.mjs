// @ts-check

/**
 * What a bench has opened, to be given back in the reverse order however it ends.
 * @typedef {object} Releasers
 * @property {(release: () => unknown) => void} defer notes how to give something back
 * @property {() => Promise<void>} releaseAll a releaser that fails is printed and the others run on
 */

/** @returns {Releasers} */
export function createReleasers() {
  /** @type {(() => unknown)[]} */
  const stack = [];
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
    // A bench that fails because it is being interrupted waits for what the interruption releases.
    releaseAll: () => {
      last = last.then(releaseRest);
      return last;
    },
  };
}
