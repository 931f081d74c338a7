package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// fetch makes a request on a new connection and returns the response and its body. Headers have the
// form "Name: value".
func fetch(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	return fetchWith(t, &http.Transport{DisableCompression: true, DisableKeepAlives: true}, method, url, headers...)
}

func fetchWith(t *testing.T, rt http.RoundTripper, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", method, url, err)
	}
	return resp, string(body)
}

func healthy() Health { return Health{OK: true, Status: "healthy"} }

func degraded() Health {
	return Health{Status: "unhealthy", Reasons: []string{"Redis: connection refused", "no progress for 12s"}}
}

func somePorts(b []byte) []byte { return append(b, `{"ports":[]}`+"\n"...) }

func someStatus(b []byte) []byte { return append(b, `{"schema":1}`+"\n"...) }

// someEvents repeats the query, unless it is "bad".
func someEvents(query string) (func([]byte) []byte, error) {
	if query == "bad" {
		return nil, errors.New("bad\nquery")
	}
	return func(b []byte) []byte { return append(append(b, query...), '\n') }, nil
}

// TestResponses checks status, content type and body for each path, method and Accept header.
func TestResponses(t *testing.T) {
	set := NewSet()
	set.NewCounter("test_events_total", "help").Set(42)
	_, base := startServer(t, ServerConfig{},
		Sources{Set: set, Health: healthy, Ready: degraded, Ports: somePorts, Status: someStatus, Events: someEvents})
	const (
		text   = "text/plain; version=0.0.4; charset=utf-8"
		plain  = "text/plain; charset=utf-8"
		isJSON = "application/json"
	)
	tests := []struct {
		method, path, accept string
		status               int
		contentType          string
		contains             string
	}{
		{"GET", "/metrics", "", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics", acceptPrometheus, 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics?name[]=x", "", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics", "application/json", 200, isJSON, `"value":42}`},
		{"GET", "/metrics", "text/html", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics", "text/plain;q=0, application/json;q=0", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics", ";;,q=", 200, text, "\ntest_events_total 42\n"},
		{"GET", "/metrics.json", "", 200, isJSON, `"value":42}`},
		{"GET", "/metrics.json", "text/plain", 200, isJSON, `"value":42}`},
		{"GET", "/healthz", "", 200, plain, "healthy\n"},
		{"GET", "/healthz", "application/json", 200, isJSON, `{"ok":true,"status":"healthy","reasons":[]}`},
		{"GET", "/healthz", "text/html", 200, plain, "healthy\n"},
		{"GET", "/readyz", "", 503, plain, "unhealthy\n- Redis: connection refused\n- no progress for 12s\n"},
		{"GET", "/readyz", "application/json", 503, isJSON, `"reasons":["Redis: connection refused","no progress for 12s"]`},
		{"GET", "/ports", "", 200, isJSON, `{"ports":[]}`},
		{"GET", "/events?port=Ethernet0", "", 200, isJSON, "port=Ethernet0\n"},
		{"GET", "/events?bad", "", 400, plain, "invalid query: bad query\n"},
		{"GET", "/ports", "text/html", 200, isJSON, `{"ports":[]}`},
		{"GET", "/status", "", 200, isJSON, `{"schema":1}`},
		{"GET", "/status", "text/html", 200, isJSON, `{"schema":1}`},
		{"GET", "/", acceptBrowser, 404, plain, ""}, // no Sources.Page
		{"GET", "/nothing", "", 404, plain, ""},
		{"GET", "/metrics/", "", 404, plain, ""},
		{"GET", "//metrics", "", 404, plain, ""},
		{"GET", "/debug/pprof/", "", 404, plain, ""},
		{"POST", "/metrics", "", 405, plain, ""},
		{"DELETE", "/", "", 405, plain, ""},
		{"OPTIONS", "/nothing", "", 405, plain, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+tt.path+" "+tt.accept, func(t *testing.T) {
			var headers []string
			if tt.accept != "" {
				headers = append(headers, "Accept: "+tt.accept)
			}
			resp, body := fetch(t, tt.method, base+tt.path, headers...)
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.contentType {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, resp.Header.Get("Content-Type"), tt.status, tt.contentType)
			}
			if !strings.Contains(body, tt.contains) {
				t.Errorf("body %q, want one with %q", body, tt.contains)
			}
			if got := resp.Header.Get("Allow"); (got == "GET, HEAD") != (tt.status == 405) {
				t.Errorf("Allow: %q with status %d", got, resp.StatusCode)
			}
			if resp.ContentLength != int64(len(body)) {
				t.Errorf("Content-Length %d, body has %d bytes", resp.ContentLength, len(body))
			}
		})
	}
}

