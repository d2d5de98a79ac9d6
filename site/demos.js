// The buttons of the guide's demonstrations: each form's request is sent by fetch, and the answer
// shown beneath it. A form's action may hold {names}, which its fields fill; a button may have another
// action (formaction) and method (data-method). A field named header:X is sent as the header field X.
// After an answer a field with data-from="x" holds the member x of its JSON, and one with
// data-from-header="x" its header field x.
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
    const headers = {};
    for (const [name, value] of fields) {
        if (name.startsWith("header:")) {
            if (value) headers[name.slice(7)] = value;
        } else if (!hasNames) {
            query.append(name, value);
        }
    }
    return { method, url: path + (`${query}` && `?${query}`), headers };
}

// One exchange in the answer box: what was asked, the status, the fields, room for the body.
class Exchange {
    constructor(box, { method, url, headers = {} }) {
        this.start = performance.now();
        this.asked = make("p", "asked", `${method} ${url}`);
        for (const [name, value] of Object.entries(headers))
            this.asked.append(make("span", "took", `${name}: ${value}`));
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

    // Shows bytes as they come, and gives all of them as text.
    async read(response) {
        if (!response.body) return "";
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            this.body.append(value);
            this.body.scrollTop = this.body.scrollHeight;
        }
        const text = this.body.textContent;
        if (isJson(response)) {
            this.body.textContent = indent(text);
            this.body.scrollTop = 0;
        }
        return text;
    }

    fail(error) {
        this.body.append(`No answer: ${error.message}`);
    }
}

const isJson = (response) =>
    /^application\/(problem\+)?json/.test(response.headers.get("content-type") || "");

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

// What a form sends as its body: its field "body" as it stands, of the type in data-type; else, where
// it says its enctype, its fields, and files as multipart/form-data; else nothing.
function bodyOf(form, options) {
    const { type } = form.dataset, fields = new FormData(form);
    if (options.method === "GET") return options;
    if (type) {
        options.body = fields.get("body");
        options.headers["Content-Type"] = type;
    } else if (form.getAttribute("enctype") === "multipart/form-data") {
        options.body = fields;
    } else if (form.hasAttribute("enctype")) {
        options.body = new URLSearchParams(fields);
    }
    return options;
}

// Puts what an answer says into the fields that wait for it.
function fill(form, response, text) {
    const section = form.closest(".demo");
    for (const field of section.querySelectorAll("[data-from-header]"))
        field.value = response.headers.get(field.dataset.fromHeader) || field.value;
    if (!response.ok || !isJson(response)) return;
    const value = JSON.parse(text);
    for (const field of section.querySelectorAll("[data-from]"))
        field.value = value[field.dataset.from] || field.value;
}

const demos = {
    async plain(form, button, box) {
        const asked = request(form, button);
        const exchange = new Exchange(box, asked);
        try {
            const options = bodyOf(form, fetchOptions(asked.method, asked.headers));
            const response = await fetch(asked.url, options);
            exchange.head(response, form.dataset.open === "headers");
            fill(form, response, await exchange.read(response));
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
        const exchange = new Exchange(box, { method: "GET", url, headers: wanted });
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
