// The buttons of the start page: each form's request is sent by fetch, and the answer shown beside
// it. A form's action may hold {names}, which its fields fill; a button may have another action
// (formaction) and method (data-method).
"use strict";

const clock = (since) => `${Math.round(performance.now() - since)} ms`;

function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
}

// The method and the URL that a form and the button pressed ask for.
function request(form, button) {
    const method = button.dataset.method || "GET";
    const fields = new FormData(form);
    const action = button.getAttribute("formaction") || form.getAttribute("action");
    const used = new Set();
    const path = action.replace(/{(\w+)}/g, (_, name) => {
        used.add(name);
        return encodeURIComponent(fields.get(name));
    });
    const query = new URLSearchParams();
    const hasNames = /{/.test(action) || button.hasAttribute("formaction") || method !== "GET";
    if (!hasNames) for (const [name, value] of fields) query.append(name, value);
    return { method, url: path + (`${query}` && `?${query}`) };
}

// One exchange in the answer box: what was asked, the status, the fields, room for the body.
class Exchange {
    constructor(box, { method, url }) {
        this.start = performance.now();
        this.asked = make("p", "asked", `${method} ${url}`);
        this.body = make("pre");
        this.body.tabIndex = 0;
        this.body.setAttribute("aria-label", "Body of the answer");
        box.replaceChildren(this.asked, this.body);
    }

    head(response, open) {
        const { status, statusText, headers } = response;
        this.asked.append(
            make("span", `code${`${status}`[0]}`, `${status} ${statusText}`),
            make("span", "took", clock(this.start)));
        if (response.redirected)
            this.asked.append(make("span", "took", `at ${new URL(response.url).pathname}`));
        const details = make("details");
        details.open = open;
        const list = make("dl");
        let count = 0;
        for (const [name, value] of headers) {
            list.append(make("dt", "", `${name}:`), make("dd", "", value));
            count++;
        }
        details.append(make("summary", "", `${count} header fields`), list);
        this.asked.after(details);
    }

    // Shows bytes as they come.
    async read(response) {
        if (!response.body) return;
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            this.body.append(value);
            this.body.scrollTop = this.body.scrollHeight;
        }
        const type = response.headers.get("content-type") || "";
        if (!type.startsWith("application/json")) return;
        this.body.textContent = indent(this.body.textContent);
        this.body.scrollTop = 0;
    }

    fail(error) {
        this.body.append(`No answer: ${error.message}`);
    }
}

// JSON with a line for each member. The text is kept as it came, since numbers of JavaScript are
// not exact to 64 bits.
function indent(json) {
    let out = "", depth = 0;
    const line = () => `\n${"  ".repeat(depth)}`;
    for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|\[\]|{}|[[\]{},:]|[^\s[\]{},:"]+/g)) {
        if (token === "{" || token === "[") { depth++; out += token + line(); }
        else if (token === "}" || token === "]") { depth--; out += line() + token; }
        else out += token === "," ? token + line() : token === ":" ? ": " : token;
    }
    return out;
}

const ACCEPT = "text/plain, application/json, */*;q=0.5";
const fetchOptions = (method, headers) =>
    ({ method, cache: "no-store", headers: { Accept: ACCEPT, ...headers } });

// What a form sends as its body: its fields and files as multipart/form-data, or its field "body" as
// it stands, of the type in data-type; else nothing.
function withBody(form, options) {
    const { type } = form.dataset;
    if (type) {
        options.body = new FormData(form).get("body");
        options.headers["Content-Type"] = type;
    } else if (form.enctype === "multipart/form-data") {
        options.body = new FormData(form);
    }
    return options;
}

const demos = {
    async plain(form, button, box) {
        const asked = request(form, button);
        const exchange = new Exchange(box, asked);
        try {
            const response =
                await fetch(asked.url, withBody(form, fetchOptions(asked.method)));
            exchange.head(response, form.dataset.open === "headers");
            await exchange.read(response);
        } catch (error) {
            exchange.fail(error);
        }
    },

    // One request sleeps; others are sent and answered until it is back.
    async sleep(form, button, box) {
        const asked = request(form, button);
        const exchange = new Exchange(box, asked);
        const say = (text) =>
            exchange.body.append(`${clock(exchange.start).padStart(8)}  ${text}\n`);
        let back = false;
        try {
            const sleeper = fetch(asked.url, fetchOptions("GET")).finally(() => { back = true; });
            while (!back) {
                const other = await fetch(form.dataset.meanwhile, fetchOptions("GET"));
                say((await other.text()).trim());
                await Promise.race([sleeper, new Promise((wake) => setTimeout(wake, 250))]);
            }
            const response = await sleeper;
            exchange.head(response, false);
            say((await response.text()).trim());
        } catch (error) {
            exchange.fail(error);
        }
    },

    // A file: as it is, only when it changed since the page last saw it, or its first bytes.
    async file(form, button, box) {
        const url = form.getAttribute("action");
        const wanted = {};
        if (button.value === "range") wanted.Range = "bytes=0-99";
        if (button.value === "etag") {
            const first = await fetch(url, { method: "HEAD", cache: "no-store" });
            wanted["If-None-Match"] = first.headers.get("etag");
        }
        const exchange = new Exchange(box, { method: "GET", url });
        for (const [name, value] of Object.entries(wanted))
            exchange.asked.append(make("span", "took", `${name}: ${value}`));
        try {
            const response = await fetch(url, fetchOptions("GET", wanted));
            exchange.head(response, true);
            await exchange.read(response);
        } catch (error) {
            exchange.fail(error);
        }
    },
};

document.addEventListener("submit", async (event) => {
    const form = event.target, section = form.closest(".demo");
    if (!section) return;
    event.preventDefault();
    const buttons = section.querySelectorAll("button");
    const demo = demos[form.dataset.demo || "plain"];
    for (const button of buttons) button.disabled = true;
    try {
        await demo(form, event.submitter, section.querySelector(".answer"));
    } finally {
        for (const button of buttons) button.disabled = false;
        event.submitter.focus({ preventScroll: true });
    }
});