// TestHealthDocument checks that Detail is a line of the text form and Document the JSON form.
func TestHealthDocument(t *testing.T) {
	_, base := startServer(t, ServerConfig{}, Sources{Health: func() Health {
		return Health{OK: true, Status: "degraded", Detail: "score 85", Reasons: []string{"disk: full"},
			Document: struct {
				Score int `json:"score"`
			}{85}}
	}})
	for accept, want := range map[string]string{
		"text/plain":       "degraded\nscore 85\n- disk: full\n",
		"application/json": `{"score":85}` + "\n",
	} {
		if resp, body := fetch(t, "GET", base+"/healthz", "Accept: "+accept); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", accept, resp.StatusCode, body, want)
		}
	}
}

// TestUnprintableCharacters checks that responses contain no escape sequences and no extra lines
// from port names and reasons.
func TestUnprintableCharacters(t *testing.T) {
	set := NewSet()
	group := set.NewGroup("port")
	group.NewIntGauge("test_port", "help")
	const evil = "a\x1b[31m\x7f\u009b1m\u202e\U000e0001\xff"
	group.Add(evil)
	_, base := startServer(t, ServerConfig{}, Sources{Set: set, Health: func() Health {
		return Health{Status: "unhealthy", Detail: evil, Reasons: []string{"disk: " + evil + "\nfaked"}}
	}})
	for path, want := range map[string]string{
		"/metrics":      `test_port{port="a\\x1b[31m\\x7f\\u009b1m\\u202e\\U000e0001\\xff"} 0`,
		"/metrics.json": `"port":"a\\x1b[31m\\x7f\\u009b1m\\u202e\\U000e0001\\xff"`,
		"/healthz":      "unhealthy\n" + `a\x1b[31m\x7f\u009b1m\u202e\U000e0001\xff` + "\n- disk: a",
	} {
		for _, accept := range []string{"*/*", "application/json"} {
			_, body := fetch(t, "GET", base+path, "Accept: "+accept)
			if i := strings.IndexFunc(body, func(r rune) bool { return !strconv.IsPrint(r) && r != '\n' }); i >= 0 {
				t.Errorf("%s as %s: unprintable character in %q", path, accept, body[i:])
			}
			if accept == "*/*" && !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %q", path, want, body)
			}
			if strings.Contains(body, "\nfaked") {
				t.Errorf("%s as %s: a reason has more than one line", path, accept)
			}
		}
	}
}

// TestHeadIsGetWithoutBody checks that HEAD returns the headers of GET.
func TestHeadIsGetWithoutBody(t *testing.T) {
	_, base := startServer(t, ServerConfig{}, Sources{Health: healthy, Ready: degraded, Ports: somePorts, Status: someStatus, Events: someEvents, Page: somePorts,
		PortPage: func(string) func([]byte) []byte { return somePorts }})
	for _, path := range []string{"/", "/ports/Ethernet0", "/metrics.json", "/healthz", "/readyz", "/ports", "/status", "/events", "/nothing"} {
		get, _ := fetch(t, "GET", base+path)
		head, body := fetch(t, "HEAD", base+path)
		if body != "" || head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v body %q, GET: %d %v", path, head.StatusCode, head.Header, body, get.StatusCode, get.Header)
		}
		if path != "/metrics.json" && head.ContentLength != get.ContentLength { // its content changes with each request
			t.Errorf("HEAD %s: Content-Length %d, GET: %d", path, head.ContentLength, get.ContentLength)
		}
	}
}

// TestGzip checks compressed responses, also when buffers are reused.
func TestGzip(t *testing.T) {
	set := NewSet()
	counter := set.NewCounter("test_events_total", "help")
	_, base := startServer(t, ServerConfig{}, Sources{Set: set})
	for i := range 3 { // buffer and gzip writer are reused
		counter.Inc()
		resp, body := fetch(t, "GET", base+"/metrics", "Accept-Encoding: gzip")
		if got := resp.Header.Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("Content-Encoding %q", got)
		}
		if got := strings.Join(resp.Header["Vary"], ", "); got != "Accept, Accept-Encoding" {
			t.Errorf("Vary: %q", got)
		}
		z, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("\ntest_events_total %d\n", i+1); !bytes.Contains(plain, []byte(want)) {
			t.Errorf("no %q in %s", want, plain)
		}
	}
	resp, body := fetch(t, "GET", base+"/metrics", "Accept-Encoding: gzip;q=0")
	if resp.Header.Get("Content-Encoding") != "" || !strings.Contains(body, "test_events_total 3") {
		t.Errorf("gzip;q=0: response headers %q, want no gzip", resp.Header)
	}
}

// TestJSONAsConfigured checks the default format of /metrics with Live.JSON, and its change while
// the server runs.
func TestJSONAsConfigured(t *testing.T) {
	s, base := startServer(t, ServerConfig{Live: Live{JSON: true}}, Sources{})
	f := func(accept, want string) {
		t.Helper()
		resp, _ := fetch(t, "GET", base+"/metrics", "Accept: "+accept)
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: got %q, want %q", accept, got, want)
		}
	}
	f("*/*", typeJSON)
	f(acceptPrometheus, typePrometheus) // prefers text
	if err := s.Reconfigure(Live{}); err != nil {
		t.Fatal(err)
	}
	f("*/*", typePrometheus)
}

