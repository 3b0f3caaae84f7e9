// The one stream of changes. It waits while somebody presses and while the page is being filled: nothing is redrawn
// under a finger, and nothing that comes meanwhile is lost.
import { me } from "./dom.js";

const PRESSABLE = "button, a, label, [role=option]";
const LONGEST_PRESS_MS = 5000;
const waiting = [];
let held = 0;
let tell = {};

export async function undisturbed(work) {
  held += 1;
  try {
    return await work();
  } finally {
    held -= 1;
    settle();
  }
}

function settle() {
  while (!held && waiting.length) {
    const event = waiting.shift();
    tell[event.kind](event);
  }
}

export function listen(boot, told, lost) {
  tell = told;
  const stream = new EventSource(`/page/${me}/stream?since=${boot.seq}&run=${boot.run}&born=${boot.born}`);
  stream.onmessage = (message) => {
    waiting.push(...JSON.parse(message.data));
    settle();
    document.body.dataset.heard = message.lastEventId;
  };
  stream.onopen = () => (document.body.dataset.stream = "open");
  stream.onerror = () => {
    document.body.dataset.stream = "lost";
    lost();
  };
}

// From the finger's touch until after the click that it makes.
let lift = () => {};
addEventListener("pointerdown", (event) => {
  lift();
  if (!event.target.closest?.(PRESSABLE)) return;
  undisturbed(() => new Promise((lifted) => {
    lift = lifted;
    setTimeout(lifted, LONGEST_PRESS_MS);
  }));
}, true);
addEventListener("pointerup", () => setTimeout(lift, 0), true);
for (const end of ["pointercancel", "blur"]) addEventListener(end, () => lift());
