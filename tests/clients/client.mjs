// Node's fetch, and node:http with an agent that keeps connections: `node client.mjs BASE`. Over https, the certificate
// comes by NODE_EXTRA_CA_CERTS.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';

process.on('warning', warning => { throw warning; });
const base = process.argv[2];
const BIG = 8 << 20;
const pattern = Buffer.alloc(BIG);
let sum = 0;
for (let i = 0; i < BIG; i++) { pattern[i] = i % 251; sum += i % 251; }
const said = `${BIG} ${sum}`;
const text = async (path, options) => (await fetch(base + path, options)).text();

async function byFetch() {
    const hello = await fetch(base + '/');
    assert.equal(hello.status, 200);
    assert.equal(hello.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(await hello.text(), 'hello');
    assert.equal((await fetch(base + '/', { method: 'HEAD' })).headers.get('content-length'), '5');
    const json = await fetch(base + '/json', { method: 'POST', body: JSON.stringify({ a: ['ä'] }) ,
        headers: { 'content-type': 'application/json' } });
    assert.deepEqual(await json.json(), { a: ['ä'] });
    const form = await fetch(base + '/form', { method: 'POST', body: new URLSearchParams({ a: 'x y' }) });
    assert.deepEqual(await form.json(), [['a', 'x y']]);
    const parts = new FormData();
    parts.set('one', '12345');
    parts.set('two', new Blob([pattern.subarray(0, 100_000)]), 'file');
    assert.equal(await text('/parts', { method: 'POST', body: parts }), 'one 5, two 100000');
    assert.equal(await text('/up', { method: 'POST', body: pattern }), said);
    const stream = new ReadableStream({
        start(controller) {
            for (let at = 0; at < BIG; at += 70_001) controller.enqueue(pattern.subarray(at, at + 70_001));
            controller.close();
        },
    });
    assert.equal(await text('/up', { method: 'POST', body: stream, duplex: 'half' }), said);
    assert.ok(Buffer.from(await (await fetch(base + '/big')).arrayBuffer()).equals(pattern));
    const packed = await fetch(base + '/text');
    assert.match(packed.headers.get('content-encoding'), /^(gzip|br)$/);
    assert.equal((await packed.text()).split('dull').length, 2001);
    let reads = 0;
    for await (const _ of (await fetch(base + '/slow')).body) reads++;
    assert.ok(reads >= 3, `a streamed answer came in ${reads} pieces`);
    assert.match(await text('/events', { headers: { 'Last-Event-ID': '7' } }), /id: 8\n/);
    const moved = await fetch(base + '/moved');
    assert.ok(moved.redirected && await moved.text() === 'hello');
    assert.equal(await text('/moved', { method: 'POST', body: 'again' }), 'again');
    assert.equal((await fetch(base + '/nothing', { method: 'DELETE' })).status, 204);
    const etag = (await fetch(base + '/file')).headers.get('etag');
    const headers = { 'If-None-Match': etag };
    assert.equal((await fetch(base + '/file', { headers, cache: 'no-store' })).status, 304);
    for (const status of [400, 404, 500, 503]) {
        assert.equal((await fetch(`${base}/status/${status}`)).status, status);
    }
    assert.equal(await text('/close'), 'the last');
    assert.deepEqual(await Promise.all(Array.from({ length: 100 }, () => text('/'))), Array(100).fill('hello'));
    const given = new AbortController();
    const endless = await fetch(base + '/slow', { signal: given.signal });
    given.abort();
    await assert.rejects(endless.text());
}

async function byAgent() {
    const lib = base.startsWith('https') ? https : http;
    const agent = new lib.Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set();
    const ask = (path, options = {}, body) => new Promise((resolve, reject) => {
        const request = lib.request(base + path, { agent, ...options }, response => {
            const chunks = [];
            response.on('data', chunk => chunks.push(chunk));
            response.on('end', () => resolve([response, Buffer.concat(chunks)]));
            response.on('error', reject);
        });
        request.on('socket', socket => sockets.add(socket));
        request.on('continue', () => request.end(body));
        request.on('error', reject);
        if (options.headers?.Expect) request.flushHeaders();
        else request.end(body);
    });
    for (let i = 0; i < 100; i++) assert.equal((await ask('/'))[1].toString(), 'hello');
    assert.equal((await ask('/pieces'))[1].toString().split('\n').length, 101);
    assert.equal((await ask('/up', { method: 'PUT' }, pattern))[1].toString(), said);
    const headers = { Expect: '100-continue', 'Content-Length': BIG };
    assert.equal((await ask('/up', { method: 'PUT', headers }, pattern))[1].toString(), said);
    assert.equal((await ask('/nothing', { method: 'DELETE' }))[0].statusCode, 204);
    assert.equal((await ask('/', { method: 'HEAD' }))[0].headers['content-length'], '5');
    assert.equal(sockets.size, 1, `${sockets.size} connections for an agent that keeps one`);
    assert.equal((await ask('/close'))[0].headers.connection, 'close');
    assert.equal((await ask('/'))[1].toString(), 'hello');
    assert.equal(sockets.size, 2);
    agent.destroy();
}

await byFetch();
await byAgent();
console.log('fine');
