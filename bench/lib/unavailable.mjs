// @ts-check
/** Thrown by a bench, or a part of one, that cannot run here. The message says what is missing. */
export class Unavailable extends Error {}
