/** Why a command can't do what it was asked, in one line that says what to mend. */
export class Refusal extends Error {}
