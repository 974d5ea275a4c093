// What Node's HTTP/1.1 (llhttp, with its defaults) reads in streams of bytes. One case per line of standard input, as
// [kind, base64]: kind is "requests", or the method that the stream answers. One line per case comes back, as
// [messages, fault]: a message is [start, base64 of its body].
'use strict';
const http = require('http');
const readline = require('readline');
const { Duplex } = require('stream');

// Long past what any case takes; a case that is stuck is told, not waited for.
const PATIENCE_MS = 5000;

/** The far end of `bytes`, which end after they were read; `when` says when they begin. */
function end(bytes, when) {
  let begun = false;
  const stream = new Duplex({
    read() { if (when === 'read') begin(); },
    write(chunk, encoding, done) { if (when === 'write') begin(); done(); },
  });
  function begin() {
    if (begun) return;
    begun = true;
    stream.push(bytes);
    stream.push(null);
  }
  return stream;
}

/** Once the ends of the messages that came before were told. */
function afterwards(act) {
  setImmediate(() => setImmediate(act));
}

function collect(message, done) {
  const parts = [];
  message.on('data', (part) => parts.push(part));
  message.on('error', () => {});
  message.on('end', () => done(Buffer.concat(parts).toString('base64')));
}

function requests(bytes) {
  return new Promise((resolve) => {
    const seen = [];
    let fault = null;
    const answer = (request, response) => collect(request, (body) => {
      seen.push([`${request.method} ${request.url}`, body]);
      response.end();
    });
    const server = http.createServer(answer);
    server.httpAllowHalfOpen = true;
    server.on('checkContinue', answer);
    server.on('checkExpectation', answer);
    server.on('clientError', (error, socket) => { fault = error.code; afterwards(() => socket.destroy()); });
    for (const other of ['connect', 'upgrade']) {
      server.on(other, (request, socket) => { fault = other; socket.destroy(); });
    }
    const stream = end(bytes, 'read');
    const timer = setTimeout(() => { fault = 'stuck'; stream.destroy(); }, PATIENCE_MS);
    stream.on('close', () => { clearTimeout(timer); server.close(); resolve([seen, fault]); });
    stream.on('error', () => {});
    server.emit('connection', stream);
  });
}

function answer(method, bytes) {
  return new Promise((resolve) => {
    const stream = end(bytes, 'write');
    const timer = setTimeout(() => finish([], 'stuck'), PATIENCE_MS);
    function finish(seen, fault) {
      clearTimeout(timer);
      resolve([seen, fault]);
      stream.destroy();
    }
    const request = http.request({ method, path: '/', createConnection: () => stream });
    request.on('error', (error) => afterwards(() => finish([], error.code || error.message)));
    request.on('upgrade', () => finish([], 'upgrade'));
    request.on('response', (response) => {
      response.on('aborted', () => finish([], 'aborted'));
      collect(response, (body) => {
        if (response.complete) finish([[String(response.statusCode), body]], null);
        else finish([], 'incomplete');
      });
    });
    request.end();
  });
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [kind, text] = JSON.parse(line);
    const bytes = Buffer.from(text, 'base64');
    const seen = await (kind === 'requests' ? requests(bytes) : answer(kind, bytes));
    process.stdout.write(`${JSON.stringify(seen)}\n`);
  }
}

main();
