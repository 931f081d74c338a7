package switchtest

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

// HttpAddress is where the daemon serves if nobody says otherwise.
const HttpAddress = "127.0.0.1:9101"

// Site is a place where a daemon serves HTTP.
type Site struct {
	T      *testing.T
	Client *http.Client
	Base   string // "http://127.0.0.1:9101"
}

// NewSite returns the site at a TCP address, once somebody listens there: the
// daemon opens its server when the start is made.
func NewSite(t *testing.T, address string) *Site {
	t.Helper()
	return Site{T: t, Base: "http://" + address}.Dialing("tcp", address)
}

// NewUnixSite returns the site at a unix socket, likewise.
func NewUnixSite(t *testing.T, path string) *Site {
	t.Helper()
	return Site{T: t, Base: "http://localhost"}.Dialing("unix", path)
}

// Dialing gives s a client.
func (s Site) Dialing(network, address string) *Site {
	s.T.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	Eventually(s.T, Patience, func() string {
		conn, err := dial(s.T.Context(), "", "")
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	transport := &http.Transport{DisableCompression: true} // gzip is for those who ask
	transport.DialContext = dial
	s.T.Cleanup(transport.CloseIdleConnections)
	s.Client = &http.Client{
		Transport: transport,
		Timeout:   Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return &s
}

// Answer is a whole answer to a request.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Try sends a request with headers, each "Name: value".
func (s *Site) Try(method, path string, headers ...string) (Answer, error) {
	request, err := http.NewRequest(method, s.Base+path, nil)
	if err != nil {
		return Answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := s.Client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, err
}

// Ask is try for what has to succeed, whatever the status.
func (s *Site) Ask(method, path string, headers ...string) Answer {
	s.T.Helper()
	a, err := s.Try(method, path, headers...)
	if err != nil {
		s.T.Fatalf("%s %s %q: %v", method, path, headers, err)
	}
	return a
}

// Get is ask for the body of a good answer.
func (s *Site) Get(path string, headers ...string) string {
	s.T.Helper()
	a := s.Ask(http.MethodGet, path, headers...)
	if a.Code != http.StatusOK {
		s.T.Fatalf("GET %s %q: status %d: %s", path, headers, a.Code, a.Body)
	}
	return a.Body
}

// Await waits until a path answers with a status code.
func (s *Site) Await(path string, code int) Answer {
	s.T.Helper()
	var last Answer
	Eventually(s.T, Patience, func() string {
		a, err := s.Try(http.MethodGet, path)
		if last = a; err != nil || a.Code != code {
			return fmt.Sprintf("GET %s: status %d %q, %v, want %d", path, a.Code, a.Body, err, code)
		}
		return ""
	})
	return last
}

// Exposition is one scrape.
type Exposition struct {
	Families []Family
	Samples  map[string]float64 // by series, as written: name{label="value"}
}

// Family is a metric family of an exposition.
type Family struct {
	Name, Kind, Help string
	Series           []string
}

// Scrape asks for /metrics.
func (s *Site) Scrape() Exposition {
	s.T.Helper()
	e, err := ParseExposition(s.Get("/metrics"))
	if err != nil {
		s.T.Fatalf("/metrics: %v", err)
	}
	return e
}

// ParseExposition reads text of which HELP, TYPE and samples stand in this
// order, each sample under its family.
func ParseExposition(text string) (Exposition, error) {
	e := Exposition{Samples: make(map[string]float64)}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			e.Families = append(e.Families, Family{Name: name, Help: help})
			continue
		}
		if len(e.Families) == 0 {
			return e, fmt.Errorf("line before the first HELP: %q", line)
		}
		f := &e.Families[len(e.Families)-1]
		if rest, ok := strings.CutPrefix(line, "# TYPE "+f.Name+" "); ok {
			f.Kind = rest
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if at < 0 || err != nil || !strings.HasPrefix(line, f.Name) || f.Kind == "" {
			return e, fmt.Errorf("in family %q: %q", f.Name, line)
		}
		if _, twice := e.Samples[line[:at]]; twice {
			return e, fmt.Errorf("twice: %q", line)
		}
		f.Series = append(f.Series, line[:at])
		e.Samples[line[:at]] = value
	}
	return e, lines.Err()
}

// Value returns what a series shows.
func (e Exposition) Value(t *testing.T, series string) float64 {
	t.Helper()
	v, ok := e.Samples[series]
	if !ok {
		t.Fatalf("no series %s", series)
	}
	return v
}

// AwaitValue waits until a series shows a value.
func (s *Site) AwaitValue(series string, want float64) {
	s.T.Helper()
	Eventually(s.T, Patience, func() string {
		if got, ok := s.Scrape().Samples[series]; got != want || !ok {
			return fmt.Sprintf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
		return ""
	})
}

// Config writes the daemon's configuration and returns its path.
func (c *Cell) Config(text string) string {
	c.T.Helper()
	path := c.Dir + "/portsyncd.conf"
	WriteFile(c.T, path, text)
	return path
}

// StartWith starts a daemon with a configuration and waits until it is ready.
func (c *Cell) StartWith(text string) *Program {
	c.T.Helper()
	d := c.Start(Launch{Args: []string{"-c", c.Config(text)}})
	d.AwaitReady()
	return d
}

// Reload gives a daemon of StartWith another configuration.
func (c *Cell) Reload(d *Program, text string) {
	c.T.Helper()
	c.Config(text)
	n := d.States.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitState(n, Patience, "READY=1")
}

// Plug makes the interfaces of configured ports, and waits until all is
// reported, PortInitDone included.
func (c *Cell) Plug(ports int) {
	c.T.Helper()
	c.Pop()
	for n := range ports {
		c.AddPort(PortName(n))
	}
	c.AwaitInitDone()
	c.AwaitInStep(Patience * time.Duration(1+ports/64))
}
