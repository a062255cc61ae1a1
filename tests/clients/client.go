// Go's net/http client: `go run client.go BASE [CA FILE]`. Exits with 0 if there is nothing to complain about: whatever
// the transport logs ("Unsolicited response received on idle HTTP channel") is a complaint too.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

const big = 8 << 20

var (
	base   string
	client *http.Client
	reused bool
)

func check(ok bool, what string, more ...any) {
	if !ok {
		fmt.Fprintf(os.Stderr, what+"\n", more...)
		os.Exit(1)
	}
}

// ask sends a request and reads the answer to its end.
func ask(method, path string, body io.Reader, headers ...string) (*http.Response, []byte) {
	request, err := http.NewRequest(method, base+path, body)
	check(err == nil, "%s %s: %v", method, path, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	trace := httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), &trace))
	response, err := client.Do(request)
	check(err == nil, "%s %s: %v", method, path, err)
	got, err := io.ReadAll(response.Body)
	check(err == nil, "the body of %s %s: %v", method, path, err)
	response.Body.Close()
	return response, got
}

func main() {
	base = os.Args[1]
	complaints := &bytes.Buffer{}
	log.SetOutput(complaints)
	transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
	if len(os.Args) > 2 {
		pem, err := os.ReadFile(os.Args[2])
		check(err == nil, "%v", err)
		roots := x509.NewCertPool()
		check(roots.AppendCertsFromPEM(pem), "no certificate")
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	client = &http.Client{Transport: transport, Timeout: 60 * time.Second}
	pattern, sum := make([]byte, big), 0
	for i := range pattern {
		pattern[i] = byte(i % 251)
		sum += i % 251
	}
	said := fmt.Sprintf("%d %d", big, sum)

	_, body := ask("GET", "/", nil)
	check(string(body) == "hello", "%q", body)
	kept := func(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
		response, got := ask(method, path, body, headers...)
		check(reused, "%s %s: a new connection", method, path)
		return response, string(got)
	}
	for i := 0; i < 100; i++ {
		kept("GET", "/", nil)
	}
	response, got := kept("HEAD", "/", nil)
	check(response.ContentLength == 5 && got == "", "HEAD: %d", response.ContentLength)
	_, got = kept("POST", "/json", strings.NewReader(`{"a": [1]}`), "Content-Type", "application/json")
	check(got == `{"a":[1]}`, "%q", got)
	form := url.Values{"a": {"x y"}}.Encode()
	_, got = kept("POST", "/form", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
	check(got == `[["a","x y"]]`, "%q", got)
	_, got = kept("POST", "/up", bytes.NewReader(pattern))
	check(got == said, "%q", got)
	// A reader of unknown length is sent in chunks.
	_, got = kept("POST", "/up", io.MultiReader(bytes.NewReader(pattern)))
	check(got == said, "%q", got)
	_, got = kept("POST", "/up", bytes.NewReader(pattern), "Expect", "100-continue")
	check(got == said, "%q", got)
	response, got = kept("POST", "/echo", io.MultiReader(strings.NewReader("both ways")))
	check(got == "both ways" && response.TransferEncoding[0] == "chunked", "%q", got)
	_, got = kept("GET", "/big", nil)
	check(got == string(pattern), "a big body came wrong")
	_, got = kept("GET", "/pieces", nil)
	check(strings.Count(got, "\n") == 100, "%q", got)
	response, got = kept("GET", "/text", nil)
	check(response.Uncompressed && strings.Count(got, "dull") == 2000, "not compressed")
	_, got = kept("GET", "/events", nil, "Last-Event-ID", "7")
	check(strings.Contains(got, "id: 8\n"), "%q", got)
	_, got = kept("GET", "/moved", nil)
	check(got == "hello", "%q", got)
	_, got = kept("POST", "/moved", strings.NewReader("again"))
	check(got == "again", "%q", got)
	response, _ = kept("DELETE", "/nothing", nil)
	check(response.StatusCode == 204, "%d", response.StatusCode)
	response, whole := kept("GET", "/file", nil)
	response, _ = kept("GET", "/file", nil, "If-None-Match", response.Header.Get("ETag"))
	check(response.StatusCode == 304, "%d", response.StatusCode)
	response, got = kept("GET", "/file", nil, "Range", "bytes=100-199")
	check(response.StatusCode == 206 && got == whole[100:200], "%d %q", response.StatusCode, got)
	for _, status := range []int{400, 404, 500, 503} {
		response, _ = kept("GET", fmt.Sprintf("/status/%d", status), nil)
		check(response.StatusCode == status, "%d", response.StatusCode)
	}
	response, got = kept("GET", "/close", nil)
	check(response.Close && got == "the last", "%v %q", response.Close, got)
	ask("GET", "/", nil)
	check(!reused, "a closed connection was used again")

	var all sync.WaitGroup
	for i := 0; i < 200; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			response, err := client.Get(base + "/")
			check(err == nil, "%v", err)
			got, err := io.ReadAll(response.Body)
			check(err == nil && string(got) == "hello", "%v %q", err, got)
			response.Body.Close()
		}()
	}
	all.Wait()
	client.CloseIdleConnections()
	check(complaints.Len() == 0, "%s", complaints)
	fmt.Println("fine")
}
