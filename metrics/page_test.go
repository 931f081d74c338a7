package metrics

import (
	"strings"
	"testing"
)

// TestPage checks that / serves Sources.Page with its Content-Security-Policy, plain and
// compressed, for any Accept header.
func TestPage(t *testing.T) {
	const policy = "default-src 'none'"
	page := "<!DOCTYPE html><title>x</title>" + strings.Repeat("<p>port", 1000)
	_, base := startServer(t, ServerConfig{}, Sources{
		Set: NewSet(), Page: func(b []byte) []byte { return append(b, page...) }, PagePolicy: policy,
	})
	for _, accept := range []string{acceptBrowser, "*/*", "application/json"} {
		r, body := fetch(t, "GET", base+"/", "Accept: "+accept)
		if r.StatusCode != 200 || body != page || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("Accept %s: status %d, %s, %d bytes, want the page", accept, r.StatusCode, r.Header.Get("Content-Type"), len(body))
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
	r, body := fetch(t, "GET", base+"/", "Accept-Encoding: gzip")
	if r.Header.Get("Content-Encoding") != "gzip" || len(body) > len(page)/10 {
		t.Errorf("%d bytes with encoding %q, want few and gzip", len(body), r.Header.Get("Content-Encoding"))
	}
}
