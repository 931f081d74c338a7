package metrics

import (
	"testing"
)

// acceptPrometheus is the Accept header of Prometheus 3.5 with default settings (scrape/scrape.go
// and config/config.go).
const acceptPrometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6," +
	"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4," +
	"text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// acceptBrowser is the Accept header of Firefox for a page.
const acceptBrowser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// TestNegotiate checks the choice of the content type.
func TestNegotiate(t *testing.T) {
	const text, json, none = 0, 1, -1
	f := func(want int, accept ...string) {
		t.Helper()
		if got := negotiate(accept, offerText, offerJSON); got != want {
			t.Errorf("Accept %q: got %d, want %d", accept, got, want)
		}
	}
	f(text)
	f(text, "")
	f(text, "*/*")
	f(text, acceptPrometheus)
	f(text, acceptBrowser)
	f(text, "text/plain")
	f(text, "TEXT/Plain; Version=0.0.4")
	f(text, `text/plain;version="0.0.4"`)
	f(text, "text/*")
	f(json, "application/json")
	f(json, "Application/JSON")
	f(json, "application/*, text/plain;q=0.5")
	f(json, "text/plain;q=0.5, application/json;q=0.51")
	f(json, "text/plain;q=0.5", "application/json") // two header lines
	f(json, "*/*, text/plain;q=0")                  // the most precise match decides
	f(text, "text/plain;version=1.0.0")
	f(text, "text/plain;version=1.0.0, application/json;q=0.1")
	f(text, "application/openmetrics-text; version=1.0.0")
	f(text, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	f(json, "application/openmetrics-text;q=0.1, application/json")
	f(none, "text/html")
	f(none, "text/plain;q=0")
	f(none, "*/*;q=0")
	f(none, "garbage")
	f(text, "*")
	f(json, "*, text/plain;q=.2")
	f(text, "text/plain;q=2, application/json;q=1")
	f(json, "application/json;q=x, text/plain;q=0.9") // an invalid weight counts as none
	f(json, "text/plain;q=.1, application/json;q=0.12345")
}

// TestAcceptsGzip checks which Accept-Encoding headers accept gzip.
func TestAcceptsGzip(t *testing.T) {
	f := func(want bool, header ...string) {
		t.Helper()
		if got := acceptsGzip(header); got != want {
			t.Errorf("Accept-Encoding %q: got %v, want %v", header, got, want)
		}
	}
	f(false)
	f(false, "")
	f(true, "gzip")
	f(true, "GZIP")
	f(true, "x-gzip")
	f(true, "deflate, gzip;q=1.0, *;q=0.5")
	f(true, "br", "gzip")
	f(true, "*")
	f(false, "*;q=0")
	f(false, "gzip;q=0")
	f(false, "gzip; q=0.000")
	f(false, "*, gzip;q=0")
	f(false, "gzip;q=0, *")
	f(true, "*;q=0, gzip")
	f(false, "gzipped")
	f(false, "identity")
	f(false, "gzip;q=nonsense")
}

// TestWeightOf checks the parsing of weights.
func TestWeightOf(t *testing.T) {
	f := func(params string, want int, ok bool) {
		t.Helper()
		if got, gotOK := weightOf(params); gotOK != ok || ok && got != want {
			t.Errorf("%q: got %d, %v; want %d, %v", params, got, gotOK, want, ok)
		}
	}
	f("", 1000, true)
	f("charset=utf-8", 1000, true)
	f("q=1", 1000, true)
	f("q=1.", 1000, true)
	f("q=1.000", 1000, true)
	f(" Q = 0.5 ", 500, true)
	f("a=b; q=0.123", 123, true)
	f("q=0", 0, true)
	f("q=1.001", 1000, true)
	f("q=7", 1000, true)
	f("q=0.1234", 124, true)
	f("q=0.0001", 1, true)
	f("q=-0.1", 0, true)
	f("q=.5", 500, true)
	f("q=1e0", 1000, true)
	f("q=NaN", 0, false)
	f("q=high", 0, false)
	f("q=", 0, false)
	f("q", 0, false)
}

// FuzzNegotiate checks for any header that negotiate returns a valid index, that an acceptable
// offer stays acceptable without the other offer, and that "gzip" is accepted whatever other
// codings follow.
func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{acceptPrometheus, acceptBrowser, "*/*;q=0", ";;,,==", "q=;q", "text/plain;version=\"", "gzip;q=0,*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		both := negotiate([]string{header}, offerText, offerJSON)
		text := negotiate([]string{header}, offerText)
		json := negotiate([]string{header}, offerJSON)
		if both < -1 || both > 1 {
			t.Fatalf("index %d of two offers", both)
		}
		if (both < 0) != (text < 0 && json < 0) {
			t.Errorf("both: %d, text alone: %d, JSON alone: %d", both, text, json)
		}
		if !acceptsGzip([]string{"gzip", header}) {
			t.Errorf("gzip not accepted with %q after it", header)
		}
	})
}
