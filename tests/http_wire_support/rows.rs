//! The rows of `http_wire.rs`: what is sent, and what comes back. Facts only.

/// A rule.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) request: Vec<u8>,
    /// In the short form of `summary`.
    pub(crate) answers: Vec<&'static str>,
}

const FINE: &[&str] = &["200 hello", "200 after close"];
const BAD: &[&str] = &["400 close"];

/// Header lines of a GET. `Host: h` comes first.
const HEADERS: &[(&str, &str, &[&str])] = &[
    ("no more", "", FINE),
    // RFC 9112, 5.1 and 5.2: names, colons, line folding.
    ("a space before the colon", "X : y\r\n", BAD),
    ("a tab before the colon", "X\t: y\r\n", BAD),
    ("a folded line", "X: y\r\n z\r\n", BAD),
    ("a line folded with a tab", "X: y\r\n\tz\r\n", BAD),
    ("a folded blank line", "X: y\r\n \r\n", BAD),
    ("a line without a colon", "nothing\r\n", BAD),
    ("no name", ": x\r\n", BAD),
    ("neither name nor value", ":\r\n", BAD),
    ("LFs for a value", "X:\n\nGET /after HTTP/1.1\r\n", BAD),
    ("brackets in a name", "X[]: y\r\n", BAD),
    ("a space in a name", "X Y: z\r\n", BAD),
    ("NUL in a name", "X\0: y\r\n", BAD),
    ("a byte above ASCII in a name", "X\u{e9}: y\r\n", BAD),
    ("NUL in a value", "X: a\0b\r\n", BAD),
    ("a control byte in a value", "X: a\x01b\r\n", BAD),
    ("DEL in a value", "X: a\x7fb\r\n", BAD),
    ("a byte above ASCII in a value", "X: \u{e9}\r\n", FINE),
    ("a tab in a value", "X: a\tb\r\n", FINE),
    ("an empty value", "X:\r\nY: \t \r\n", FINE),
    ("every mark of a token", "!#$%&'*+-.^_`|~: x\r\n", FINE),
    // RFC 9112, 2.2: line ends.
    ("a bare LF behind a line", "X: y\n", BAD),
    ("a bare CR in a value", "X: a\rY: b\r\n", BAD),
    ("two CRs", "X: y\r\r\n", BAD),
    ("a bare CR for the blank line", "X: y\r\n\rGET /after HTTP/1.1\r\n", BAD),
    // RFC 9112, 3.2: Host.
    ("a second Host", "Host: h\r\n", BAD),
    ("another Host", "hOST: i\r\n", BAD),
    // RFC 9110, 7.8 and 9.3: what may be ignored is.
    (
        "an upgrade that we do not know",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n",
        FINE,
    ),
    (
        "an upgrade to a WebSocket where none is",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        FINE,
    ),
    ("TE", "TE: trailers\r\nConnection: TE\r\n", FINE),
    ("a close", "Connection: close\r\n", &["200 hello close"]),
    ("a close among others", "Connection: keep-alive, x , CLOSE\r\n", &["200 hello close"]),
    ("a length of a GET", "Content-Length: 0\r\n", FINE),
];

