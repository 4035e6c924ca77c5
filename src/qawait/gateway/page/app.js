// The page's script: asks the gateway beside it and nobody else. No libraries.

const EXAMPLES = {
  "Bell pair": `OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
`,
  "Three-qubit GHZ": `OPENQASM 3.0;
include "stdgates.inc";
qubit[3] q;
bit[3] c;
h q[0];
cx q[0], q[1];
cx q[1], q[2];
c = measure q;
`,
  "Interference": `OPENQASM 3.0;
include "stdgates.inc";
qubit[3] q;
bit[3] c;
h q[0];
h q[1];
h q[2];
rz(0.7) q[0];
rz(1.4) q[1];
rz(2.8) q[2];
h q[0];
h q[1];
h q[2];
c = measure q;
`,
};
const FINAL = new Set(["DONE", "ERROR", "CANCELLED"]);
const WORDS = {
  INITIALIZING: "preparing", SUBMITTING: "submitting", QUEUED: "queued", RUNNING: "running",
  DONE: "done", ERROR: "failed", CANCELLED: "cancelled",
};
const STAGES = {
  AUTHENTICATING: "accepted", FETCHING_BACKEND: "asking for the backend",
  TRANSPILING: "transpiling", SUBMITTING: "submitting", QUEUED: "queued", RUNNING: "running",
  FETCHING: "fetching the result", DONE: "done", ERROR: "failed", CANCELLED: "cancelled",
};
const OUTCOMES = {
  "requested": "The service accepted the cancel.",
  "already final": "The job had already ended, so there was nothing to cancel.",
  "not submitted": "The job never reached the service.",
  "unknown": "What became of the cancel is not known yet; it goes on being settled.",
};
const ROWS = 32;

const $ = (id) => document.getElementById(id);
const jobs = new Map();
const shown = { id: null, job: null, code: "", events: [], hasCounts: false };
let older = null;
let lastEvent = null;

// --- asking ------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `status ${status}`);
    this.status = status;
  }
}

function headers(more = {}) {
  const token = sessionStorage.getItem("token");
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function ask(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: headers(options.headers) });
  if (reply.ok) {
    return reply;
  }
  const body = await reply.json().catch(() => ({}));
  if (reply.status === 401) {
    askToken();
  }
  throw new Problem(reply.status, body);
}

const get = async (path) => (await ask(path)).json();

async function post(path, body) {
  const content = body === undefined ? {} : {
    body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  };
  return (await ask(path, { method: "POST", ...content })).json();
}

function askToken() {
  if ($("access").hidden) {
    $("access").hidden = false;
    $("token").focus();
  } else {
    $("access-hint").textContent = "That is not the gateway's token.";
  }
}

$("access").addEventListener("submit", async (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  try {
    await begin();
    $("access").hidden = true;
    $("token").value = "";
  } catch (error) {
    sessionStorage.removeItem("token");
  }
});

// --- the list ----------------------------------------------------------------------------------

const title = (job) => job.name || `Job ${job.number}`;
const count = (number, what) => `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;

function clock(moment, exact = false) {
  const date = new Date(moment);
  const style = exact ? { timeStyle: "medium" } : { timeStyle: "short" };
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], isToday ? style : { dateStyle: "medium", ...style });
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function badge(status) {
  return make("span", { class: "badge", "data-status": status }, WORDS[status] || status);
}

function row(job) {
  const link = make("a", { href: `#${job.job_id}` },
    make("span", { class: "title" }, title(job)),
    make("span", { class: "about" },
      `${job.backend} · ${count(job.shots, "shot")} · ${clock(job.times.created)}`),
    badge(job.status));
  if (job.job_id === shown.id) {
    link.setAttribute("aria-current", "true");
  }
  return make("li", { id: `row-${job.job_id}` }, link);
}

function list() {
  const newest = [...jobs.values()].sort((one, other) => other.number - one.number);
  const focused = document.activeElement?.closest("#jobs li")?.id;
  $("jobs").replaceChildren(...newest.map(row));
  if (focused) {
    $(focused)?.firstChild.focus({ preventScroll: true });
  }
  const live = newest.filter((job) => !FINAL.has(job.status)).length;
  $("tally").textContent = newest.length ? `${live} on their way, ${newest.length - live} ended` : "";
  $("no-jobs").hidden = newest.length > 0;
  $("jobs").hidden = newest.length === 0;
  $("more").hidden = older === null;
}

