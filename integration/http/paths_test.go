package http

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// acceptOfPrometheus is the Accept header of Prometheus 3 (scrape/scrape.go, acceptHeader).
const acceptOfPrometheus = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6," +
	"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4," +
	"text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// TestHTTPPaths requests every path with every method and encoding, and paths that do not exist.
func TestHTTPPaths(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	d := sw.StartWith("")
	sw.AddInterfaces(2)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	for _, r := range []struct {
		name         string
		method, path string
		header       string
		code         int
		contentType  string
		body         string // must be in it
	}{
		{"page", "GET", "/", "", 200, switchtest.HTMLType, `href="/metrics"`},
		{"metrics", "GET", "/metrics", "", 200, switchtest.PrometheusType, "\nportsyncd_ports_present 2\n"},
		{"metrics for Prometheus", "GET", "/metrics", acceptOfPrometheus, 200, switchtest.PrometheusType, "\nportsyncd_ports_present 2\n"},
		{"metrics for a browser", "GET", "/metrics", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, switchtest.PrometheusType, "# HELP "},
		{"metrics as JSON", "GET", "/metrics", "Accept: application/json", 200, switchtest.JSONType, `"portsyncd_ports_present"`},
		{"metrics with a query", "GET", "/metrics?x=1", "", 200, switchtest.PrometheusType, "# HELP "},
		{"JSON", "GET", "/metrics.json", "", 200, switchtest.JSONType, `"portsyncd_ports_present"`},
		{"health", "GET", "/healthz", "", 200, switchtest.PlainType, "healthy\nscore 100 of 100\n"},
		{"health as JSON", "GET", "/healthz", "Accept: application/json", 200, switchtest.JSONType, `{"ok":true,"status":"healthy","score":100,"since":"`},
		{"readiness", "GET", "/readyz", "", 200, switchtest.PlainType, "ready\n"},
		{"readiness as JSON", "GET", "/readyz", "Accept: application/json", 200, switchtest.JSONType, `{"ok":true,"status":"ready","reasons":[]}`},
		{"ports", "GET", "/ports", "", 200, switchtest.JSONType, `"name":"Ethernet4"`},
		{"page of a port", "GET", "/ports/Ethernet4", "", 200, switchtest.HTMLType, "<h1>Ethernet4</h1>"},
		{"page of a port as JSON", "GET", "/ports/Ethernet4", "Accept: application/json", 200, switchtest.HTMLType, "<h1>Ethernet4</h1>"},
		{"page of an escaped port", "GET", "/ports/%45thernet4?x=1", "", 200, switchtest.HTMLType, "<h1>Ethernet4</h1>"},
		{"page of an unknown port", "GET", "/ports/Ethernet999", "", 404, switchtest.PlainType, "port not found\n"},
		{"page of a port with slashes", "GET", "/ports/Ethernet4%2F..", "", 404, switchtest.PlainType, "port not found\n"},
		{"page of no port", "GET", "/ports/", "", 404, switchtest.PlainType, "port not found\n"},
		{"page of a port at a foreign host", "GET", "/ports/Ethernet4", "Host: evil.example", 421, switchtest.PlainType, "metrics.host_names"},
		{"POST to a page of a port", "POST", "/ports/Ethernet4", "", 405, switchtest.PlainType, "GET"},
		{"events", "GET", "/events", "", 200, switchtest.JSONType, `"kind":"cold_start"`},
		{"events of a port", "GET", "/events?port=Ethernet4&kind=port&limit=1", "", 200, switchtest.JSONType, `"port":"Ethernet4"`},
		{"events of an unknown kind", "GET", "/events?kind=flood", "", 400, switchtest.PlainType, `invalid kind "flood": must be link, port, daemon`},
		{"events with an unknown parameter", "GET", "/events?ports=Ethernet4", "", 400, switchtest.PlainType, `unknown parameter "ports": must be port, kind`},
		{"unknown path", "GET", "/nothing", "", 404, switchtest.PlainType, "not found"},
		{"path below", "GET", "/metrics/", "", 404, switchtest.PlainType, "not found"},
		{"profiles, which are not configured", "GET", "/debug/pprof/", "", 404, switchtest.PlainType, "not found"},
		{"metrics for an image viewer", "GET", "/metrics", "Accept: image/png", 200, switchtest.PrometheusType, "# HELP "},
		{"metrics as OpenMetrics", "GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0; charset=utf-8", 200, switchtest.PrometheusType, "# HELP "},
		{"metrics as protobuf", "GET", "/metrics", "Accept: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", 200, switchtest.PrometheusType, "# HELP "},
		{"refused types", "GET", "/metrics", "Accept: text/plain;q=0, application/json;q=0", 200, switchtest.PrometheusType, "# HELP "},
		{"JSON for a browser", "GET", "/metrics.json", "Accept: text/html", 200, switchtest.JSONType, `"portsyncd_ports_present"`},
		{"status", "GET", "/status", "", 200, switchtest.JSONType, `"name":"Ethernet4","present":true`},
		{"ports for a browser", "GET", "/ports", "Accept: text/html", 200, switchtest.JSONType, `"name":"Ethernet4"`},
		{"a foreign host", "GET", "/status", "Host: evil.example", 421, switchtest.PlainType, "metrics.host_names"},
		{"an address", "GET", "/readyz", "Host: 192.0.2.7:9101", 200, switchtest.PlainType, "ready\n"},
		{"POST", "POST", "/metrics", "", 405, switchtest.PlainType, "GET"},
		{"PUT", "PUT", "/ports", "", 405, switchtest.PlainType, "GET"},
		{"DELETE", "DELETE", "/nothing", "", 405, switchtest.PlainType, "GET"},
		{"OPTIONS", "OPTIONS", "/healthz", "", 405, switchtest.PlainType, "GET"},
	} {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			var headers []string
			if r.header != "" {
				headers = []string{r.header}
			}
			var a switchtest.Response
			switchtest.Eventually(t, switchtest.Timeout, func() string { // events and health may be late
				a = client.Request(r.method, r.path, headers...)
				contentType := a.Header.Get("Content-Type")
				if a.Code != r.code || contentType != r.contentType || !strings.Contains(a.Body, r.body) {
					return fmt.Sprintf("%s %s: %d %s %.200q, want %d %s with %q", r.method, r.path, a.Code, contentType, a.Body, r.code, r.contentType, r.body)
				}
				return ""
			})
			if r.code == http.StatusMethodNotAllowed && a.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: Allow is %q", r.method, a.Header.Get("Allow"))
			}
			if r.method != http.MethodGet {
				return
			}
			h := client.Request(http.MethodHead, r.path, headers...)
			length, _ := strconv.Atoi(h.Header.Get("Content-Length"))
			if h.Code != r.code || h.Header.Get("Content-Type") != r.contentType || h.Body != "" || length < len(a.Body)*9/10 {
				t.Errorf("HEAD %s: %d %v %q, GET has %d bytes", r.path, h.Code, h.Header, h.Body, len(a.Body))
			}
		})
	}
	t.Run("gzip", func(t *testing.T) { checkGzip(t, client) })
	t.Run("both_forms", func(t *testing.T) { checkForms(t, client) })
	t.Run("counted", func(t *testing.T) {
		const series = `portsyncd_http_requests_total{path="/readyz",code="200"}`
		before := client.Scrape().Value(t, series)
		client.Get("/readyz")
		client.AwaitValue(series, before+1)
	})
	t.Run("large_header", func(t *testing.T) {
		a := client.Request("GET", "/metrics", "X-Padding: "+strings.Repeat("x", 32<<10))
		if a.Code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("32 KiB of header: status %d, want 431", a.Code)
		}
	})
	t.Run("no_HTTP", func(t *testing.T) {
		if got := switchtest.RawRequest(t, switchtest.HTTPAddress, "hello\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("response to a malformed request: %q", got)
		}
	})
	t.Run("export_format", func(t *testing.T) {
		sw.ReloadWith(d, "[metrics]\nexport_format = \"json\"\n")
		for header, want := range map[string]string{"Accept: */*": switchtest.JSONType, "Accept: text/plain": switchtest.PrometheusType, acceptOfPrometheus: switchtest.PrometheusType} {
			if got := client.Request("GET", "/metrics", header).Header.Get("Content-Type"); got != want {
				t.Errorf("with export_format json and %q: %s, want %s", header, got, want)
			}
		}
	})
}