/// Header lines of a POST, and what follows the head.
const FRAMING: &[(&str, &str, &str, &[&str])] = &[
    // RFC 9112, 6.3: one way to say where the body ends, or none.
    ("no length", "", "", &["200", "200 after close"]),
    ("a length", "Content-Length: 5\r\n", "hello", FINE),
    ("a length with zeros", "Content-Length: 0005\r\n", "hello", FINE),
    ("a length with blanks around", "Content-Length: \t 5 \t\r\n", "hello", FINE),
    ("chunked", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", FINE),
    ("chunked in capitals", "TRANSFER-ENCODING: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n", FINE),
    ("length and coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", BAD),
    ("coding and length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n", BAD),
    (
        "no length and a coding",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        BAD,
    ),
    ("a length twice", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello", BAD),
    ("two lengths", "Content-Length: 5\r\nContent-Length: 0\r\n", "hello", BAD),
    ("a list of one length", "Content-Length: 5, 5\r\n", "hello", BAD),
    ("a list of lengths", "Content-Length: 0,5\r\n", "hello", BAD),
    ("an empty length", "Content-Length:\r\n", "", BAD),
    ("a length with a plus", "Content-Length: +5\r\n", "hello", BAD),
    ("a length with a minus", "Content-Length: -5\r\n", "", BAD),
    ("a length in hex", "Content-Length: 0x5\r\n", "hello", BAD),
    ("a length and more", "Content-Length: 5 5\r\n", "hello", BAD),
    ("a length with an underscore", "Content-Length: 1_0\r\n", "helloworld", BAD),
    ("a length with a fraction", "Content-Length: 5.0\r\n", "hello", BAD),
    ("a length with a form feed", "Content-Length: 5\x0c\r\n", "hello", BAD),
    ("a length in other digits", "Content-Length: \u{665}\r\n", "hello", BAD),
    ("a length in quotes", "Content-Length: \"5\"\r\n", "hello", BAD),
    ("a folded length", "Content-Length:\r\n 5\r\n", "hello", BAD),
    ("a space before the colon of a length", "Content-Length : 5\r\n", "hello", BAD),
    ("a length above 64 bits", "Content-Length: 18446744073709551617\r\n", "", &["413 close"]),
    ("a length over the limit", "Content-Length: 18446744073709551615\r\n", "", &["413 close"]),
    ("a length of minus nothing", "Content-Length: -0\r\n", "", BAD),
    ("a length in octal", "Content-Length: 0o5\r\n", "hello", BAD),
    ("a length and a letter", "Content-Length: 5Z\r\n", "hello", BAD),
    ("a length without its colon", "Content-Length 5\r\n", "hello", BAD),
    ("a length behind a space of Latin-1", "Content-Length: \u{a0}5\r\n", "hello", BAD),
    ("a length under another name", "Content_Length: 5\r\n", "", &["200", "200 after close"]),
    ("a coding that is not the last", "Transfer-Encoding: chunked, identity\r\n", "", BAD),
    ("no chunked", "Transfer-Encoding: gzip\r\n", "", BAD),
    ("identity", "Transfer-Encoding: identity\r\n", "", BAD),
    ("an empty coding", "Transfer-Encoding:\r\n", "", BAD),
    ("chunked twice in one", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n", BAD),
    (
        "chunked twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        BAD,
    ),
    (
        "chunked and identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "0\r\n\r\n",
        BAD,
    ),
    (
        "identity and chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        BAD,
    ),
    (
        "an empty one and chunked",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
        BAD,
    ),
    ("another coding first", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", &["501 close"]),
    ("nothing, chunked", "Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n", BAD),
    ("chunked, nothing", "Transfer-Encoding: chunked,\r\n", "0\r\n\r\n", BAD),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n", BAD),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n", BAD),
    ("chunked after a vertical tab", "Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n", BAD),
    ("chunked after a form feed", "Transfer-Encoding: \x0cchunked\r\n", "0\r\n\r\n", BAD),
    ("chunked after a space of Latin-1", "Transfer-Encoding: \u{a0}chunked\r\n", "0\r\n\r\n", BAD),
    ("a name in two lines", "Transfer-\r\nEncoding: chunked\r\n", "0\r\n\r\n", BAD),
    ("chunked after NUL", "Transfer-Encoding: \0chunked\r\n", "0\r\n\r\n", BAD),
    ("almost chunked", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", BAD),
    ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n", BAD),
    ("a space before the colon of a coding", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n", BAD),
    ("a space before a coding", " Transfer-Encoding: chunked\r\n", "0\r\n\r\n", BAD),
    (
        "a coding under another name",
        "Transfer_Encoding: chunked\r\n",
        "",
        &["200", "200 after close"],
    ),
    ("an LF before a coding", "X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", BAD),
    ("a CR before a coding", "X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n", BAD),
];

/// Chunked bodies.
const CHUNKS: &[(&str, &str, &[&str])] = &[
    // RFC 9112, 7.1: sizes.
    ("two chunks", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", FINE),
    ("no chunks", "0\r\n\r\n", &["200", "200 after close"]),
    ("zeros before a size", "0005\r\nhello\r\n000\r\n\r\n", FINE),
    ("a size in capitals", "A\r\nhellohello\r\n0\r\n\r\n", &["200 hellohello", "200 after close"]),
    (
        "a size in small letters",
        "a\r\nhellohello\r\n0\r\n\r\n",
        &["200 hellohello", "200 after close"],
    ),
    ("no size", "\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size with a plus", "+5\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size with a minus", "-5\r\nhello\r\n0\r\n\r\n", BAD),
    ("minus nothing", "5\r\nhello\r\n-0\r\n\r\n", BAD),
    ("a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size with an underscore", "1_0\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size in decimals and letters", "5h\r\nhello\r\n0\r\n\r\n", BAD),
    ("a space before a size", " 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("a space behind a size", "5 \r\nhello\r\n0\r\n\r\n", BAD),
    ("a tab behind a size", "5\t\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size and more", "5 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("NUL behind a size", "5\0\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size that is too long", "0000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size above 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    ("a size over the limit", "fffffffffffffff\r\nhello\r\n0\r\n\r\n", &["413 close"]),
    ("a size over the limit of a body", "200001\r\nhello\r\n0\r\n\r\n", &["413 close"]),
    // Line ends.
    ("an LF behind a size", "5\nhello\r\n0\r\n\r\n", BAD),
    ("a CR behind a size", "5\rhello\r\n0\r\n\r\n", BAD),
    ("an LF behind the data", "5\r\nhello\n0\r\n\r\n", BAD),
    ("a CR behind the data", "5\r\nhello\r0\r\n\r\n", BAD),
    ("nothing behind the data", "5\r\nhello0\r\n\r\n", BAD),
    ("something else behind the data", "5\r\nhelloXX0\r\n\r\n", BAD),
    ("too much data", "5\r\nhello!\r\n0\r\n\r\n", BAD),
    ("too little data", "6\r\nhello\r\n0\r\n\r\n", BAD),
    ("an LF behind the last size", "5\r\nhello\r\n0\n\r\n", BAD),
    ("an LF at the end", "5\r\nhello\r\n0\r\n\n", BAD),
    ("a CR at the end", "5\r\nhello\r\n0\r\n\rX", BAD),
    ("line ends in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", &["200 \r\n\r\n", "200 after close"]),
    // 7.1.1: extensions are read over.
    ("an extension", "5;a=b\r\nhello\r\n0\r\n\r\n", FINE),
    ("extensions", "5 ; a=\"b;c\";d\r\nhello\r\n0;e\r\n\r\n", FINE),
    ("an LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n", BAD),
    ("a CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", BAD),
    ("a line end in quotes", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n", BAD),
    ("a semicolon only", "5;\r\nhello\r\n0\r\n\r\n", BAD),
    ("two semicolons", "5;;a\r\nhello\r\n0\r\n\r\n", BAD),
    ("an extension without its value", "5;a=\r\nhello\r\n0\r\n\r\n", BAD),
    ("an extension with its quotes open", "5;a=\"\r\nhello\r\n0\r\n\r\n", BAD),
    ("a blank behind an extension", "5;a \r\nhello\r\n0\r\n\r\n", BAD),
    ("two CRs behind an extension", "5;a=b\r\rhello\r\n0\r\n\r\n", BAD),
    ("an extension behind a CR", "5\r;a\nhello\r\n0\r\n\r\n", BAD),
    ("an extension without its semicolon", "5 a\r\nhello\r\n0\r\n\r\n", BAD),
    // 7.1.2: trailers too.
    ("trailers", "5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", FINE),
    ("a trailer that is a length", "5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n", FINE),
    ("a trailer that is a coding", "5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n", FINE),
    ("a trailer that is a close", "5\r\nhello\r\n0\r\nConnection: close\r\n\r\n", FINE),
    ("a trailer without a colon", "5\r\nhello\r\n0\r\nX\r\n\r\n", BAD),
    ("a trailer without a name", "5\r\nhello\r\n0\r\n: y\r\n\r\n", BAD),
    ("a space before the colon of a trailer", "5\r\nhello\r\n0\r\nX : y\r\n\r\n", BAD),
    ("a folded trailer", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", BAD),
    ("an LF behind a trailer", "5\r\nhello\r\n0\r\nX: y\n\r\n", BAD),
    ("NUL in a trailer", "5\r\nhello\r\n0\r\nX: \0\r\n\r\n", BAD),
    ("a request for a trailer", "5\r\nhello\r\n0\r\nGET /after HTTP/1.1\r\n\r\n", BAD),
];

/// Whole requests.
const WHOLE: &[(&str, &str, &[&str])] = &[
    // RFC 9112, 3: the request line.
    ("two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("two spaces before the version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a space behind the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", BAD),
    ("a space first", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("an LF in the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", BAD),
    ("LFs only", "GET / HTTP/1.1\nHost: h\n\n", BAD),
    ("a CR in the request line", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a control byte in the target", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a method that is no token", "GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a method in quotes", "G=\":<>(e),[T];?\" / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("no target", "GET HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a target that is none", "GET ! HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("an LF before the version", "GET /\nHTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("an unknown method", "get / HTTP/1.1\r\nHost: h\r\n\r\n", &["405", "200 after close"]),
    ("a space before the headers", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", BAD),
    ("an empty line first", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", FINE),
    ("an empty line of an LF first", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", BAD),
    // 2.3: versions.
    ("no version", "GET / \r\n\r\n", BAD),
    ("HTTP/0.9", "GET /\r\n\r\n", BAD),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", &["505 close"]),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", &["505 close"]),
    ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["505 close"]),
    ("half a version", "GET / HTTP/1\r\nHost: h\r\n\r\n", BAD),
    ("a space in the version", "GET / HTTP/ 1.1\r\nHost: h\r\n\r\n", BAD),
    ("CRs in the version", "GET / HTTP/\r\r1.1\r\nHost: h\r\n\r\n", BAD),
    ("a version of many digits", "GET / HTTP/1.32\r\nHost: h\r\n\r\n", &["505 close"]),
    ("a longer version", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", BAD),
    ("a version with a zero", "GET / HTTP/01.1\r\nHost: h\r\n\r\n", &["505 close"]),
    ("a version in small letters", "GET / http/1.1\r\nHost: h\r\n\r\n", BAD),
    ("another protocol", "GET / HTTQ/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a version with a comma", "GET / HTTP/1,1\r\nHost: h\r\n\r\n", BAD),
    // 9.3: HTTP/1.0.
    ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", &["200 hello close"]),
    ("HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", FINE),
    (
        "HTTP/1.0 with a coding",
        "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
    ),
    (
        "HTTP/1.0 with a body",
        "POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        &["200 hello close"],
    ),
    ("HTTP/1.0 and two Hosts", "GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", BAD),
    // 3.2: targets.
    (
        "a query",
        "GET /query?a=b?c HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 Some(\"a=b?c\")", "200 after close"],
    ),
    (
        "the absolute form",
        "GET http://h/name/x HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 x", "200 after close"],
    ),
    ("the absolute form without a path", "GET HTTP://h HTTP/1.1\r\nHost: h\r\n\r\n", FINE),
    ("the absolute form of TLS", "GET https://h:443/ HTTP/1.1\r\nHost: h\r\n\r\n", FINE),
    ("the absolute form of another Host", "GET http://i/ HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("the absolute form of another port", "GET http://h:81/ HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("the absolute form with a user", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("the absolute form without a host", "GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("another scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("the asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", &["204", "200 after close"]),
    ("the asterisk of a GET", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("an asterisk and more", "OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("the authority form", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", &["501 close"]),
    ("the authority form of a GET", "GET h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", BAD),
    ("a path without its slash", "GET after HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a fragment", "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    ("a fragment in a query", "GET /?a#x HTTP/1.1\r\nHost: h\r\n\r\n", BAD),
    // 3.2: Host.
    ("no Host", "GET / HTTP/1.1\r\n\r\n", BAD),
    ("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", FINE),
    ("a Host with a port", "GET / HTTP/1.1\r\nHost: h:8080\r\n\r\n", FINE),
    ("a Host of IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", FINE),
    ("a Host with a path", "GET / HTTP/1.1\r\nHost: h/i\r\n\r\n", BAD),
    ("a Host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", BAD),
    ("a Host with a space", "GET / HTTP/1.1\r\nHost: h i\r\n\r\n", BAD),
    ("a Host with a bad port", "GET / HTTP/1.1\r\nHost: h:x\r\n\r\n", BAD),
    ("two Hosts in one", "GET / HTTP/1.1\r\nHost: h,i\r\n\r\n", BAD),
    ("a Host that is a URL", "GET / HTTP/1.1\r\nHost: http://h\r\n\r\n", BAD),
    // 9.3.2: order.
    (
        "several at once",
        "GET /late HTTP/1.1\r\nHost: h\r\n\r\nGET /name/2 HTTP/1.1\r\nHost: h\r\n\r\n\
         POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n3HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 late", "200 2", "200 3", "200", "200 after close"],
    ),
    (
        "one that is bad behind one that is good",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        &["200 hello", "400 close"],
    ),
    (
        "a body that nobody reads",
        "POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 33\r\n\r\nGET /name/x HTTP/1.1\r\nHost: h\r\n\r\n",
        &["200 ignored", "200 after close"],
    ),
    (
        "chunks that nobody reads",
        "POST /ignore HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n",
        &["200 ignored", "200 after close"],
    ),
    (
        "trailers are no headers",
        "POST /trailers HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
        &["200 1 host,transfer-encoding", "200 after close"],
    ),
];

/// All of them.
pub(crate) fn rows() -> Vec<Row> {
    let row = |name: &str, request: String, answers: &[&'static str]| Row {
        name: name.to_string(),
        request: request.into_bytes(),
        answers: answers.to_vec(),
    };
    let mut rows = Vec::new();
    for (name, lines, body, answers) in FRAMING {
        let request = format!("POST /echo HTTP/1.1\r\nHost: h\r\n{lines}\r\n{body}");
        rows.push(row(name, request, answers));
    }
    for (name, body, answers) in CHUNKS {
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        rows.push(row(name, format!("{head}{body}"), answers));
    }
    for (name, lines, answers) in HEADERS {
        rows.push(row(name, format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"), answers));
    }
    for (name, request, answers) in WHOLE {
        rows.push(row(name, request.to_string(), answers));
    }
    // What is dropped is bounded.
    let long = "x".repeat(9000);
    for (name, body) in [
        ("a long extension", format!("5;{long}\r\nhello\r\n0\r\n\r\n")),
        ("many extensions", format!("1;{}\r\nx\r\n", &long[..100]).repeat(90) + "0\r\n\r\n"),
        ("a long trailer", format!("0\r\nX: {long}\r\n\r\n")),
        ("many trailers", format!("0\r\n{}\r\n", "X: y\r\n".repeat(3000))),
    ] {
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        rows.push(row(name, format!("{head}{body}"), BAD));
    }
    rows
}
