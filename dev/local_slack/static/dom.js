// What every part of the page needs: elements, words, and the way to the server. Markup comes from the server
// only, where it was escaped; what people type goes into textContent and values.

export const me = location.pathname.split("/")[2];
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

let words = {};

export function speak(found) {
  words = found;
  for (const each of $$("[data-t]")) each.textContent = t(each.textContent);
  for (const each of $$("[data-label]")) each.setAttribute("aria-label", t(each.dataset.label));
}

export function t(sentence, values = {}) {
  const said = words[sentence] ?? sentence;
  return said.replace(/{(\w+)}/g, (whole, name) => values[name] ?? whole);
}

export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

export function node(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export async function look(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const answer = await fetch(`/page/${me}/${path}?${new URLSearchParams(given)}`);
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

// One action of the admin API. What isn't possible is said to the person, and is undefined.
export async function act(action, body = {}) {
  const answer = await fetch(`/admin/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await answer.json();
  if (answer.ok) return content.result ?? null;
  toast(content.error);
  return undefined;
}

let fading;

export function toast(text) {
  const box = $("#toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (box.hidden = true), 6000);
}
