// Fetches the page at intervals and updates the document node by node, so that focus, selection and
// open details are kept. Pauses while the page is hidden or the button is pressed.
"use strict";
const interval = 2000, pause = document.getElementById("pause");
const silent = document.getElementById("stale").textContent;
let timer;

function update(old, now) {
  if (old.isEqualNode(now)) return;
  const same = old.nodeName === now.nodeName && old.id === now.id;
  if (!same || old.nodeType !== Node.ELEMENT_NODE) return old.replaceWith(now);
  if (old === pause) return;
  for (const { name, value } of now.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  const a = [...old.childNodes], b = [...now.childNodes];
  b.forEach((node, i) => i < a.length ? update(a[i], node) : old.append(node));
  a.slice(b.length).forEach(node => node.remove());
}

async function refresh() {
  const begin = performance.now();
  try {
    const response = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw response.status;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    page.querySelectorAll("script, noscript").forEach((node, i) => node.remove());
    update(document.body, page.body);
    document.title = page.title;
  } catch (error) {
    const stale = document.getElementById("stale");
    stale.hidden = false;
    stale.textContent = typeof error === "number" ? `The daemon responds with status ${error}. This page shows its last state.` : silent;
  }
  // Fetch less often from a slow switch.
  next(Math.max(interval, 20 * (performance.now() - begin)));
}

function next(wait) {
  clearTimeout(timer);
  const paused = pause.getAttribute("aria-pressed") === "true";
  if (!document.hidden && !paused) timer = setTimeout(refresh, wait);
}

document.querySelectorAll("script, noscript").forEach(node => node.remove());
pause.hidden = false;
pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", pause.getAttribute("aria-pressed") !== "true");
  next(0);
});
document.addEventListener("visibilitychange", () => next(0));
next(interval);
