// Receives webhooks by the reference library, npm's standardwebhooks; what is signed by Ed25519, which it does not know, by
// node's own cryptography. `node receiver.js KEY` says its port and serves for ever.
//
// Answers 200 with what it has verified, or 403 with why not.
"use strict";
const crypto = require("node:crypto");
const http = require("node:http");

const key = process.argv[2];
const { Webhook } = key.startsWith("whsec_") ? require("standardwebhooks") : {};

function verify(body, headers) {
  if (Webhook) {
    const webhook = new Webhook(key);
    const sent = new Date(1000 * headers["webhook-timestamp"]);
    return { verified: webhook.verify(body, headers), signature: webhook.sign(headers["webhook-id"], sent, body) };
  }
  const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
  const publicKey = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const fits = headers["webhook-signature"].split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    return version === "v1a" && crypto.verify(null, Buffer.from(content), publicKey, Buffer.from(signature, "base64"));
  });
  if (!fits) throw new Error("No matching signature found");
  return { verified: JSON.parse(body) };
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    let status = 200;
    let said;
    try {
      said = verify(Buffer.concat(pieces).toString(), request.headers);
    } catch (error) {
      status = 403;
      said = { error: error.message };
    }
    response.writeHead(status).end(JSON.stringify(said));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
