// The rows of a channel or a thread. Only what changed is drawn; only a window of the newest is kept.
import { $, fragment } from "./dom.js";
import { swap } from "./inputs.js";
import { dress } from "./menu.js";

const KEPT = 200;
const TOGETHER_SECONDS = 300;
const NEAR = 80;

export class MessageList {
  constructor(box, scroller, { apart = false } = {}) {
    this.box = box;
    this.scroller = scroller;
    this.apart = apart; // the first row, a thread's parent, stands apart from its replies
    this.ended = true; // the newest row is in sight, and stays so
    scroller.addEventListener("scroll", () => (this.ended = this.atEnd()), { passive: true });
    const size = new ResizeObserver(() => this.ended && this.toEnd());
    for (const each of [scroller, box]) size.observe(each);
    this.rows = new Map();
    this.more = false;
    this.detached = false; // it shows an older part, so new rows don't follow on
  }

  fill(messages, more = false, detached = false) {
    this.rows.clear();
    this.box.replaceChildren();
    this.more = more;
    this.detached = detached;
    for (const row of messages) this.put(row);
    this.toEnd();
  }

  // Older rows, above; what is being read stays where it is.
  above(messages, more) {
    this.more = more;
    const before = this.scroller.scrollHeight - this.scroller.scrollTop;
    for (const row of messages) this.put(row);
    this.scroller.scrollTop = this.scroller.scrollHeight - before;
  }

  put({ ts, html }) {
    const made = fragment(html).firstElementChild;
    dress(made);
    const old = this.rows.get(ts);
    const stays = this.ended;
    if (old) {
      swap(old, made);
    } else {
      let next = null;
      for (let row = this.box.lastElementChild; row && row.dataset.ts > ts; row = row.previousElementSibling) next = row;
      this.box.insertBefore(made, next);
    }
    this.rows.set(ts, made);
    this.mark(made);
    this.mark(made.nextElementSibling);
    if (stays) {
      this.trim();
      this.toEnd();
    }
  }

  remove(ts) {
    const row = this.rows.get(ts);
    if (!row) return;
    const next = row.nextElementSibling;
    row.remove();
    this.rows.delete(ts);
    this.mark(next);
  }

  get oldest() {
    return this.box.firstElementChild?.dataset.ts;
  }

  atEnd() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR;
  }

  toEnd() {
    this.ended = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  show(ts) {
    const row = this.rows.get(ts);
    if (!row) return false;
    row.scrollIntoView({ block: "center" });
    row.classList.add("found");
    setTimeout(() => row.classList.remove("found"), 2500);
    return true;
  }

  trim() {
    while (this.rows.size > KEPT) {
      this.rows.delete(this.oldest);
      this.box.firstElementChild.remove();
      this.more = true;
      this.mark(this.box.firstElementChild);
    }
  }

  mark(row) {
    if (!row) return;
    const above = row.previousElementSibling;
    const newDay = above?.dataset.day !== row.dataset.day;
    row.classList.toggle("newday", newDay);
    row.classList.toggle("grouped",
      !newDay && above.dataset.author === row.dataset.author && row.dataset.ts - above.dataset.ts < TOGETHER_SECONDS
      && !$(".note", row) && !(this.apart && above === this.box.firstElementChild) && !above.matches(".ephemeral"));
  }
}
