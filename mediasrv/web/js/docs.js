/** The API page: the server's own OpenAPI description, and what the addresses answer right now. */

import { create, element } from "./dom.js";

async function show() {
  const list = element("operations");
  const description = await fetchJson("/openapi.json");
  const cards = [];
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      cards.push(await card(path, method, operation));
    }
  }
  list.replaceChildren(...cards);
}

async function card(path, method, operation) {
  const made = create("section", "operation");
  const title = create("h2");
  title.append(create("span", "method", method.toUpperCase()), create("code", "", path));
  made.append(title, create("p", "", operation.description ?? operation.summary ?? ""));
  if (method === "get" && !path.includes("{")) {
    made.append(create("pre", "", JSON.stringify(await fetchJson(path), null, 2)));
  }
  return made;
}

async function fetchJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}.`);
  return response.json();
}

show().catch((error) => {
  element("operations").replaceChildren(
    create("p", "small", `The description could not be read. ${error.message}`),
  );
});