// checkGzip compares compressed responses with plain ones.
func checkGzip(t *testing.T, client *switchtest.Client) {
	for _, path := range []string{"/metrics", "/metrics.json", "/ports"} {
		plain := client.Get(path)
		a := client.Request("GET", path, "Accept-Encoding: gzip")
		if a.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(fmt.Sprint(a.Header["Vary"]), "Accept-Encoding") {
			t.Errorf("%s: not compressed: %v", path, a.Header)
			continue
		}
		z, err := gzip.NewReader(strings.NewReader(a.Body))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(z)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		t.Logf("%s: %d bytes, %d compressed", path, len(plain), len(a.Body))
		if n := len(unpacked); n < len(plain)*9/10 || n > len(plain)*11/10 {
			t.Errorf("%s: %d bytes plain, %d unpacked", path, len(plain), n)
		}
	}
}

// checkForms compares the text format with JSON: the same families in the same order, each with as
// many samples.
func checkForms(t *testing.T, client *switchtest.Client) {
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
	text := client.Scrape()
	if err := json.Unmarshal([]byte(client.Get("/metrics.json")), &document); err != nil {
		t.Fatal(err)
	}
	if document.Schema != 1 || len(document.Families) != len(text.Families) {
		t.Fatalf("schema %d with %d families, the text has %d", document.Schema, len(document.Families), len(text.Families))
	}
	for i, f := range document.Families {
		want := text.Families[i]
		series := 0
		for _, sample := range f.Samples {
			switch n := len(sample.Buckets) + len(sample.Quantiles); {
			case n > 0:
				series += n + 2 // and sum and count
			case sample.Value != nil:
				series++
			}
		}
		if f.Name != want.Name || f.Type != want.Kind || f.Help == "" || series != len(want.Series) {
			t.Errorf("JSON has %s %s, %d series; the text %s %s, %d", f.Name, f.Type, series, want.Name, want.Kind, len(want.Series))
		}
	}
}

