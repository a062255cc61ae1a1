"""Receives webhooks by the reference library, PyPI's standardwebhooks. `receiver.py SECRET` says its port and serves for ever.

Answers 200 with what it has verified and with its own signature of the same, or 403 with why not.
"""

import json
import sys
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, said = 200, {"verified": webhook.verify(body, dict(self.headers))}
            sent = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), tz=timezone.utc)
            said["signature"] = webhook.sign(self.headers["webhook-id"], sent, body.decode())
        except WebhookVerificationError as error:
            status, said = 403, {"error": str(error)}
        answer = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
