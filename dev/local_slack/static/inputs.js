// What stands in the inputs of a message or a view: read for the bot, and kept when the bot redraws around it.
import { $, $$ } from "./dom.js";

// The same element in what was drawn anew. A block that the bot gave no id has another one by then.
export function twin(element, root) {
  const { block, action, value } = element.dataset;
  if (action === undefined) return null;
  const named = `[data-action="${CSS.escape(action)}"]`;
  const valued = value === undefined ? named : `${named}[data-value="${CSS.escape(value)}"]`;
  const placed = `[data-block="${CSS.escape(block)}"]`;
  return $(placed + valued, root) ?? $(placed + named, root) ?? $(valued, root) ?? $(named, root);
}

// The menu behind a button with three dots.
export function unfold(more, open) {
  $("[role=menu]", more.parentElement).hidden = !open;
  more.setAttribute("aria-expanded", open);
}

export function read(input) {
  switch (input.dataset.input) {
    case "menu": {
      const chosen = JSON.parse(input.dataset.chosen).map((each) =>
        input.dataset.source === "bot" ? each.option : each.value);
      return "multi" in input.dataset ? chosen : chosen[0] ?? null;
    }
    case "one":
      return $("input:checked", input)?.value ?? null;
    case "some":
      return $$("input:checked", input).map((each) => each.value);
    case "datetime-local":
      return input.value ? Math.floor(new Date(input.value).getTime() / 1000) : null;
    default:
      return input.value === "" ? null : input.value;
  }
}

function write(input, from) {
  switch (input.dataset.input) {
    case "menu":
      input.dataset.chosen = from.dataset.chosen;
      $("input", input).value = $("input", from).value;
      break;
    case "one":
    case "some": {
      const checked = new Set($$("input:checked", from).map((each) => each.value));
      for (const each of $$("input", input)) each.checked = checked.has(each.value);
      break;
    }
    default:
      input.value = from.value;
  }
}

// By `block/action`, as the server takes it.
export function valuesIn(root) {
  const found = {};
  for (const input of $$("[data-input]", root)) {
    found[`${input.dataset.block}/${input.dataset.action}`] = read(input);
  }
  return found;
}

export function touched(event) {
  event.target.closest("[data-input]")?.setAttribute("data-touched", "");
}

// Puts `fresh` where `old` stood: typed words, the focus, open menus and a waiting button stay.
export function swap(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const owner = focused?.closest("[data-action]");
  const menuOpen = focused?.matches("[role=combobox][aria-expanded=true]");
  const active = menuOpen && $(".active", owner)?.pick.value;
  const selection = focused && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  for (const input of $$("[data-touched]", old)) {
    const now = twin(input, fresh);
    if (now?.dataset.input === input.dataset.input) {
      write(now, input);
      now.dataset.touched = "";
    }
  }
  for (const waiting of $$("[data-busy]", old)) {
    const now = twin(waiting, fresh);
    now?.setAttribute("data-busy", waiting.dataset.busy);
    now?.setAttribute("aria-busy", "true");
  }
  for (const more of $$("button.more[aria-expanded=true]", old)) {
    const item = twin($("[role=menuitem]", more.parentElement), fresh);
    const now = item && $("button.more", item.closest(".overflow"));
    if (now) unfold(now, true);
  }
  old.replaceWith(fresh);
  if (!owner) return;
  const now = twin(owner, fresh);
  const target = now?.matches("input, textarea, button") ? now : now && $("input, button", now);
  target?.focus({ preventScroll: true });
  if (selection?.[0] != null && target?.setSelectionRange) {
    try {
      target.setSelectionRange(...selection);
    } catch {
      // Inputs for numbers and dates have no selection.
    }
  }
  if (menuOpen) {
    const detail = { query: owner.dataset.query, active };
    target?.dispatchEvent(new CustomEvent("reopen", { bubbles: true, detail }));
  }
}