let isListing = false;
function listSoon() { // many changes at once are one redrawing
  if (!isListing) {
    isListing = true;
    requestAnimationFrame(() => { isListing = false; list(); });
  }
}

async function loadJobs(before = null) {
  const page = await get(before === null ? "jobs?limit=50" : `jobs?limit=50&before=${before}`);
  for (const job of page.jobs) {
    jobs.set(job.job_id, job);
  }
  older = page.next;
  list();
}

$("more").addEventListener("click", () => loadJobs(older));

// --- live changes ------------------------------------------------------------------------------

function link(state, words) {
  $("link").dataset.state = state;
  $("link").textContent = words;
}

async function follow() { // fetch, as an EventSource cannot send the token
  let pause = 500;
  for (;;) {
    try {
      const known = lastEvent === null ? {} : { "Last-Event-ID": lastEvent };
      const reply = await ask("events", { headers: known });
      link("live", "live");
      pause = 500;
      await read(reply.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      if (error.status === 401) {
        link("lost", "locked");
        return;
      }
    }
    link("lost", "connection lost, trying again …");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 15000);
  }
}

async function read(reader) {
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) {
      return;
    }
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      await changed(text.slice(0, end));
      text = text.slice(end + 2);
    }
  }
}

async function changed(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  }));
  if (fields.id) {
    lastEvent = fields.id;
  }
  if (fields.event === "reset") {
    await loadJobs();
    await choose();
  } else if (fields.event === "status") {
    await noted(JSON.parse(fields.data));
  }
}

async function noted(event) {
  const job = jobs.get(event.job_id);
  if (!job || FINAL.has(event.status)) {
    jobs.set(event.job_id, await get(`job/${event.job_id}/status`));
  } else {
    Object.assign(job, {
      status: event.status, stage: event.stage, reason: event.reason,
      raw_status: event.raw_status, estimated_seconds: event.estimated_seconds,
    });
  }
  listSoon();
  if (event.job_id === shown.id) {
    shown.job = jobs.get(shown.id);
    if (!shown.events.some((known) => known.id === event.id)) {
      shown.events.push(event);
    }
    showState();
    if (FINAL.has(event.status)) {
      say(`${title(shown.job)}: ${WORDS[event.status]}`);
    }
  }
}

function say(words) {
  $("said").textContent = words;
}

// --- one job -----------------------------------------------------------------------------------

async function choose() {
  const id = /^#([0-9a-f]{24})$/.exec(location.hash)?.[1] || null;
  const isNew = id !== shown.id;
  Object.assign(shown, { id, job: null, code: "", events: [], hasCounts: false });
  if (isNew) {
    $("outcome").hidden = true;
    $("counts-part").hidden = true;
    $("job-drawing").textContent = "";
    $("job-size").textContent = "";
  }
  list();
  $("job-body").hidden = $("job").dataset.empty = id === null;
  $("no-job").hidden = id !== null;
  $("job-title").textContent = "No job chosen";
  if (id === null) {
    return;
  }
  try {
    const job = await get(`job/${id}/status`);
    const events = await past(id);
    if (shown.id !== id) {
      return;
    }
    jobs.set(id, job);
    Object.assign(shown, { job, events });
    showState();
    await showCircuit(id);
  } catch (error) {
    if (shown.id === id) {
      $("job-body").hidden = true;
      $("no-job").hidden = false;
      $("no-job").textContent = error.message;
    }
  }
}

async function past(id) {
  return (await get(`job/${id}/history`)).events;
}

function showState() {
  const job = shown.job;
  $("job-title").textContent = title(job);
  $("job-status").dataset.status = job.status;
  $("job-status").textContent = WORDS[job.status] || job.status;
  $("job-about").textContent = about(job);
  $("cancel").hidden = FINAL.has(job.status);
  $("reason").hidden = !job.reason;
  $("reason").textContent = job.reason || "";
  $("way").replaceChildren(...shown.events.filter(isStep).map(step));
  $("job-id").textContent = job.job_id;
  $("job-remote").replaceChildren(
    ...(job.remote_id ? [", the service’s ", make("code", {}, job.remote_id)] : []));
  if (job.cancel) {
    outcome(job.cancel);
  }
  if (job.status === "DONE" && !shown.hasCounts) {
    shown.hasCounts = true;
    showCounts(job);
  }
}