// TestStrangeAccept checks that /metrics returns text for an Accept header that is invalid or
// accepts neither text nor JSON.
func TestStrangeAccept(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		_, base := startServer(t, ServerConfig{Live: Live{JSON: asJSON}}, Sources{})
		for _, accept := range []string{
			"application/openmetrics-text", "application/vnd.google.protobuf;encoding=delimited", "text/plain;q=.2",
			"image/png", "text/plain;version=1.0.0;escaping=allow-utf-8", "*/*;q=0", "garbage", "text/plain;q=,",
		} {
			resp, _ := fetch(t, "GET", base+"/metrics", "Accept: "+accept)
			if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != typePrometheus {
				t.Errorf("JSON %t, Accept %q: %d %q, want 200 and text", asJSON, accept, resp.StatusCode, got)
			}
		}
	}
}

// TestRequestsAreCounted checks portsyncd_http_requests_total by path and status.
func TestRequestsAreCounted(t *testing.T) {
	set := NewSet()
	_, base := startServer(t, ServerConfig{}, Sources{Set: set, Health: healthy})
	fetch(t, "GET", base+"/healthz")
	fetch(t, "GET", base+"/readyz")
	fetch(t, "PUT", base+"/metrics")
	fetch(t, "GET", base+"/wp-login.php")
	fetch(t, "GET", base+"/metrics", "Host: evil.example")
	_, body := fetch(t, "GET", base+"/metrics")
	for _, want := range []string{
		`{path="/healthz",code="200"} 1`, `{path="/readyz",code="503"} 1`, `{path="/metrics",code="405"} 1`,
		`{path="other",code="404"} 1`, `{path="/metrics",code="421"} 1`, `{path="/metrics",code="200"} 0`,
	} {
		if !strings.Contains(body, "\nportsyncd_http_requests_total"+want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}

// TestBodiesAreNotRead checks that the server responds and closes the connection without waiting
// for the request body.
func TestBodiesAreNotRead(t *testing.T) {
	_, base := startServer(t, ServerConfig{}, Sources{Health: healthy})
	body, feed := io.Pipe()
	defer feed.Close()
	req, _ := http.NewRequest("GET", base+"/healthz", body)
	req.ContentLength = 1 << 40
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("status %d, connection closes: %v; want 200 and true", resp.StatusCode, resp.Close)
	}
}

// TestProfiling checks that the paths of net/http/pprof are served, and that "go tool pprof" and "go
// tool trace" would recognize the answers.
func TestProfiling(t *testing.T) {
	_, base := startServer(t, ServerConfig{Profiling: true}, Sources{})
	for _, test := range []struct {
		path   string
		status int
		prefix string
	}{
		{"", 200, "/debug/pprof/cmdline\n/debug/pprof/profile\n/debug/pprof/trace\n/debug/pprof/allocs\n"},
		{"cmdline", 200, os.Args[0]},
		{"goroutine?debug=1", 200, "goroutine profile: "},
		{"heap?debug=1&gc=1", 200, "heap profile: "},
		{"heap", 200, "\x1f\x8b"}, // gzip
		{"profile?seconds=0.01", 200, "\x1f\x8b"},
		{"trace?seconds=0.01", 200, "go 1."},
		{"trace?seconds=-1", 400, "seconds must be"},
		{"profile?seconds=301", 400, "seconds must be"},
		{"profile?seconds=x", 400, "seconds must be"},
		{"profile?seconds=NaN", 400, "seconds must be"},
		{"symbol", 404, "unknown profile"},
	} {
		resp, body := fetch(t, "GET", base+"/debug/pprof/"+test.path)
		if resp.StatusCode != test.status || !strings.HasPrefix(body, test.prefix) {
			t.Errorf("%q: status %d, %.60q; want %d, %q", test.path, resp.StatusCode, body, test.status, test.prefix)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q: headers %v", test.path, resp.Header)
		}
	}
}

// TestProfilingIsLocal checks that /debug/pprof/ is not served on a non-local listener.
func TestProfilingIsLocal(t *testing.T) {
	s, _ := startServer(t, ServerConfig{Profiling: true, Listen: []Endpoint{{"tcp", "0.0.0.0:0"}}}, Sources{})
	port := s.Addrs()[0].(*net.TCPAddr).Port
	resp, _ := fetch(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/", port))
	if resp.StatusCode != 404 {
		t.Errorf("status %d, want 404", resp.StatusCode)
	}
}

// TestLongProfile checks that a profile may take longer than writeTimeout, and that it ends when the
// client disconnects.
func TestLongProfile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client is gone, which ends the profile at once
	w := httptest.NewRecorder()
	(&Server{profiles: make(chan struct{}, 1)}).handleProfiling(w, httptest.NewRequestWithContext(ctx, "GET", "/debug/pprof/profile?seconds=60", nil))
	if w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}
