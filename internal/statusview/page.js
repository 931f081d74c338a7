// Asks for the page again and again and brings this one up to it, node by node,
// so that what is focused, opened or selected stays so. While nobody looks, or
// the button holds it, it rests.
"use strict";
const least = 2000, hold = document.getElementById("hold");
let timer;

function update(old, now) {
  if (old.isEqualNode(now)) return;
  const same = old.nodeName === now.nodeName && old.id === now.id;
  if (!same || old.nodeType !== Node.ELEMENT_NODE) return old.replaceWith(now);
  if (old === hold) return;
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
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw answer.status;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    page.querySelectorAll("script, noscript").forEach((node, i) => node.remove());
    update(document.body, page.body);
    document.title = page.title;
  } catch {
    document.getElementById("lost").hidden = false;
  }
  // A slow switch is asked less often.
  next(Math.max(least, 20 * (performance.now() - begin)));
}

function next(wait) {
  clearTimeout(timer);
  const held = hold.getAttribute("aria-pressed") === "true";
  if (!document.hidden && !held) timer = setTimeout(refresh, wait);
}

document.querySelectorAll("script, noscript").forEach(node => node.remove());
hold.hidden = false;
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", hold.getAttribute("aria-pressed") !== "true");
  next(0);
});
document.addEventListener("visibilitychange", () => next(0));
next(least);