// TestHTTPReady starts the daemon without Redis. It must answer, say what is missing, and expose
// the families of the specification from the first scrape on.
func TestHTTPReady(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	sw.Do("CONFIG_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	d := sw.Start(switchtest.StartOptions{})
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	contains := func(a switchtest.Response, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(a.Body, word) {
				t.Errorf("no %q in %q", word, a.Body)
			}
		}
	}
	contains(client.AwaitCode("/readyz", 503), "starting\n", "- the initial sync is not complete\n")
	switchtest.Eventually(t, switchtest.Timeout, func() string { // the reason may not be known yet
		a := client.AwaitCode("/healthz", 503)
		if !strings.Contains(a.Body, "\n- database_down: no connection to the databases: ") {
			return "/healthz says " + a.Body
		}
		contains(a, "unhealthy\n", "\nscore 0 of 100\n", "\n- start_incomplete: the initial sync is not complete (-40)\n")
		return ""
	})
	contains(client.Request("GET", "/readyz", "Accept: application/json"), `"ok":false`, `"reasons":["the initial sync is not complete"]`)
	if got := client.Get("/ports"); !strings.Contains(got, `"ports":[`) {
		t.Errorf("/ports is %q", got)
	}
	e := client.Scrape()
	for _, name := range []string{"warm_restarts", "cold_starts", "eoiu_detected", "eoiu_timeouts", "state_recoveries",
		"corruptions_detected", "sync_duration_seconds_count", "ready", `component_up{component="database"}`} {
		if v := e.Value(t, "portsyncd_"+name); v != 0 {
			t.Errorf("portsyncd_%s is %v before the start, want 0", name, v)
		}
	}
	for _, bound := range []string{"10", "50", "100"} { // of the specification
		e.Value(t, fmt.Sprintf("portsyncd_sync_duration_seconds_bucket{le=%q}", bound))
	}

	sw.NoError("start redis", r.Restart())
	contains(client.AwaitCode("/readyz", 200), "ready\n")
	contains(client.AwaitCode("/healthz", 200), "healthy\n")
	d.AwaitReady()
	client.AwaitValue("portsyncd_ready", 1)
	client.AwaitValue("portsyncd_ports_pending", 1)
	client.AwaitValue("portsyncd_cold_starts", 1)

	r.Stop()
	sw.CloseConns()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if a := client.AwaitCode("/healthz", 503); !strings.Contains(a.Body, "\n- database_down: no connection to the databases: ") {
			return "/healthz says " + a.Body
		}
		return ""
	})
	client.AwaitValue(`portsyncd_component_up{component="database"}`, 0)
	client.AwaitValue("portsyncd_healthy", 0)
	client.AwaitCode("/readyz", 200) // the daemon was ready once; later problems are in /healthz
}
