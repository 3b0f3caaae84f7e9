// The modal on top of the stack, and the home tab.
import { $, act, fragment, me } from "./dom.js";
import { swap, valuesIn } from "./inputs.js";
import { dress } from "./menu.js";

export function showModal(html) {
  const dialog = $("#modal");
  if (!html) {
    dialog.replaceChildren();
    if (dialog.open) dialog.close();
    return;
  }
  const form = fragment(html).firstElementChild;
  dress(form);
  const old = dialog.firstElementChild;
  if (old?.dataset.view === form.dataset.view) swap(old, form);
  else dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  if (!old || old.dataset.view !== form.dataset.view) {
    ($("[autofocus]", form) ?? $(".content input, .content textarea", form) ?? $("footer button", form))?.focus();
  }
}

export function showHome(html) {
  const fresh = document.createElement("div");
  fresh.append(fragment(html));
  dress(fresh);
  const box = $("#home");
  if (box.firstElementChild) swap(box.firstElementChild, fresh);
  else box.append(fresh);
}

async function submit(form) {
  const button = $("[type=submit]", form);
  if (!button || button.disabled) return;
  button.dataset.busy = "submit";
  button.disabled = true;
  await act("submit", { user: me, values: valuesIn(form) });
  if (button.isConnected) {
    delete button.dataset.busy;
    button.disabled = false;
  }
}

export function listen() {
  const dialog = $("#modal");
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(event.target);
  });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    act("close_modal", { user: me });
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-close]");
    if (button) act("close_modal", { user: me, everything: button.dataset.close === "all" });
  });
}
