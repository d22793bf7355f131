// @ts-check
/**
 * `jsonProblem` of src/protocol/json-rpc/json.ts by JSON.parse alone.
 * @param {string} text @returns {string | undefined} what is wrong with the text, undefined for good JSON
 */
export function jsonProblem(text) {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
