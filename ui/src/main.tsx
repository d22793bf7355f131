import { render } from "preact";
import { createSession } from "./model/session.ts";
import { App } from "./view/app.tsx";

const session = createSession();
void session.ask();
const page = document.getElementById("page");
if (page) render(<App session={session} />, page);
