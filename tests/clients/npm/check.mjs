// Microsoft's JavaScript SDKs against the stand-in. What they do that the Python ones do not: assertions by PS256 with
// x5t#S256, "resourcegroups" in paths, percent-encoded keys in queries, claims in every token request.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

// The packages are where `run` installed them, not beside this file. Standard output and input are the stand-in's, for
// commands and their answers; people read standard error.
const [addresses, directory, packages] = process.argv.slice(2);
const load = createRequire(`${packages}/`);
const { ClientSecretCredential, ClientCertificateCredential } = load('@azure/identity');
const { LogsIngestionClient, isAggregateLogsUploadError } = load('@azure/monitor-ingestion');
const { ConnectedKubernetesClient } = load('@azure/arm-hybridkubernetes');

const azure = JSON.parse(addresses);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const command = async (name, value) => {
  writeSync(1, JSON.stringify({ [name]: value }) + '\n');
  const answer = JSON.parse((await lines.next()).value);
  assert.equal(answer.error, undefined);
  return answer;
};

const ARM = 'https://management.azure.com/.default';
const STREAM = 'Custom-ArcletHeartbeat';
const APP = '33334444-dddd-5555-eeee-6666ffff7777';
const options = { authorityHost: azure.login, disableInstanceDiscovery: true };
const secret = who => new ClientSecretCredential(azure.tenant, azure[who].client, azure[who].secret, options);
const clusters = () =>
  new ConnectedKubernetesClient(secret('operator'), azure.subscription, { endpoint: azure.arm, credentialScopes: [ARM] })
    .connectedClusterOperations;
const logs = () => new LogsIngestionClient(azure.ingest, secret('device'));
const row = n => ({ TimeGenerated: '2026-11-22T15:10:02.123Z', Seq: n, MessageId: `npm:${n}` });

const checks = {
  async 'a client secret gets a token'() {
    assert.equal((await secret('device').getToken(ARM)).token.split('.').length, 3);
  },
  async 'a wrong secret is refused by its number'() {
    const wrong = new ClientSecretCredential(azure.tenant, azure.device.client, 'wrong', options);
    await assert.rejects(wrong.getToken(ARM), /7000215/);
  },
  async 'a certificate signs with ps256'() {
    const [key, pem] = [`${directory}/key.pem`, `${directory}/app.pem`];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=app',
      '-keyout', key, '-out', pem], { stdio: 'ignore' });
    const certificate = readFileSync(pem, 'utf8');
    await command('principal', { client: APP, certificate: certificate.replace(/-----[^-]+-----|\s/g, '') });
    writeFileSync(pem, readFileSync(key, 'utf8') + certificate);
    const credential = new ClientCertificateCredential(azure.tenant, APP, { certificatePath: pem }, options);
    assert.ok((await credential.getToken(ARM)).token);
  },
  async 'a cluster is made, read and deleted'() {
    await command('operations', { shape: 'async', polls: 2, 'retry_after': 0 });
    const body = { location: 'eastus', identity: { type: 'SystemAssigned' }, agentPublicKeyCertificate: 'MII', distribution: 'k3s' };
    const fast = { updateIntervalInMs: 50 };
    const made = await clusters().beginCreateAndWait(azure.group, 'k3s-3', body, fast);
    assert.deepEqual([made.provisioningState, made.connectivityStatus], ['Succeeded', 'Connecting']);
    assert.equal((await clusters().get(azure.group, 'k3s-3')).distribution, 'k3s');
    await clusters().beginDeleteAndWait(azure.group, 'k3s-3', fast);
    await assert.rejects(clusters().get(azure.group, 'k3s-3'), { statusCode: 404, code: 'ResourceNotFound' });
  },
  async 'a list is read page by page'() {
    await command('seed', { name: 'seeded', count: 5 });
    await command('page', 2);
    const names = [];
    for await (const cluster of clusters().listByResourceGroup(azure.group)) names.push(cluster.name);
    assert.deepEqual(names.sort(), [1, 2, 3, 4, 5].map(n => `seeded-${n}`));
  },
  async 'rows arrive, many of them in chunks'() {
    await logs().upload(azure.rule, STREAM, [row(1)]);
    const noise = () => Array.from({ length: 7500 }, () => Math.random().toString(36)[2]).join('');
    await logs().upload(azure.rule, STREAM, Array.from({ length: 250 }, (_, n) => ({ ...row(n), Detail: noise() })));
    const report = await command('report', {});
    assert.deepEqual([report.streams[STREAM], report.violations], [251, []]);
  },
  async 'an undeclared stream is shown with the rows that failed'() {
    const error = await logs().upload(azure.rule, 'Custom-Nothing', [row(1)]).catch(error => error);
    assert.ok(isAggregateLogsUploadError(error), error);
    assert.equal(error.errors[0].cause.statusCode, 400);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  const start = performance.now();
  let word = 'ok';
  try {
    await check();
  } catch (error) {
    console.error(error);
    word = 'FAILED';
    failed += 1;
  }
  console.error(`${word.padEnd(7)} ${name} (${((performance.now() - start) / 1000).toFixed(2)} s)`);
}
console.error(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
