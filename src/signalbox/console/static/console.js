// What pages need of scripts besides htmx. No page has scripts of its own in it: our policy forbids them.
(() => {
  "use strict";
  const page = document.documentElement;
  // what somebody has chosen: the server writes it into the next page, so that nothing moves once it is painted
  const choose = (name, value) => {
    const path = document.body.dataset.live.replace(/\/live$/, "");
    document.cookie = `signalbox_${name}=${value}; path=${path}; max-age=31536000; samesite=lax`;
  };

  // -- times: "3 min ago" stays true while the page is open -------------------------------------------------------
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const span = (seconds) => {
    for (const [size, unit] of units) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
    return `${Math.floor(seconds)} s`;
  };
  const skew = () => Number(document.body.dataset.skew || 0);
  const relative = (moment) => {
    const seconds = (Date.now() + skew() - moment) / 1000;
    if (Math.abs(seconds) < 1) return "just now";
    return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
  };
  const refreshTimes = () => {
    for (const each of document.querySelectorAll("time[datetime]:not([data-day])")) {
      const text = relative(Date.parse(each.dateTime));
      if (each.textContent !== text) each.textContent = text;
    }
  };
  document.body.dataset.skew = Date.parse(document.body.dataset.now) - Date.now() || 0;
  setInterval(refreshTimes, 1000);

  // -- messages ---------------------------------------------------------------------------------------------------
  const toast = (message, kind = "ok") => {
    const box = document.getElementById("toasts");
    const made = document.createElement("div");
    made.className = "toast";
    made.dataset.state = kind;
    const text = document.createElement("span");
    text.textContent = message;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button quiet small";
    close.textContent = "Close";
    close.addEventListener("click", () => made.remove());
    made.append(text, close);
    box.append(made);
    if (kind === "ok") setTimeout(() => made.remove(), 6000);
  };
  document.body.addEventListener("toast", (event) => toast(event.detail.message, event.detail.kind));
  document.body.addEventListener("htmx:sendError", () => toast("The hub cannot be reached.", "bad"));

  // -- the token against forgery goes with everything that htmx sends -----------------------------------------------
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRF-Token"] = document.body.dataset.csrf;
  });

  // -- confirm: whatever destroys asks first, in a dialog of the page's own look ------------------------------------
  const dialog = document.getElementById("confirm");
  let pending = null;
  let asking = null;
  document.body.addEventListener("htmx:confirm", (event) => {
    const question = event.detail.elt.getAttribute("data-confirm");
    if (!question || !dialog) return;
    event.preventDefault();
    asking = event.detail.elt;
    pending = () => event.detail.issueRequest(true);
    dialog.querySelector("[data-question]").textContent = question;
    dialog.querySelector("[value=yes]").textContent = event.detail.elt.getAttribute("data-confirm-button") || "Go on";
    dialog.showModal();
  });
  dialog?.addEventListener("close", () => {
    const go = pending;
    pending = null;
    if (dialog.returnValue === "yes" && go) go();
    else tellAll(); // what has changed meanwhile was left as it was
    asking = null;
    dialog.returnValue = "";
  });

  // -- small things that one click does -----------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      try {
        await navigator.clipboard.writeText(copy.dataset.copy);
        toast("Copied.");
      } catch { toast("The browser does not let this page copy; select the text instead.", "warning"); }
    }
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
    const closer = event.target.closest("[data-close]");
    if (closer) closer.closest("dialog")?.close();
    if (event.target.closest("[data-theme-toggle]")) {
      const dark = page.dataset.theme ? page.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      page.dataset.theme = dark ? "light" : "dark";
      choose("theme", page.dataset.theme);
      document.dispatchEvent(new CustomEvent("theme"));
    }
    const menu = event.target.closest("[data-menu]");
    if (menu) menu.setAttribute("aria-expanded", String(menu.closest(".side").classList.toggle("open")));
    const dismiss = event.target.closest("[data-dismiss], [data-recall]");
    if (dismiss) {
      const { dismiss: gone, recall } = dismiss.dataset;
      choose(gone || recall, gone ? "hidden" : "shown");
      document.getElementById(gone || recall).hidden = Boolean(gone);
    }
  });
  // a form in a dialog that has done what it should closes it
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt.closest("dialog[open] form");
    if (!form || event.detail.xhr.status !== 204) return;
    form.closest("dialog").close();
    form.reset();
    for (const each of form.querySelectorAll(".error")) each.remove();
    for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  });
  // one box ticks all rows of its form
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-tick-all]")) return;
    for (const each of event.target.form.querySelectorAll("input[name=ids]")) each.checked = event.target.checked;
  });
  // a filter form tells htmx when one of its fields changes
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.requestSubmit();
  });

  // -- files: <form data-upload="address" data-topics="grid"> with a file; [data-progress] shows how far it is ----------
  // the answer is JSON, or a line of JSON for each step: {"message", "kind", "share"}, of which the last says the end
  const types = { csv: "text/csv", parquet: "application/vnd.apache.parquet", json: "application/json", ndjson: "application/x-ndjson", jsonl: "application/x-ndjson", zip: "application/zip" };
  const lastLine = (text) => {
    try { return JSON.parse(text.slice(0, text.lastIndexOf("\n") + 1 || undefined).trim().split("\n").at(-1)); } catch { return null; }
  };
  const show = (box, said, share) => {
    if (!box) return;
    box.hidden = false;
    box.querySelector("[data-said]").textContent = said;
    const bar = box.querySelector("progress");
    if (share === undefined) bar.removeAttribute("value");
    else bar.value = share;
  };
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-upload]");
    if (!form) return;
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (!file) return;
    const box = form.querySelector("[data-progress]");
    const button = form.querySelector("button[type=submit]");
    const fields = new URLSearchParams(new FormData(form));
    for (const input of form.querySelectorAll("input[type=file]")) fields.delete(input.name);
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}${fields.size ? `?${fields}` : ""}`);
    request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
    request.setRequestHeader("Content-Type", types[file.name.split(".").at(-1).toLowerCase()] || "application/octet-stream");
    request.upload.addEventListener("progress", (news) => show(box, "The file is being sent", news.loaded / news.total));
    request.upload.addEventListener("load", () => show(box, "The rows are being taken in"));
    request.addEventListener("progress", () => {
      const told = request.status === 200 && lastLine(request.responseText);
      if (told && told.share !== undefined) show(box, told.message, told.share);
    });
    request.addEventListener("loadend", () => {
      if (box) box.hidden = true;
      button.disabled = false;
      const told = lastLine(request.responseText) || {};
      if (request.status >= 200 && request.status < 300) {
        form.reset();
        toast(told.message || form.dataset.done || `${file.name} has been received.`, told.kind);
        (form.dataset.topics || "").split(" ").filter(Boolean).forEach((topic) => tell(topic));
      } else toast(told.detail || "The file could not be sent.", "bad");
    });
    button.disabled = true;
    request.send(file);
  });

  // -- a part that is exchanged keeps what the person does in it -----------------------------------------------------
  // a button that is taken away while it asks, or while its request is under way, would do or tell nothing
  const busy = (part) => {
    const at = document.activeElement;
    if (part.querySelector("dialog[open], .htmx-request:not([hx-trigger*='live:'])")) return true;
    if (asking && part.contains(asking)) return true;
    if (at && part.contains(at) && at.matches("input:not([type=checkbox]), textarea, select")) return true;
    const selected = getSelection();
    return selected && !selected.isCollapsed && part.contains(selected.anchorNode);
  };
  const isLive = (event) => event.detail.requestConfig?.triggeringEvent?.type.startsWith("live:");
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (isLive(event) && busy(event.detail.elt)) event.preventDefault();
  });
  const nameOf = (each) => ["id", "href", "hx-post", "hx-get", "data-dialog", "data-copy", "name", "value"]
    .map((name) => each.getAttribute(name) || "").join(" ");
  let kept = null;
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (isLive(event) && busy(part)) {
      event.detail.shouldSwap = false;
      return;
    }
    const at = document.activeElement;
    kept = {
      focus: at && at !== document.body && part.contains(at) ? nameOf(at) : "",
      checked: new Set([...part.querySelectorAll("input[type=checkbox]:checked")].map(nameOf)),
      open: new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id)),
    };
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    if (!kept) return;
    const { focus, checked, open } = kept;
    kept = null;
    for (const each of document.querySelectorAll("main input[type=checkbox]")) if (checked.has(nameOf(each))) each.checked = true;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (!focus || document.activeElement !== document.body) return;
    const again = [...document.querySelectorAll("main a, main button, main input, main summary")].find((each) => nameOf(each) === focus);
    again?.focus({ preventScroll: true });
  });

  // -- what is wider than its box can be scrolled with the keyboard --------------------------------------------------
  const reach = () => {
    for (const box of document.querySelectorAll(".table-box, pre")) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  reach();
  window.addEventListener("resize", reach);
  document.body.addEventListener("htmx:afterSettle", reach);

  // -- live: one stream says which topics have changed; whatever shows them asks anew -------------------------------
  const badge = document.getElementById("live");
  const address = document.body.dataset.live;
  let source = null;
  let lost = false;
  const say = (state, text) => {
    if (!badge) return;
    badge.dataset.state = state;
    badge.textContent = text;
  };
  const tell = (topic) => document.body.dispatchEvent(new CustomEvent(`live:${topic}`));
  const tellAll = () => {
    const topics = new Set();
    for (const each of document.querySelectorAll("[hx-trigger*='live:'], [data-live-topic]")) {
      const said = `${each.getAttribute("hx-trigger") || ""} live:${each.dataset.liveTopic || ""}`;
      for (const [, topic] of said.matchAll(/live:([a-z]+)/g)) topics.add(topic);
    }
    topics.forEach(tell);
  };
  const comeBack = async () => {
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.reload(); // signed out meanwhile
    } catch { /* still away */ }
    return follow();
  };
  const follow = () => {
    if (!address || !badge || source || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("open", () => {
      say("live", "Live");
      if (lost) tellAll();
      lost = false;
    });
    source.addEventListener("changed", (event) => event.data.split(" ").forEach(tell));
    source.addEventListener("ended", () => location.reload());
    source.addEventListener("error", () => {
      lost = true;
      say("lost", "Connection lost; what you see may be old");
      if (source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(comeBack, 5000);
      }
    });
  };
  const leave = () => {
    source?.close();
    source = null;
  };
  // browsers open six connections to a server at most: a tab that nobody sees gives its one back
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave(); lost = true; } else follow();
  });
  window.addEventListener("pagehide", leave);
  window.addEventListener("pageshow", follow);
  follow();
})();
