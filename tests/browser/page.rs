//! What the scripts of a page do with a server: the same list as other clients' in `tests/clients`.

use std::path::PathBuf;

use serde_json::json;
use sward::http::Mode;

use crate::app::{self, BIG, pattern, sum};
use crate::webdriver::Browser;

/// Each part is the body of an async function with `check(what, is, wanted)`.
const PARTS: &[(&str, &str)] = &[
    (
        "page",
        "check('title', document.title, 'page');
         check('text', document.querySelector('#p').textContent, 'hello');",
    ),
    (
        "fetch",
        "const text = async (path, options) => (await fetch(path, options)).text();
         for (let i = 0; i < 20; i++) check('hello', await text('/'), 'hello');
         const fresh = performance.getEntriesByType('resource').slice(-19)
             .filter(e => e.connectEnd > e.connectStart);
         check('new connections', fresh.length, 0);
         check('head', (await fetch('/', {method: 'HEAD'})).headers.get('content-length'), '5');
         const type = {'content-type': 'application/json'};
         check('json', await text('/json', {method: 'POST', body: '[\"ä\"]', headers: type}), '[\"ä\"]');
         const form = new URLSearchParams({a: 'x y'});
         check('form', await text('/form', {method: 'POST', body: form}), '[[\"a\",\"x y\"]]');
         const packed = await fetch('/text');
         check('coding', /^(gzip|br|zstd)$/.test(packed.headers.get('content-encoding')), true);
         check('packed', (await packed.text()).split('dull').length, 2001);
         check('moved', await text('/moved'), 'hello');
         check('moved', await text('/moved', {method: 'POST', body: 'again'}), 'again');
         check('nothing', (await fetch('/nothing', {method: 'DELETE'})).status, 204);
         check('close', await text('/close'), 'the last');
         const many = await Promise.all(Array.from({length: 100}, () => text('/', {cache: 'no-store'})));
         check('many', many.every(one => one === 'hello'), true);",
    ),
    (
        "bodies",
        "const bytes = Uint8Array.from({length: big}, (_, i) => i % 251);
         const put = {method: 'PUT', body: bytes};
         check('up', await (await fetch('/up', put)).text(), sum);
         const down = new Uint8Array(await (await fetch('/big')).arrayBuffer());
         check('down', down.length === big && down.every((byte, i) => byte === i % 251), true);
         const parts = new FormData();
         parts.set('one', '12345');
         parts.set('two', new Blob([bytes.subarray(0, 100000)]), 'file');
         const said = await (await fetch('/parts', {method: 'POST', body: parts})).text();
         check('parts', said, 'one 5, two 100000');
         const reader = (await fetch('/slow')).body.getReader();
         let pieces = 0;
         while (!(await reader.read()).done) pieces++;
         check('pieces as they come', pieces >= 3, true);
         const given = new AbortController();
         const slow = await fetch('/slow', {signal: given.signal});
         given.abort();
         check('aborted', await slow.text().catch(error => error.name), 'AbortError');",
    ),
    (
        "files",
        "const part = await fetch('/file?part', {headers: {Range: 'bytes=100-109'}});
         check('status', part.status, 206);
         check('part', [...new Uint8Array(await part.arrayBuffer())].join(), '100,101,102,103,104,105,106,107,108,109');
         for (let i = 0; i < 2; i++) await (await fetch('/file', {cache: 'no-cache'})).arrayBuffer();
         const last = performance.getEntriesByType('resource').at(-1);
         // What came over TLS with a certificate of ours is not kept.
         const kept = location.protocol === 'http:';
         check('not modified, so little came', last.transferSize < 2000, kept);
         check('but all is there', last.decodedBodySize, 100000);",
    ),
    (
        // The stream ends after each third event, and the browser comes again with the last one's id.
        "events",
        "const seen = [];
         await new Promise((done, fail) => {
             const source = new EventSource('/events');
             source.onmessage = event => {
                 seen.push(event.lastEventId + event.data);
                 if (seen.length === 9) { source.close(); done(); }
             };
             setTimeout(() => fail(new Error('only ' + seen)), 15000);
         });
         const wanted = Array.from({length: 9}, (_, i) => `${i + 1}event ${i + 1}\\nin two lines`);
         check('events', seen.join(), wanted.join());",
    ),
    (
        "websocket",
        "const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
         socket.binaryType = 'arraybuffer';
         const next = () => new Promise((done, fail) => {
             socket.onmessage = event => done(event.data);
             socket.onclose = event => fail(new Error('closed ' + event.code));
         });
         await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
         check('extensions', /^permessage-deflate/.test(socket.extensions), true);
         const long = 'Grüße, '.repeat(30000);
         for (const text of ['', 'hello', long]) {
             const answer = next();
             socket.send(text);
             check('text', await answer, text);
         }
         const answer = next();
         socket.send(crypto.getRandomValues(new Uint8Array(60000)));
         check('binary', (await answer).byteLength, 60000);
         const closed = new Promise(done => { socket.onclose = done; });
         socket.close(1000, 'enough');
         const {code, wasClean} = await closed;
         check('close', `${code} ${wasClean}`, '1000 true');",
    ),
];

/// In green mode, with OS threads and over TLS: nothing fails, and the console stays empty.
#[test]
#[ignore = "needs chromium"]
fn what_pages_do() {
    for (mode, tls) in [(Mode::Green, false), (Mode::Threads, false), (Mode::Green, true)] {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{mode}.bin"));
        std::fs::write(&file, pattern(100_000)).unwrap();
        let (server, base) = app::serve(mode, tls, &file);
        let page = Browser::start();
        page.open(&format!("{base}/page"));
        for (name, part) in PARTS {
            let script = format!(
                "const [big, sum] = arguments;
                 const check = (what, is, wanted) => {{
                     if (is !== wanted) throw new Error(`${{what}}: ${{is}}, not ${{wanted}}`);
                 }};
                 return (async () => {{ {part} }})().then(() => 'fine', error => String(error));"
            );
            let said = page.run_with(&script, &json!([BIG, sum(BIG)]));
            assert_eq!(said, "fine", "{mode}, {base}: {name}");
        }
        assert_eq!(page.errors(), json!([]), "{mode}, {base}: a clean console");
        drop(page);
        crate::http_support::eventually("all connections end", || server.handle.connections() == 0);
    }
}
