// Keeps an open page up to date while its site is being worked on: `lunette serve --dev` puts this
// script into pages. It hears of saves on /.lunette/live: "reload" loads the page again, "css" takes a
// style sheet anew without that, "error" shows over the page why the scripts cannot be loaded, and
// "mended" takes that away.
(() => {
  "use strict";
  if (window.lunetteLive || !window.EventSource) return;
  window.lunetteLive = true;
  let mark = new URL(document.currentScript.src).search.slice(1); // what this page was made with
  let source = null, wait = 0, timer = 0, cover = null, sheet = null, told = "";

  const same = (a, b) => {
    try { return decodeURIComponent(a) === decodeURIComponent(b); } catch { return a === b; }
  };

  // The new sheet comes before the old one goes, so that the page is never seen without.
  function renew(link) {
    const url = new URL(link.href);
    url.searchParams.set("lunette-live", mark);
    const next = link.cloneNode();
    next.href = url.href;
    next.addEventListener("load", () => link.remove());
    next.addEventListener("error", () => link.remove());
    link.after(next);
  }

  function renewStyles(path) {
    const links = [...document.querySelectorAll("link[rel~=stylesheet]")]
      .filter((link) => new URL(link.href, location).origin === location.origin);
    const named = links.filter((link) => same(new URL(link.href).pathname, path));
    (named.length ? named : links).forEach(renew); // imported by another, perhaps
  }

  // In a shadow, with a sheet of its own: the page's style and ours do not meet.
  async function show(html) {
    told = html;
    if (!sheet) {
      const text = await (await fetch("/.lunette/page.css")).text();
      sheet = new CSSStyleSheet();
      sheet.replaceSync(text);
    }
    if (told !== html) return; // mended meanwhile, or another one
    if (!cover) {
      cover = document.createElement("lunette-failure");
      cover.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
      document.documentElement.append(cover);
    }
    cover.shadowRoot.innerHTML = `<div class="failure cover">${html}</div>`;
  }

  function hide() {
    told = "";
    if (cover) cover.remove();
    cover = null;
  }

  // A page that nobody looks at gives its connection back: browsers have few for each host.
  function stop() {
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  }

  function later() {
    stop();
    wait = Math.min(wait * 2 || 250, 4000);
    timer = setTimeout(start, wait);
  }

  function start() {
    stop();
    if (document.hidden) return;
    source = new EventSource("/.lunette/live?" + mark + (told ? "&failed" : ""));
    source.addEventListener("open", () => { wait = 0; });
    source.addEventListener("reload", () => { stop(); location.reload(); });
    source.addEventListener("css", (e) => { mark = e.lastEventId || mark; renewStyles(e.data); });
    source.addEventListener("mended", hide);
    // Both are called so: what the server says, and that the connection is lost.
    source.addEventListener("error", (e) => {
      if (e.data === undefined) later(); else show(e.data);
    });
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (e) => { if (e.persisted) start(); });
  start();
})();
