package metrics

import (
	"net/http"
	"strings"
	"testing"
)

// TestPortPage checks the names that the server decodes from the path of a port's page, the headers
// of the page, and that an unknown port gets a plain 404.
func TestPortPage(t *testing.T) {
	const policy = "default-src 'none'"
	set := NewSet()
	_, base := startServer(t, ServerConfig{}, Sources{Set: set, PagePolicy: policy,
		Ports: func(b []byte) []byte { return append(b, "[]"...) },
		PortPage: func(name string) func([]byte) []byte {
			if strings.HasPrefix(name, "unknown") || name == "" {
				return nil
			}
			return func(b []byte) []byte { return append(append(b, "page of "...), name...) }
		}})
	for _, c := range []struct{ path, name string }{
		{"/ports/Ethernet0", "Ethernet0"},
		{"/ports/Ethernet0?x=1", "Ethernet0"},
		{"/ports/Eth1%2F2%2f3", "Eth1/2/3"},
		{"/ports/Eth1/2/3", "Eth1/2/3"},
		{"/ports/%3Cb%3E%22%27%20&%26+%2B", "<b>\"' &&++"},
		{"/ports/Ethernet%ff%00", "Ethernet\xff\x00"},
		{"/ports/..%2fstatus", "../status"},
		{"/ports/%2e%2e", ".."},
		{"/ports/100%25", "100%"},
		{"/ports/Ethernet0/", "Ethernet0/"},
	} {
		r, body := fetch(t, "GET", base+c.path)
		if r.StatusCode != http.StatusOK || body != "page of "+c.name {
			t.Errorf("%s: status %d with %q, want the page of %q", c.path, r.StatusCode, body, c.name)
		}
		for name, want := range map[string]string{"Content-Type": typeHTML, "Content-Security-Policy": policy,
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.path, name, got, want)
			}
		}
	}
	for _, path := range []string{"/ports/", "/ports/unknown%3Cb%3E"} {
		r, body := fetch(t, "GET", base+path)
		if r.StatusCode != http.StatusNotFound || body != "port not found\n" || r.Header.Get("Content-Type") != typeText {
			t.Errorf("%s: status %d with %q, %s", path, r.StatusCode, body, r.Header.Get("Content-Type"))
		}
	}
	if _, body := fetch(t, "GET", base+"/ports"); body != "[]" {
		t.Errorf("/ports is %q, want the JSON document", body)
	}
	text := string(set.AppendText(nil))
	for _, want := range []string{`{path="/ports/",code="200"} 10` + "\n", `{path="/ports/",code="404"} 2` + "\n"} {
		if !strings.Contains(text, "portsyncd_http_requests_total"+want) {
			t.Errorf("the metrics do not have %q", want)
		}
	}
}
