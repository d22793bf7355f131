import { setUpEmbedded } from "./conformance.js";

export default setUpEmbedded;