function about(job) {
  const parts = [job.backend, count(job.shots, "shot")];
  if (!FINAL.has(job.status) && job.estimated_seconds) {
    parts.push(`runs for about ${Math.max(1, Math.round(job.estimated_seconds))} s`);
  }
  if (job.times.ended) {
    const seconds = (new Date(job.times.ended) - new Date(job.times.created)) / 1000;
    parts.push(`took ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds).toLocaleString()} s`);
  }
  return parts.join(" · ");
}

function isStep(event, place, events) { // not only a new estimate
  const before = events[place - 1];
  return !before || before.stage !== event.stage || inOwnWord(before) !== inOwnWord(event);
}

function inOwnWord(event) { // the service's, where it says more than the stage
  const word = event.raw_status || "";
  return FINAL.has(event.stage) || word.toUpperCase() === event.stage ? "" : word;
}

function step(event) {
  const word = inOwnWord(event);
  return make("li", {},
    make("span", { class: "when" }, clock(event.time * 1000, true)),
    make("span", {}, STAGES[event.stage] || event.stage,
      ...(word ? [make("span", { class: "more" }, ` (${word})`)] : [])));
}

async function showCircuit(id) {
  const code = await (await ask(`job/${id}/code`)).text();
  if (shown.id !== id) {
    return;
  }
  shown.code = code;
  showCode();
  try {
    const read = await post("circuit", { code });
    if (shown.id === id) {
      $("job-drawing").textContent = read.drawing;
      $("job-size").textContent = size(read.circuit);
    }
  } catch (error) {
    if (shown.id === id) {
      $("job-drawing").textContent = error.message;
    }
  }
}

function size(circuit) {
  return [count(circuit.qubits, "qubit"), count(circuit.clbits, "bit"),
    count(circuit.instructions, "instruction"), `depth ${circuit.depth}`].join(" · ");
}

async function showCounts(job) {
  try {
    const registers = await get(`job/${job.job_id}/result`);
    if (shown.id === job.job_id) {
      $("counts").replaceChildren(...Object.entries(registers).map(histogram));
      $("counts-part").hidden = false;
    }
  } catch (error) {
    shown.hasCounts = false;
  }
}

function histogram([register, counts]) {
  const entries = Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
  const total = entries.reduce((sum, [, number]) => sum + number, 0);
  const most = entries.reduce((top, [, number]) => Math.max(top, number), 1);
  const isShort = entries.length <= ROWS; // in their order, else the most frequent
  const chosen = isShort ? entries : [...entries].sort((one, other) => other[1] - one[1]).slice(0, ROWS);
  const rest = isShort ? "" : `, the ${ROWS} most frequent of ${entries.length.toLocaleString()}`;
  return make("table", {},
    make("caption", {}, `Register ${register}, ${count(total, "shot")}${rest}`),
    make("thead", { class: "hidden" }, make("tr", {}, ...["Bits", "", "Count", "Share"].map(
      (words) => words ? make("th", { scope: "col" }, words) : make("td")))),
    make("tbody", {}, ...chosen.map(([bits, number]) => bar(bits, number, total, most))));
}

function bar(bits, number, total, most) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${100 * number / most}%`;
  return make("tr", {},
    make("th", { scope: "row", title: bits }, bits),
    make("td", { "aria-hidden": "true" }, make("span", { class: "track" }, fill)),
    make("td", { class: "number" }, number.toLocaleString()),
    make("td", { class: "number share" }, `${(100 * number / total).toFixed(1)} %`));
}

// --- as code -----------------------------------------------------------------------------------

const quotedPython = (text) => JSON.stringify(text).replaceAll("\u2028", "\\u2028");
const quotedShell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function asCode() {
  const { job, code } = shown;
  if ($("language").value === "qasm") {
    return code;
  }
  if ($("language").value === "curl") {
    const body = JSON.stringify({ code, backend: job.backend, shots: job.shots });
    const needs = sessionStorage.getItem("token") ? `  -H "Authorization: Bearer $TOKEN" \\\n` : "";
    return `curl ${quotedShell(new URL("run?wait=60", document.baseURI).href)} \\\n${needs}`
      + `  -H 'Content-Type: application/json' \\\n  -d ${quotedShell(body)}\n`;
  }
  const text = code.includes('"""') || code.includes("\\")
    ? quotedPython(code) : `"""\n${code.trim()}\n"""`;
  return `import asyncio

