package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Content types of the answers.
const (
	prometheusText = "text/plain; version=0.0.4; charset=utf-8"
	plainText      = "text/plain; charset=utf-8"
	jsonText       = "application/json"
	htmlText       = "text/html; charset=utf-8"
)

// acceptOfPrometheus is what Prometheus 3 sends (scrape/scrape.go, acceptHeader).
const acceptOfPrometheus = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6," +
	"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4," +
	"text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// TestHTTPPaths asks a running daemon for everything it has, in every way, and
// for what it has not.
func TestHTTPPaths(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	d := c.startWith("")
	c.plug(2)
	s := newSite(t, httpAddress)
	for _, r := range []struct {
		name         string
		method, path string
		header       string
		code         int
		contentType  string
		body         string // must be in it
	}{
		{"page", "GET", "/", "", 200, htmlText, `href="/metrics"`},
		{"metrics", "GET", "/metrics", "", 200, prometheusText, "\nportsyncd_ports_present 2\n"},
		{"metrics for Prometheus", "GET", "/metrics", acceptOfPrometheus, 200, prometheusText, "\nportsyncd_ports_present 2\n"},
		{"metrics for a browser", "GET", "/metrics", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, prometheusText, "# HELP "},
		{"metrics as JSON", "GET", "/metrics", "Accept: application/json", 200, jsonText, `"portsyncd_ports_present"`},
		{"metrics with a query", "GET", "/metrics?x=1", "", 200, prometheusText, "# HELP "},
		{"JSON", "GET", "/metrics.json", "", 200, jsonText, `"portsyncd_ports_present"`},
		{"health", "GET", "/healthz", "", 200, plainText, "healthy\nscore 100 of 100\n"},
		{"health as JSON", "GET", "/healthz", "Accept: application/json", 200, jsonText, `{"ok":true,"status":"healthy","score":100,"since":"`},
		{"readiness", "GET", "/readyz", "", 200, plainText, "ready\n"},
		{"readiness as JSON", "GET", "/readyz", "Accept: application/json", 200, jsonText, `{"ok":true,"status":"ready","reasons":[]}`},
		{"ports", "GET", "/ports", "", 200, jsonText, `"name":"Ethernet4"`},
		{"unknown path", "GET", "/nothing", "", 404, plainText, "nothing"},
		{"path below", "GET", "/metrics/", "", 404, plainText, "nothing"},
		{"profiles, which nobody configured", "GET", "/debug/pprof/", "", 404, plainText, "nothing"},
		{"metrics for an image viewer", "GET", "/metrics", "Accept: image/png", 200, prometheusText, "# HELP "},
		{"metrics as OpenMetrics", "GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0; charset=utf-8", 200, prometheusText, "# HELP "},
		{"metrics as protobuf", "GET", "/metrics", "Accept: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", 200, prometheusText, "# HELP "},
		{"refused types", "GET", "/metrics", "Accept: text/plain;q=0, application/json;q=0", 200, prometheusText, "# HELP "},
		{"JSON for a browser", "GET", "/metrics.json", "Accept: text/html", 200, jsonText, `"portsyncd_ports_present"`},
		{"status", "GET", "/status", "", 200, jsonText, `"name":"Ethernet4","present":true`},
		{"ports for a browser", "GET", "/ports", "Accept: text/html", 200, jsonText, `"name":"Ethernet4"`},
		{"a foreign host", "GET", "/status", "Host: evil.example", 421, plainText, "metrics.host_names"},
		{"an address", "GET", "/readyz", "Host: 192.0.2.7:9101", 200, plainText, "ready\n"},
		{"POST", "POST", "/metrics", "", 405, plainText, "GET"},
		{"PUT", "PUT", "/ports", "", 405, plainText, "GET"},
		{"DELETE", "DELETE", "/nothing", "", 405, plainText, "GET"},
		{"OPTIONS", "OPTIONS", "/healthz", "", 405, plainText, "GET"},
	} {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			var headers []string
			if r.header != "" {
				headers = []string{r.header}
			}
			a := s.ask(r.method, r.path, headers...)
			contentType := a.header.Get("Content-Type")
			if a.code != r.code || contentType != r.contentType || !strings.Contains(a.body, r.body) {
				t.Errorf("%s %s: %d %s %.200q, want %d %s with %q", r.method, r.path, a.code, contentType, a.body, r.code, r.contentType, r.body)
			}
			if r.code == http.StatusMethodNotAllowed && a.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: Allow is %q", r.method, a.header.Get("Allow"))
			}
			if r.method != http.MethodGet {
				return
			}
			h := s.ask(http.MethodHead, r.path, headers...)
			length, _ := strconv.Atoi(h.header.Get("Content-Length"))
			if h.code != r.code || h.header.Get("Content-Type") != r.contentType || h.body != "" || length < len(a.body)*9/10 {
				t.Errorf("HEAD %s: %d %v %q, GET has %d bytes", r.path, h.code, h.header, h.body, len(a.body))
			}
		})
	}
	t.Run("gzip", func(t *testing.T) { checkGzip(t, s) })
	t.Run("both_forms", func(t *testing.T) { checkForms(t, s) })
	t.Run("counted", func(t *testing.T) {
		const series = `portsyncd_http_requests_total{path="/readyz",code="200"}`
		before := s.scrape().value(t, series)
		s.get("/readyz")
		s.awaitValue(series, before+1)
	})
	t.Run("large_header", func(t *testing.T) {
		a := s.ask("GET", "/metrics", "X-Padding: "+strings.Repeat("x", 32<<10))
		if a.code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("32 KiB of header: status %d, want 431", a.code)
		}
	})
	t.Run("no_HTTP", func(t *testing.T) {
		if got := sayTo(t, httpAddress, "hello\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("answer to nonsense: %q", got)
		}
	})
	t.Run("export_format", func(t *testing.T) {
		c.reload(d, "[metrics]\nexport_format = \"json\"\n")
		for header, want := range map[string]string{"Accept: */*": jsonText, "Accept: text/plain": prometheusText, acceptOfPrometheus: prometheusText} {
			if got := s.ask("GET", "/metrics", header).header.Get("Content-Type"); got != want {
				t.Errorf("with export_format json and %q: %s, want %s", header, got, want)
			}
		}
	})
}

