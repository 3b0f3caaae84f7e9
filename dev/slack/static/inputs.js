// What stands in the inputs of a message or a view: read for the bot, and kept when the bot redraws around it.
import { $, $$ } from "./dom.js";

const same = (input) =>
  `[data-block="${CSS.escape(input.dataset.block)}"][data-action="${CSS.escape(input.dataset.action)}"]`;

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

// Puts `fresh` where `old` stood: typed words, the focus, an open menu and a waiting button stay.
export function swap(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const owner = focused?.closest("[data-action]");
  const menuOpen = focused?.matches("[role=combobox][aria-expanded=true]");
  const selection = focused && "selectionStart" in focused ? [focused.selectionStart, focused.selectionEnd] : null;
  for (const input of $$("[data-touched]", old)) {
    const twin = $(`[data-input="${input.dataset.input}"]${same(input)}`, fresh);
    if (twin) {
      write(twin, input);
      twin.dataset.touched = "";
    }
  }
  for (const waiting of $$("[data-busy]", old)) {
    const twin = $(`button${same(waiting)}`, fresh);
    if (twin) twin.dataset.busy = waiting.dataset.busy;
  }
  old.replaceWith(fresh);
  if (!owner) return;
  const twin = $(same(owner), fresh);
  const target = twin?.matches("input, textarea, button") ? twin : twin && $("input, button", twin);
  target?.focus({ preventScroll: true });
  if (selection?.[0] != null && target?.setSelectionRange) {
    try {
      target.setSelectionRange(...selection);
    } catch {
      // Inputs for numbers and dates have no selection.
    }
  }
  if (menuOpen) target?.dispatchEvent(new Event("input", { bubbles: true })); // as if typed: the list is looked up anew
}