import qawait

CIRCUIT = ${text}


async def main():
    async with qawait.connect() as client:
        result = await client.run(CIRCUIT, backend=${quotedPython(job.backend)}, shots=${job.shots})
    for name, bits in result[0].data.items():
        print(name, bits.get_counts())


asyncio.run(main())
`;
}

function showCode() {
  $("as-code").textContent = asCode();
}

$("language").addEventListener("change", showCode);
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(asCode());
    $("copy").textContent = "Copied";
    say("Copied");
  } catch (error) { // not allowed over plain http: leave it marked
    getSelection().selectAllChildren($("as-code"));
    $("copy").textContent = "Marked";
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});

// --- cancelling --------------------------------------------------------------------------------

function outcome(word) {
  $("outcome").hidden = false;
  $("outcome").textContent = OUTCOMES[word] || word;
}

$("cancel").addEventListener("click", async () => {
  const { id } = shown;
  $("cancel").disabled = true;
  $("cancel").textContent = "Cancelling …";
  try {
    const reply = await post(`job/${id}/cancel`);
    if (shown.id === id) {
      outcome(reply.outcome);
    }
  } catch (error) {
    outcome(error.message);
  }
  $("cancel").disabled = false;
  $("cancel").textContent = "Cancel";
});

// --- a new job ---------------------------------------------------------------------------------

function problem(words) {
  $("problem").hidden = !words;
  $("problem").textContent = words || "";
}

$("new").addEventListener("submit", async (event) => {
  event.preventDefault();
  problem("");
  $("submit").disabled = true;
  try {
    const name = $("name").value.trim();
    const accepted = await post("run", {
      code: $("code").value, backend: $("backend").value, shots: Number($("shots").value),
      on_cancel: $("on-cancel").value, ...(name ? { name } : {}),
    });
    jobs.set(accepted.job_id, await get(`job/${accepted.job_id}/status`));
    location.hash = accepted.job_id;
    say("Accepted");
  } catch (error) {
    problem(error.message);
  }
  $("submit").disabled = false;
});

$("draw").addEventListener("click", async () => {
  problem("");
  $("draw").disabled = true;
  try {
    const read = await post("circuit", { code: $("code").value });
    $("preview").hidden = false;
    $("preview-size").textContent = size(read.circuit);
    $("preview-drawing").textContent = read.drawing;
  } catch (error) {
    $("preview").hidden = true;
    problem(error.message);
  }
  $("draw").disabled = false;
});

$("code").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    $("new").requestSubmit();
  }
});

$("example").addEventListener("change", () => {
  $("code").value = EXAMPLES[$("example").value];
  $("preview").hidden = true;
});

async function loadBackends() {
  const { backends } = await get("backends");
  $("backend").replaceChildren(...backends.map((backend) => {
    const queue = backend.queue_length === null ? "" : `, ${backend.queue_length} waiting`;
    const state = backend.operational ? queue : `, ${backend.status}`;
    return make("option", { value: backend.name },
      `${backend.name} (${count(backend.num_qubits, "qubit")}${state})`);
  }));
}

// --- the beginning -----------------------------------------------------------------------------

async function begin() {
  await loadJobs();
  follow();
  await Promise.all([loadBackends().catch((error) => problem(error.message)), choose()]);
}

$("example").append(...Object.keys(EXAMPLES).map((name) => make("option", {}, name)));
$("code").value = EXAMPLES[$("example").value];
addEventListener("hashchange", async () => {
  await choose();
  if (shown.id !== null) {
    $("job").focus({ preventScroll: true });
    $("job").scrollIntoView({ block: "nearest", behavior: "auto" });
  }
});
begin().catch((error) => link("lost", error.status === 401 ? "locked" : "not reachable"));
