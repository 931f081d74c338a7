package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// httpAddress is where the daemon serves if nobody says otherwise.
const httpAddress = "127.0.0.1:9101"

// site is a place where a daemon serves HTTP.
type site struct {
	t      *testing.T
	client *http.Client
	base   string // "http://127.0.0.1:9101"
}

// newSite returns the site at a TCP address, once somebody listens there: the
// daemon opens its server when the start is made.
func newSite(t *testing.T, address string) *site {
	t.Helper()
	return site{t: t, base: "http://" + address}.dialing("tcp", address)
}

// newUnixSite returns the site at a unix socket, likewise.
func newUnixSite(t *testing.T, path string) *site {
	t.Helper()
	return site{t: t, base: "http://localhost"}.dialing("unix", path)
}

// dialing gives s a client.
func (s site) dialing(network, address string) *site {
	s.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	eventually(s.t, patience, func() string {
		conn, err := dial(s.t.Context(), "", "")
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	transport := &http.Transport{DisableCompression: true} // gzip is for those who ask
	transport.DialContext = dial
	s.t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{
		Transport: transport,
		Timeout:   patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return &s
}

// answer is a whole answer to a request.
type answer struct {
	code   int
	header http.Header
	body   string
}

// try sends a request with headers, each "Name: value".
func (s *site) try(method, path string, headers ...string) (answer, error) {
	request, err := http.NewRequest(method, s.base+path, nil)
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// ask is try for what has to succeed, whatever the status.
func (s *site) ask(method, path string, headers ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, headers...)
	if err != nil {
		s.t.Fatalf("%s %s %q: %v", method, path, headers, err)
	}
	return a
}

// get is ask for the body of a good answer.
func (s *site) get(path string, headers ...string) string {
	s.t.Helper()
	a := s.ask(http.MethodGet, path, headers...)
	if a.code != http.StatusOK {
		s.t.Fatalf("GET %s %q: status %d: %s", path, headers, a.code, a.body)
	}
	return a.body
}

// await waits until a path answers with a status code.
func (s *site) await(path string, code int) answer {
	s.t.Helper()
	var last answer
	eventually(s.t, patience, func() string {
		a, err := s.try(http.MethodGet, path)
		if last = a; err != nil || a.code != code {
			return fmt.Sprintf("GET %s: status %d %q, %v, want %d", path, a.code, a.body, err, code)
		}
		return ""
	})
	return last
}

// exposition is one scrape.
type exposition struct {
	families []family
	samples  map[string]float64 // by series, as written: name{label="value"}
}

// family is a metric family of an exposition.
type family struct {
	name, kind, help string
	series           []string
}

// scrape asks for /metrics.
func (s *site) scrape() exposition {
	s.t.Helper()
	e, err := parseExposition(s.get("/metrics"))
	if err != nil {
		s.t.Fatalf("/metrics: %v", err)
	}
	return e
}

// parseExposition reads text of which HELP, TYPE and samples stand in this
// order, each sample under its family.
func parseExposition(text string) (exposition, error) {
	e := exposition{samples: make(map[string]float64)}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			e.families = append(e.families, family{name: name, help: help})
			continue
		}
		if len(e.families) == 0 {
			return e, fmt.Errorf("line before the first HELP: %q", line)
		}
		f := &e.families[len(e.families)-1]
		if rest, ok := strings.CutPrefix(line, "# TYPE "+f.name+" "); ok {
			f.kind = rest
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if at < 0 || err != nil || !strings.HasPrefix(line, f.name) || f.kind == "" {
			return e, fmt.Errorf("in family %q: %q", f.name, line)
		}
		if _, twice := e.samples[line[:at]]; twice {
			return e, fmt.Errorf("twice: %q", line)
		}
		f.series = append(f.series, line[:at])
		e.samples[line[:at]] = value
	}
	return e, lines.Err()
}

// value returns what a series shows.
func (e exposition) value(t *testing.T, series string) float64 {
	t.Helper()
	v, ok := e.samples[series]
	if !ok {
		t.Fatalf("no series %s", series)
	}
	return v
}

// awaitValue waits until a series shows a value.
func (s *site) awaitValue(series string, want float64) {
	s.t.Helper()
	eventually(s.t, patience, func() string {
		if got, ok := s.scrape().samples[series]; got != want || !ok {
			return fmt.Sprintf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
		return ""
	})
}

// config writes the daemon's configuration and returns its path.
func (c *cell) config(text string) string {
	c.t.Helper()
	path := c.dir + "/portsyncd.conf"
	writeFile(c.t, path, text)
	return path
}

// startWith starts a daemon with a configuration and waits until it is ready.
func (c *cell) startWith(text string) *program {
	c.t.Helper()
	d := c.start(launch{args: []string{"-c", c.config(text)}})
	d.awaitReady()
	return d
}

// reload gives a daemon of startWith another configuration.
func (c *cell) reload(d *program, text string) {
	c.t.Helper()
	c.config(text)
	n := d.states.len()
	d.signal(syscall.SIGHUP)
	d.awaitState(n, patience, "READY=1")
}

// plug makes the interfaces of configured ports, and waits until all is
// reported, PortInitDone included.
func (c *cell) plug(ports int) {
	c.t.Helper()
	c.pop()
	for n := range ports {
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.awaitInStep(patience * time.Duration(1+ports/64))
}
