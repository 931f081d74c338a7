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
const HTTPAddress = "127.0.0.1:9101"

// Site is a place where a daemon serves HTTP.
type Client struct {
	T    *testing.T
	HTTP *http.Client
	Base string // "http://127.0.0.1:9101"
}

// NewSite returns the site at a TCP address, once somebody listens there: the
// daemon opens its server when the start is made.
func NewClient(t *testing.T, address string) *Client {
	t.Helper()
	return Client{T: t, Base: "http://" + address}.Dial("tcp", address)
}

// NewUnixSite returns the site at a unix socket, likewise.
func NewUnixClient(t *testing.T, path string) *Client {
	t.Helper()
	return Client{T: t, Base: "http://localhost"}.Dial("unix", path)
}

// Dialing gives s a client.
func (client Client) Dial(network, address string) *Client {
	client.T.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
	Eventually(client.T, Timeout, func() string {
		conn, err := dial(client.T.Context(), "", "")
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	transport := &http.Transport{DisableCompression: true} // gzip is for those who ask
	transport.DialContext = dial
	client.T.Cleanup(transport.CloseIdleConnections)
	client.HTTP = &http.Client{
		Transport: transport,
		Timeout:   Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return &client
}

// Answer is a whole answer to a request.
type Response struct {
	Code   int
	Header http.Header
	Body   string
}

// Try sends a request with headers, each "Name: value".
func (client *Client) TryRequest(method, path string, headers ...string) (Response, error) {
	request, err := http.NewRequest(method, client.Base+path, nil)
	if err != nil {
		return Response{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	response, err := client.HTTP.Do(request)
	if err != nil {
		return Response{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Response{response.StatusCode, response.Header, string(body)}, err
}

// Ask is try for what has to succeed, whatever the status.
func (client *Client) Request(method, path string, headers ...string) Response {
	client.T.Helper()
	a, err := client.TryRequest(method, path, headers...)
	if err != nil {
		client.T.Fatalf("%s %s %q: %v", method, path, headers, err)
	}
	return a
}

// Get is ask for the body of a good answer.
func (client *Client) Get(path string, headers ...string) string {
	client.T.Helper()
	a := client.Request(http.MethodGet, path, headers...)
	if a.Code != http.StatusOK {
		client.T.Fatalf("GET %s %q: status %d: %s", path, headers, a.Code, a.Body)
	}
	return a.Body
}

// Await waits until a path answers with a status code.
func (client *Client) AwaitCode(path string, code int) Response {
	client.T.Helper()
	var last Response
	Eventually(client.T, Timeout, func() string {
		a, err := client.TryRequest(http.MethodGet, path)
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
func (client *Client) Scrape() Exposition {
	client.T.Helper()
	e, err := ParseExposition(client.Get("/metrics"))
	if err != nil {
		client.T.Fatalf("/metrics: %v", err)
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
func (client *Client) AwaitValue(series string, want float64) {
	client.T.Helper()
	Eventually(client.T, Timeout, func() string {
		if got, ok := client.Scrape().Samples[series]; got != want || !ok {
			return fmt.Sprintf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
		return ""
	})
}

// Config writes the daemon's configuration and returns its path.
func (sw *Switch) WriteConfig(text string) string {
	sw.T.Helper()
	path := sw.Dir + "/portsyncd.conf"
	WriteFile(sw.T, path, text)
	return path
}

// StartWith starts a daemon with a configuration and waits until it is ready.
func (sw *Switch) StartWith(text string) *Daemon {
	sw.T.Helper()
	d := sw.Start(StartOptions{Args: []string{"-c", sw.WriteConfig(text)}})
	d.AwaitReady()
	return d
}

// Reload gives a daemon of StartWith another configuration.
func (sw *Switch) ReloadWith(d *Daemon, text string) {
	sw.T.Helper()
	sw.WriteConfig(text)
	n := d.Notifications.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitNotification(n, Timeout, "READY=1")
}

// Plug makes the interfaces of configured ports, and waits until all is
// reported, PortInitDone included.
func (sw *Switch) AddInterfaces(ports int) {
	sw.T.Helper()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout * time.Duration(1+ports/64))
}
