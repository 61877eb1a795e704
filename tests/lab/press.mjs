// press.mjs URL PROFILE: an operator at the lab's page, by Chromium's DevTools protocol. Each step waits for what it has to
// lead to; one that does not come within a minute is an error that shows the page.
import { spawn } from "node:child_process";

const [url, profile] = process.argv.slice(2);
const browser = spawn("chromium", ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], { detached: true });
const end = code => { try { process.kill(-browser.pid) } catch { /* it has ended */ } process.exit(code) };
const devtools = await new Promise((found, lost) => {
  let said = "";
  browser.stderr.on("data", data => { said += data; const at = /ws:\/\/(\S+?)\//.exec(said); if (at) found(at[1]) });
  browser.on("exit", () => lost(new Error(said)));
});
const tab = await (await fetch(`http://${devtools}/json/new?${encodeURIComponent(url)}`, { method: "PUT" })).json();
const socket = new WebSocket(tab.webSocketDebuggerUrl);
await new Promise(open => { socket.onopen = open });
const waiting = new Map();
socket.onmessage = message => { const { id, result } = JSON.parse(message.data); waiting.get(id)?.(result) };
let asked = 0;
async function js(expression) {
  const id = ++asked;
  const answered = new Promise(answer => waiting.set(id, answer));
  socket.send(JSON.stringify({ id, method: "Runtime.evaluate", params: { expression, returnByValue: true } }));
  const { result, exceptionDetails } = await answered;
  return exceptionDetails ? undefined : result.value;
}
async function until(what, expression) {
  for (let tries = 0; tries < 600; tries++) {
    const value = await js(expression);
    if (value) { console.log(`press: ${what}`); return value }
    await new Promise(again => setTimeout(again, 100));
  }
  console.error(`press: not seen: ${what}\n${await js("document.body.innerText")}`);
  end(1);
}
const line = (list, name) => `[...$("${list}").children].find(p => p.firstChild.textContent === ${JSON.stringify(name)})`;
const shows = (list, name, words) => `${line(list, name)}?.innerText.includes(${JSON.stringify(words)})`;
const press = button => js(`document.querySelector('[data-do="${button}"]').click()`);
const link = async up => { if (await js(`$("link").getAttribute("aria-checked")`) !== String(up)) await js(`$("link").click()`); await until(up ? "the link is up" : "the link is cut", `$("link").getAttribute("aria-checked") === "${up}"`) };
const event = words => `[...$("events").children].some(e => e.innerText.includes(${JSON.stringify(words)}))`;
async function editor(click, what) { await js(click); await until(`the editor has ${what}`, `$("editor").open && $("e-text").value`) }
const write = (change, button = "e-write") => js(`$("e-text").value = (text => ${change})($("e-text").value); $("${button}").click()`);

await until("the page is there", `document.readyState === "complete" && !$("desired").hidden`);
// From the first thing that somebody presses on, the script does nothing more.
await press("reboot");
await until("the agent was killed", event("kill -9"));
await link(true);
await press("want=main");
await press("install=1.0.0");
await until("the configuration is in the cluster", shows("d-objects", "GitRepository fleet", "branch main"));
await until("the extension is installed", shows("d-documents", "extension/monitor", "succeeded"));

// Azure, edited.
await editor(`${line("d-wants", "flux/fleet")}.click()`, "the configuration");
await write(`text.replace('"main"', '"dev"')`);
await until("what was edited in Azure is in the cluster", `!$("editor").open && ${shows("d-objects", "GitRepository fleet", "branch dev")}`);
await editor(`document.querySelector('[data-new="azure/flux/"]').click()`, "a new configuration");
await write(`'{"name": "svn", "properties": {"sourceKind": "Svn"}}'`);
await until("Resource Manager refuses a source that it does not know", `$("editor").open && $("e-said").innerText.includes("sourceKind")`);
await write(`'{"name": '`);
await until("what is no JSON is refused", `$("editor").open && $("e-said").innerText.includes("no JSON")`);
await js(`$("editor").close()`);

// The cluster, edited, with the link cut.
await link(false);
await editor(`${line("d-objects", "HelmChart monitor")}.click()`, "the HelmChart");
await write(`text.replace('"targetNamespace": "monitor"', '"targetNamespace": "elsewhere"')`);
await until("the HelmChart is set right without the link", event("HelmChart monitor is set right from the cache"));
await editor(`${line("d-objects", "Kustomization fleet-apps")}.click()`, "the Kustomization");
await write("text", "e-erase");
await until("the Kustomization is set right without the link", event("Kustomization fleet-apps is set right from the cache"));
await link(true);

// Somebody else's object.
await editor(`document.querySelector('[data-new="cluster/"]').click()`, "a new object");
await write("text");
await until("it is somebody else's", `${line("d-objects", "GitRepository shop")}?.classList.contains("theirs")`);
await press("squat");
await until("arclet says that it is in the way", shows("d-documents", "flux/shop", "fields belong to others"));
await until("it stays as it is", shows("d-objects", "GitRepository shop", "branch theirs"));
await press("yield");
await until("arclet's own comes", `${shows("d-objects", "GitRepository shop", "branch main")} && !${line("d-objects", "GitRepository shop")}.classList.contains("theirs")`);

// And gone.
await press("yield");
await until("what cannot be done is said", `$("d-said").innerText.includes("nothing to do that to")`);
await editor(`${line("d-wants", "flux/shop")}.click()`, "the second configuration");
await write("text", "e-erase");
await until("Azure is deleting it", shows("d-wants", "flux/shop", "Deleting"));
await until("the cluster has it no more", `!${line("d-objects", "GitRepository shop")} && !${line("d-objects", "Kustomization shop-apps")}`);
await until("the rest is still there", shows("d-objects", "GitRepository fleet", "branch dev"));
end(0);
