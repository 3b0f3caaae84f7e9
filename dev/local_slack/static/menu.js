// One menu for all of Block Kit's selects: a box to type in and a list below. Options come with the page, or
// from the bot as one types.
import { $, $$, act, me, node, t } from "./dom.js";
import { press, whereOf } from "./act.js";

const WAIT_MS = 150;
const chosenIn = (menu) => JSON.parse(menu.dataset.chosen);
let loads = 0;

export function dress(root) {
  for (const menu of $$(".menu[data-multi]", root)) chips(menu);
}

function chips(menu) {
  const shown = chosenIn(menu).map((each) => {
    const chip = node("span", each.label, { class: "chip" });
    const remove = node("button", "✕", { type: "button", "aria-label": t("Remove {name}", { name: each.label }) });
    remove.dataset.unchoose = each.value;
    chip.append(remove);
    return chip;
  });
  $(".chips", menu).replaceChildren(...shown);
}

function close(menu) {
  const box = $("[role=combobox]", menu);
  $("[role=listbox]", menu).hidden = true;
  box.setAttribute("aria-expanded", "false");
  box.removeAttribute("aria-activedescendant");
  const [one] = chosenIn(menu);
  if (!("multi" in menu.dataset)) box.value = box.value === "" && !("press" in menu.dataset) ? "" : one?.label ?? "";
  if (box.value === "" && one && !("multi" in menu.dataset)) menu.dataset.chosen = "[]";
}

// `active` is the value of the option to point at; without it that is the first one.
async function open(menu, query, active) {
  menu.dataset.query = query;
  const list = $("[role=listbox]", menu);
  const box = $("[role=combobox]", menu);
  list.hidden = false;
  box.setAttribute("aria-expanded", "true");
  if (menu.dataset.source === "page") {
    const options = JSON.parse(menu.dataset.options);
    draw(menu, options.filter((each) => each.label.toLowerCase().includes(query.toLowerCase())), active);
    return;
  }
  if (query.length < Number(menu.dataset.min)) {
    list.replaceChildren(node("p", t("Type to search"), { class: "none" }));
    return;
  }
  const load = ++loads;
  list.replaceChildren(node("p", t("Loading…"), { class: "none" }));
  await new Promise((done) => setTimeout(done, WAIT_MS));
  if (load !== loads) return;
  const body = { user: me, action_id: menu.dataset.action, query, ...whereOf(menu) };
  const found = (await act("options", body)) ?? [];
  if (load !== loads || list.hidden) return;
  draw(menu, found.map((option) => ({
    label: option.text.text, value: option.value, hint: option.description?.text, option,
  })), active);
}

function draw(menu, options, active) {
  const chosen = new Set(chosenIn(menu).map((each) => each.value));
  const list = $("[role=listbox]", menu);
  const rows = [];
  let group;
  options.forEach((each, n) => {
    if (each.group !== group) rows.push(node("p", (group = each.group) ?? "", { class: "group" }));
    const row = node("span", each.label, {
      role: "option", id: `${menu.dataset.block}-${menu.dataset.action}-${n}`, "aria-selected": chosen.has(each.value),
    });
    if (each.hint) row.append(node("small", each.hint));
    row.pick = each;
    rows.push(row);
  });
  list.replaceChildren(...(rows.length ? rows : [node("p", t("No results"), { class: "none" })]));
  point(menu, $$("[role=option]", list).find((row) => row.pick.value === active) ?? $("[role=option]", list));
}

function point(menu, row) {
  for (const each of $$(".active", menu)) each.classList.remove("active");
  if (!row) return;
  row.classList.add("active");
  row.scrollIntoView({ block: "nearest" });
  $("[role=combobox]", menu).setAttribute("aria-activedescendant", row.id);
}

function choose(menu, option) {
  const multi = "multi" in menu.dataset;
  const before = chosenIn(menu);
  const without = before.filter((each) => each.value !== option.value);
  const now = !multi ? [option] : without.length === before.length ? [...before, option] : without;
  menu.dataset.chosen = JSON.stringify(now);
  menu.dataset.touched = "";
  $("[role=combobox]", menu).value = multi ? "" : option.label;
  if (multi) chips(menu);
  close(menu);
  if ("press" in menu.dataset) press(menu);
}

export function listen() {
  document.addEventListener("input", (event) => {
    const menu = event.target.closest(".menu");
    if (menu) open(menu, event.target.value);
  });
  document.addEventListener("reopen", (event) => {
    open(event.target.closest(".menu"), event.detail.query, event.detail.active);
  });
  document.addEventListener("click", (event) => {
    const menu = event.target.closest(".menu");
    for (const other of $$(".menu:has([aria-expanded=true])")) if (other !== menu) close(other);
    if (!menu) return;
    const row = event.target.closest("[role=option]");
    const unchoose = event.target.closest("[data-unchoose]");
    if (row) choose(menu, row.pick);
    else if (unchoose) choose(menu, { value: unchoose.dataset.unchoose });
    else if (event.target.matches("[role=combobox]") && event.target.getAttribute("aria-expanded") === "false") {
      event.target.select();
      open(menu, "");
    }
  });
  document.addEventListener("focusout", (event) => {
    const menu = event.target.closest?.(".menu");
    if (menu && !menu.contains(event.relatedTarget)) setTimeout(() => menu.isConnected && close(menu), WAIT_MS);
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest(".menu");
    if (!menu || !event.target.matches("[role=combobox]")) return;
    const rows = $$("[role=option]", menu);
    const at = rows.findIndex((row) => row.classList.contains("active"));
    const closed = $("[role=listbox]", menu).hidden;
    if (event.key === "ArrowDown" && closed) open(menu, "");
    else if (event.key === "ArrowDown") point(menu, rows[Math.min(at + 1, rows.length - 1)]);
    else if (event.key === "ArrowUp") point(menu, rows[Math.max(at - 1, 0)]);
    else if (event.key === "Enter") closed || !rows[at] || choose(menu, rows[at].pick);
    else if (event.key === "Escape" && !closed) close(menu);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}

