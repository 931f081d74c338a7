package metrics

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestASCIIJSON checks that a document has the same meaning after its characters that are not ASCII
// were escaped, at each limit of their encoding.
func TestASCIIJSON(t *testing.T) {
	for _, want := range []string{"", "plain", "\x7e\x7f\u0080", "\uffff\U00010000", "😀\U000e0001", "\U0010ffff", "\ud7ff\ue000"} {
		document, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text := asciiJSON(document)
		if slices.ContainsFunc(text, func(c byte) bool { return c >= 0x7f }) {
			t.Errorf("%q has characters that are not plain ASCII", text)
		}
		var got string
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%q became %q, %v", want, got, err)
		}
	}
}

// TestValidName checks the first and last of the characters that names of metrics consist of.
func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "z": true, "A": true, "Z": true, "_": true, "a0": true, "a9": true,
		"0a": false, "9a": false, "a`": false, "a{": false, "a@": false, "a[": false, "a/": false, "a:": false, "a-b": false} {
		if got := validName(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

// TestSpecificity checks how precisely choices of an Accept header match an offer with a version.
func TestSpecificity(t *testing.T) {
	offer := mediaType{name: "text/plain", version: "0.0.4"}
	for _, c := range []struct {
		choice, params string
		want           int
	}{
		{"text/plain", "version=0.0.4", 4},
		{"text/plain", "version=0.0.3", 3},
		{"text/plain", "", 3},
		{"text/*", "", 2},
		{"*/*", "", 1},
		{"application/json", "version=0.0.4", 0},
	} {
		if got := specificity(c.choice, c.params, offer); got != c.want {
			t.Errorf("%s;%s: %d, want %d", c.choice, c.params, got, c.want)
		}
	}
	if got := specificity("text/plain", "", mediaType{name: "text/plain"}); got != 3 {
		t.Errorf("an offer without a version: %d, want 3", got)
	}
}

// TestLinksOf checks the devices that a listener depends on, and that a device which does not exist
// has no index.
func TestLinksOf(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		network, address, device string
		want                     []link
	}{
		{"tcp", "127.0.0.1:0", "", nil},
		{"tcp", "127.0.0.1:0", "lo", []link{{"lo", lo.Index}}},
		{"tcp", "[fe80::1%lo]:0", "", []link{{"lo", lo.Index}}},
		{"tcp", "[fe80::1%lo]:0", "absent", []link{{"absent", 0}, {"lo", lo.Index}}},
		{"tcp", "127.0.0.1:0", "a name that is too long", []link{{"a name that is too long", 0}}},
		{"unix", "/run/socket", "lo", nil},
	} {
		if got := linksOf(Endpoint{Network: c.network, Address: c.address}, c.device); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestGuardOfDevice checks that a listener is unreachable once the index of one of its devices has
// changed, and that devices are watched by events.
func TestGuardOfDevice(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		links []link
		ok    bool
	}{
		{[]link{{"lo", lo.Index}}, true},
		{[]link{{"absent", 0}}, true},
		{[]link{{"lo", lo.Index + 1}}, false},
		{[]link{{"lo", lo.Index}, {"absent", 5}}, false},
	} {
		g := guardOf(Endpoint{Network: "tcp"}, nil, c.links)
		if g == nil || g.events == nil {
			t.Fatalf("%v: %+v, want a guard with events", c.links, g)
		}
		if err := g.check(); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.links, err)
		}
		g.events.Close()
	}
	if g := guardOf(Endpoint{Network: "tcp"}, nil, nil); g != nil {
		t.Errorf("a listener without devices has a guard")
	}
}

// TestWatchFile checks that the removal of a file is an event, and that a file that does not exist
// cannot be watched.
func TestWatchFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if events := watchFile(path); events != nil {
		t.Error("a missing file is watched")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	events := watchFile(path)
	if events == nil {
		t.Fatal("the file is not watched")
	}
	defer events.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	events.SetReadDeadline(time.Now().Add(30 * time.Second))
	if n, err := events.Read(make([]byte, 4096)); n == 0 {
		t.Errorf("no event after the removal: %v", err)
	}
}

// TestPlainRequestToTLS checks that a plain request to a TLS port is answered, whichever letter its
// method begins with.
func TestPlainRequestToTLS(t *testing.T) {
	s, _ := startTLSServer(t, tlsConfig(t, newCertificate(t, "server", nil)))
	for _, method := range []string{"ACL", "GET", "ZAP"} {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, method+" / HTTP/1.1\r\nHost: x\r\n\r\n")
		if text, _ := io.ReadAll(c); len(text) < 12 || string(text[9:12]) != "400" {
			t.Errorf("%s: answered %q", method, text)
		}
		c.Close()
	}
}
