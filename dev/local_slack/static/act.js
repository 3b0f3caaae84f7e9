// Presses: a button, a menu's choice, a ticked box. First the confirm dialog, then a spinner until the bot has
// acknowledged, and a warning triangle where it hasn't within three seconds.
import { $, $$, act, me, node, t } from "./dom.js";
import { read, touched, twin, unfold, valuesIn } from "./inputs.js";

// The message or the view that an element stands in, as the admin API names it.
export function whereOf(element) {
  const view = element.closest("[data-view]");
  if (view) return { view_id: view.dataset.view };
  const message = element.closest("[data-ts]");
  return { channel: document.body.dataset.channel, ts: message.dataset.ts };
}

const frameOf = (element) => element.closest("[data-view], [data-ts]");

// Where it stands now, should the bot have redrawn around it.
function inPlace(element) {
  if (element.isConnected) return element;
  const { view, ts } = frameOf(element).dataset;
  const frame = $(view ? `[data-view="${view}"]` : `[data-ts="${ts}"]`);
  return (frame && twin(element, frame)) ?? element;
}

export async function press(pressed) {
  const template = $("template.confirm", pressed) ?? $("template.confirm", pressed.closest(".act, .overflow") ?? pressed);
  if (template && !(await confirmed(template))) return;
  const element = inPlace(pressed);
  if (element.dataset.url) window.open(element.dataset.url, "_blank", "noopener,noreferrer");
  const where = whereOf(element);
  const button = "button" in element.dataset;
  const body = {
    user: me,
    wanted: element.dataset.action,
    block_id: element.dataset.block,
    value: button ? element.dataset.value ?? null : read(element),
    values: valuesIn(frameOf(element)),
    ...where,
  };
  const key = `${where.view_id ?? where.ts}/${body.block_id}/${body.wanted}/${button ? body.value : ""}`;
  const shown = button && element.role === "menuitem" ? $("button.more", element.closest(".overflow")) : element;
  shown.dataset.busy = key;
  shown.setAttribute("aria-busy", "true");
  warn(element, false);
  const outcome = await act("press", body);
  for (const each of $$(`[data-busy="${CSS.escape(key)}"]`)) {
    delete each.dataset.busy;
    each.removeAttribute("aria-busy");
    if (where.view_id) warn(each, outcome?.warning);
  }
}

// In a message the server marks it; a view has no such marks of its own.
function warn(element, on) {
  const next = element.nextElementSibling;
  if (next?.matches(".warning")) next.remove();
  if (!on) return;
  const words = t("Slack didn't get an answer in time");
  element.after(node("span", "⚠", { class: "warning", role: "img", title: words, "aria-label": words }));
}

function confirmed(template) {
  const dialog = $("#confirm");
  dialog.replaceChildren(template.content.cloneNode(true));
  dialog.setAttribute("aria-label", $("h2", dialog).textContent);
  dialog.returnValue = "no";
  dialog.showModal();
  $("[value=yes]", dialog).focus();
  return new Promise((answer) => {
    dialog.onclick = (event) => {
      const button = event.target.closest("button");
      if (button) dialog.close(button.value);
    };
    dialog.onclose = () => answer(dialog.returnValue === "yes");
  });
}

export function listen() {
  document.addEventListener("click", (event) => {
    const more = event.target.closest("button.more");
    for (const each of $$("button.more")) unfold(each, each === more && $("[role=menu]", each.parentElement).hidden);
    const button = event.target.closest("[data-button]");
    if (button && !button.dataset.busy) press(button);
  });
  document.addEventListener("input", touched);
  document.addEventListener("change", (event) => {
    const input = event.target.closest("[data-input][data-press]");
    if (input && input.dataset.input !== "menu") press(input);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const each of $$("button.more[aria-expanded=true]")) unfold(each, false);
  });
}
