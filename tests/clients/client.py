"""Python's http.client and requests: `client.py BASE [CA FILE]`. Exits with 0 if there is nothing to complain about."""

import http.client
import json
import ssl
import sys
import urllib.parse
import warnings

import requests

warnings.simplefilter("error")
BASE = sys.argv[1]
CA = sys.argv[2] if len(sys.argv) > 2 else None
BIG = bytes(i % 251 for i in range(251)) * 33600
BIG = BIG[: 8 << 20]
SUM = f"{len(BIG)} {sum(BIG)}"


def plain():
    url = urllib.parse.urlsplit(BASE)
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=CA)
        c = http.client.HTTPSConnection(url.hostname, url.port, timeout=20, context=context)
    else:
        c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    c.connect()
    ours = c.sock

    def ask(method, path, body=None, headers={}, **more):
        c.request(method, path, body, headers, **more)
        answer = c.getresponse()
        body = answer.read()
        assert answer.isclosed()
        assert c.sock is ours, f"{method} {path}: the connection was not kept"
        return answer, body

    answer, body = ask("GET", "/")
    assert (answer.status, answer.version, body) == (200, 11, b"hello"), body
    answer, body = ask("HEAD", "/")
    assert (answer.status, answer.getheader("Content-Length"), body) == (200, "5", b"")
    answer, body = ask("POST", "/json", json.dumps({"a": [1, None, "ä"]}), {"Content-Type": "application/json"})
    assert json.loads(body) == {"a": [1, None, "ä"]}, body
    answer, body = ask("POST", "/form", "a=1&b=%C3%A4+x", {"Content-Type": "application/x-www-form-urlencoded"})
    assert json.loads(body) == [["a", "1"], ["b", "ä x"]], body
    answer, body = ask("POST", "/up", BIG)
    assert body.decode() == SUM, body
    pieces = (BIG[at : at + 70_001] for at in range(0, len(BIG), 70_001))
    answer, body = ask("POST", "/up", pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert body.decode() == SUM, body
    answer, body = ask("POST", "/echo", iter([b"chunked ", b"both ways"]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert body == b"chunked both ways" and answer.getheader("Transfer-Encoding") == "chunked"
    assert ask("GET", "/big")[1] == BIG
    assert ask("GET", "/pieces")[1].count(b"\n") == 100
    assert ask("DELETE", "/nothing")[0].status == 204
    answer, body = ask("GET", "/file")
    etag = answer.getheader("ETag")
    again, nothing = ask("GET", "/file", headers={"If-None-Match": etag})
    assert (again.status, nothing, again.getheader("ETag")) == (304, b"", etag)
    part, some = ask("GET", "/file", headers={"Range": "bytes=100-199"})
    assert (part.status, some) == (206, body[100:200])
    for status in [400, 404, 500, 503]:
        assert ask("GET", f"/status/{status}")[0].status == status
    assert ask("GET", "/nowhere")[0].status == 404
    answer, _ = ask("PATCH", "/")
    assert answer.status == 405 and "GET" in answer.getheader("Allow")
    c.request("GET", "/close")
    answer = c.getresponse()
    assert answer.read() == b"the last" and answer.will_close


def with_requests():
    with requests.Session() as s:
        s.verify = CA or True
        s.trust_env = False

        def connections():
            all = [adapter.poolmanager.pools for adapter in s.adapters.values()]
            return sum(pools[key].num_connections for pools in all for key in pools.keys())

        r = s.get(BASE + "/")
        assert (r.status_code, r.text, r.encoding) == (200, "hello", "utf-8"), r.text
        assert s.head(BASE + "/").headers["Content-Length"] == "5"
        assert s.post(BASE + "/json", json={"a": 1}).json() == {"a": 1}
        assert s.post(BASE + "/form", data={"a": "x y"}).json() == [["a", "x y"]]
        r = s.post(BASE + "/parts", files={"one": ("n", b"12345"), "two": ("m", BIG[:100_000])})
        assert r.text == "one 5, two 100000", r.text
        assert s.post(BASE + "/up", data=BIG).text == SUM
        assert s.post(BASE + "/up", data=iter([BIG[:100_000], BIG[100_000:]])).text == SUM
        assert s.get(BASE + "/big").content == BIG
        r = s.get(BASE + "/text")
        assert r.headers["Content-Encoding"] in ("gzip", "br", "zstd") and r.text.count("dull") == 2000
        with s.get(BASE + "/slow", stream=True) as r:
            assert list(r.iter_lines()) == [b"piece %d" % n for n in range(5)]
        r = s.get(BASE + "/events", headers={"Last-Event-ID": "7"})
        assert "id: 8" in r.text and r.headers["Content-Type"].startswith("text/event-stream"), r.text
        r = s.get(BASE + "/moved")
        assert r.text == "hello" and r.history[0].status_code == 303
        r = s.post(BASE + "/moved", data=b"again")
        assert r.text == "again" and r.history[0].status_code == 307
        r = s.delete(BASE + "/nothing")
        assert (r.status_code, r.content) == (204, b"")
        assert s.get(BASE + "/status/500").status_code == 500
        assert connections() == 1, f"{connections()} connections for one session"
        assert s.get(BASE + "/close").text == "the last"
        assert s.get(BASE + "/").text == "hello"


plain()
with_requests()
print("fine")