// checkGzip asks for compressed answers and compares them with plain ones.
func checkGzip(t *testing.T, s *site) {
	for _, path := range []string{"/metrics", "/metrics.json", "/ports"} {
		plain := s.get(path)
		a := s.ask("GET", path, "Accept-Encoding: gzip")
		if a.header.Get("Content-Encoding") != "gzip" || !strings.Contains(fmt.Sprint(a.header["Vary"]), "Accept-Encoding") {
			t.Errorf("%s: not compressed: %v", path, a.header)
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		t.Logf("%s: %d bytes, %d compressed", path, len(plain), len(a.body))
		if n := len(unpacked); n < len(plain)*9/10 || n > len(plain)*11/10 {
			t.Errorf("%s: %d bytes plain, %d unpacked", path, len(plain), n)
		}
	}
}

// checkForms compares the text with the JSON: the same families in the same
// order, each with as many samples.
func checkForms(t *testing.T, s *site) {
	type jsonFamily struct {
		Name, Type, Help string
		Samples          []struct {
			Buckets, Quantiles []any
			Value              any
		}
	}
	var document struct {
		Schema   int
		Families []jsonFamily
	}
	text := s.scrape()
	if err := json.Unmarshal([]byte(s.get("/metrics.json")), &document); err != nil {
		t.Fatal(err)
	}
	if document.Schema != 1 || len(document.Families) != len(text.families) {
		t.Fatalf("schema %d with %d families, the text has %d", document.Schema, len(document.Families), len(text.families))
	}
	for i, f := range document.Families {
		want := text.families[i]
		series := 0
		for _, sample := range f.Samples {
			switch n := len(sample.Buckets) + len(sample.Quantiles); {
			case n > 0:
				series += n + 2 // and sum and count
			case sample.Value != nil:
				series++
			}
		}
		if f.Name != want.name || f.Type != want.kind || f.Help == "" || series != len(want.series) {
			t.Errorf("JSON has %s %s, %d series; the text %s %s, %d", f.Name, f.Type, series, want.name, want.kind, len(want.series))
		}
	}
}

// sayTo writes to a TCP address and returns all that is answered.
func sayTo(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// TestHTTPReady starts without Redis: the daemon answers, says what is missing,
// and shows the families of the specification from the first scrape on.
func TestHTTPReady(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	c.do("CONFIG_DB", "SAVE")
	r.kill()
	c.hangUp()
	d := c.start(launch{})
	s := newSite(t, httpAddress)
	contains := func(a answer, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(a.body, word) {
				t.Errorf("no %q in %q", word, a.body)
			}
		}
	}
	contains(s.await("/readyz", 503), "starting\n", "- the initial sync is not complete\n")
	eventually(t, patience, func() string { // the reason may be not yet known
		a := s.await("/healthz", 503)
		if !strings.Contains(a.body, "\n- database_down: no connection to the databases: ") {
			return "/healthz says " + a.body
		}
		contains(a, "unhealthy\n", "\nscore 0 of 100\n", "\n- start_incomplete: the initial sync is not complete (-40)\n")
		return ""
	})
	contains(s.ask("GET", "/readyz", "Accept: application/json"), `"ok":false`, `"reasons":["the initial sync is not complete"]`)
	if got := s.get("/ports"); !strings.Contains(got, `"ports":[`) {
		t.Errorf("/ports is %q", got)
	}
	e := s.scrape()
	for _, name := range []string{"warm_restarts", "cold_starts", "eoiu_detected", "eoiu_timeouts", "state_recoveries",
		"corruptions_detected", "sync_duration_seconds_count", "ready", `component_up{component="database"}`} {
		if v := e.value(t, "portsyncd_"+name); v != 0 {
			t.Errorf("portsyncd_%s is %v before the start, want 0", name, v)
		}
	}
	for _, bound := range []string{"10", "50", "100"} { // of the specification
		e.value(t, fmt.Sprintf("portsyncd_sync_duration_seconds_bucket{le=%q}", bound))
	}

	c.must("start redis", r.again())
	contains(s.await("/readyz", 200), "ready\n")
	contains(s.await("/healthz", 200), "healthy\n")
	d.awaitReady()
	s.awaitValue("portsyncd_ready", 1)
	s.awaitValue("portsyncd_ports_pending", 1)
	s.awaitValue("portsyncd_cold_starts", 1)

	r.kill()
	c.hangUp()
	eventually(t, patience, func() string {
		if a := s.await("/healthz", 503); !strings.Contains(a.body, "\n- database_down: no connection to the databases: ") {
			return "/healthz says " + a.body
		}
		return ""
	})
	s.awaitValue(`portsyncd_component_up{component="database"}`, 0)
	s.awaitValue("portsyncd_healthy", 0)
	s.await("/readyz", 200) // it has been: what is wrong since is for /healthz
}
