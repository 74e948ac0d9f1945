// Sends photos one by one as they are chosen, dropped, pasted or taken, and puts the server's
// answers in. Without it the same form sends them all at once and gets a whole page back.
"use strict";

(() => {
  const AT_ONCE = 3; // requests under way
  const TRIES = 5; // when the server is busy

  const form = document.getElementById("photos");
  const drop = form.querySelector(".drop");
  const results = document.querySelector(".results");
  const cards = document.getElementById("cards");
  const status = document.getElementById("status");
  const maxMegabytes = Number(form.dataset.maxMegabytes);

  const waiting = [];
  const underWay = new Set();
  let asked = 0;
  let done = 0;

  document.documentElement.classList.add("js");

  for (const input of form.querySelectorAll("input[type=file]")) {
    const take = () => {
      send(Array.from(input.files));
      input.value = ""; // the same photo can then be chosen again
    };
    input.addEventListener("change", take);
    take(); // what was chosen before this script ran
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter;
    if (button && button.dataset.example !== undefined) {
      ask([{ name: button.dataset.name, query: `?example=${button.dataset.example}` }]);
    }
  });

  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    send(Array.from(event.dataTransfer.files));
  });
  document.addEventListener("paste", (event) => {
    const files = Array.from(event.clipboardData.files);
    if (files.length) send(files);
  });

  document.getElementById("clear").addEventListener("click", (event) => {
    event.preventDefault();
    waiting.length = 0;
    for (const request of underWay) request.abort();
    underWay.clear();
    asked = done = 0;
    cards.replaceChildren();
    status.textContent = "";
    results.hidden = true;
    document.getElementById("choose").focus();
  });

  function send(files) {
    ask(files.map((file) => ({ name: file.name || "pasted photo", file, query: "" })));
  }

  function ask(items) {
    if (!items.length) return;
    if (asked === done) asked = done = 0;
    results.hidden = false;
    for (const item of items) {
      item.card = pendingCard(item.name);
      item.tries = 0;
      cards.append(item.card);
      waiting.push(item);
    }
    asked += items.length;
    tell();
    // Never to an earlier answer, which would look like that of the photo just chosen.
    const first = items[0].card;
    (first === cards.firstElementChild ? results : first).scrollIntoView({ block: "start" });
    next();
  }

  function next() {
    while (waiting.length && underWay.size < AT_ONCE) start(waiting.shift());
  }

  function start(item) {
    if (item.file && item.file.size > maxMegabytes * 1e6) {
      finish(item, failure(item.name, `The file is larger than ${maxMegabytes} MB.`));
      return;
    }
    const body = new FormData();
    if (item.file) body.append("photo", item.file, item.name);
    const request = new XMLHttpRequest();
    underWay.add(request);
    request.open("POST", form.dataset.cards + item.query);
    request.upload.addEventListener("progress", (event) => {
      const bar = item.card.querySelector("progress");
      if (event.lengthComputable && event.loaded < event.total) {
        bar.value = event.loaded / event.total;
      } else {
        bar.removeAttribute("value");
        item.card.querySelector("h3").textContent = "Looking ...";
      }
    });
    request.addEventListener("load", () => {
      underWay.delete(request);
      item.tries += 1;
      if (request.status === 503 && item.tries < TRIES) {
        const seconds = Number(request.getResponseHeader("Retry-After")) || 5;
        item.card.querySelector("h3").textContent = "Waiting for a busy server ...";
        setTimeout(() => {
          if (item.card.isConnected) waiting.push(item);
          next();
        }, seconds * 1000);
        next();
        return;
      }
      finish(item, answer(request) || failure(item.name, refusal(request)));
    });
    request.addEventListener("error", async () => {
      underWay.delete(request);
      finish(item, failure(item.name, await whyNotSent(item.file)));
    });
    request.send(body);
  }

  function finish(item, card) {
    if (!item.card.isConnected) return; // cleared meanwhile
    item.card.replaceWith(card);
    done += 1;
    tell(card.getAttribute("aria-label"));
    next();
  }

  function answer(request) {
    const type = request.getResponseHeader("Content-Type") || "";
    if (!type.startsWith("text/html")) return null;
    return new DOMParser().parseFromString(request.responseText, "text/html").querySelector(".card");
  }

  // Why a request as a whole was turned down: the server says it as it does to programs.
  function refusal(request) {
    if (request.status === 401) return "You are signed out. Reload this page to sign in.";
    try {
      return JSON.parse(request.responseText).error;
    } catch {
      return "The server did not take this photo.";
    }
  }

  async function whyNotSent(file) {
    try {
      if (file) await file.slice(0, 1).arrayBuffer();
    } catch {
      return "This cannot be read: it is a folder, or the file has changed since it was chosen.";
    }
    return "The server could not be reached. Is it still running?";
  }

  function tell(news) {
    const count = done < asked ? `${done} of ${asked} answered.` : "";
    const all = done === asked && asked > 1 ? `All ${asked} photos are done.` : "";
    status.textContent = [news && `${news}.`, count || all].filter(Boolean).join(" ");
  }

  function pendingCard(name) {
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", `Sending ${name}`);
    return makeCard("pending", name, "Sending ...", bar);
  }

  function failure(name, text) {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    return makeCard("refused", name, "No answer", paragraph);
  }

  function makeCard(kind, name, title, ...more) {
    const card = document.createElement("article");
    card.className = `card ${kind}`;
    card.setAttribute("aria-label", `${name}: ${title}`);
    const header = document.createElement("header");
    const file = document.createElement("p");
    file.className = "file";
    file.textContent = name;
    const heading = document.createElement("h3");
    heading.textContent = title;
    header.append(file, heading, ...more);
    card.append(header);
    return card;
  }
})();
