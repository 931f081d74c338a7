package switchtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// HTTPAddress is the default address of the daemon's HTTP server.
const HTTPAddress = "127.0.0.1:9101"

// Content types of responses.
const (
	PrometheusType = "text/plain; version=0.0.4; charset=utf-8"
	PlainType      = "text/plain; charset=utf-8"
	JSONType       = "application/json"
	HTMLType       = "text/html; charset=utf-8"
)

// Client sends HTTP requests to one daemon. It does not follow redirects, and it accepts gzip only
// if the test sets the Accept-Encoding header.
type Client struct {
	T    T
	HTTP *http.Client
	Base string // "http://127.0.0.1:9101"
}

// NewClient waits until a server is listening on the TCP address and returns a client for it. The
// daemon opens its HTTP server after the initial sync.
func NewClient(t T, address string) *Client {
	t.Helper()
	return Client{T: t, Base: "http://" + address}.Dial("tcp", address)
}

// NewUnixClient is like NewClient for a unix socket.
func NewUnixClient(t T, path string) *Client {
	t.Helper()
	return Client{T: t, Base: "http://localhost"}.Dial("unix", path)
}

// Dial returns a copy of the client that connects to another address. It waits until a server is
// listening on that address.
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
	transport := &http.Transport{DisableCompression: true} // tests that want gzip send their own header
	transport.DialContext = dial
	client.T.Cleanup(transport.CloseIdleConnections)
	client.HTTP = &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return &client
}

// Response is a complete HTTP response.
type Response struct {
	Code   int
	Header http.Header
	Body   string
}

// TryRequest sends a request with headers of the form "Name: value" and returns the response
// regardless of its status.
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

// Request is like TryRequest, but fails the test if there is no response.
func (client *Client) Request(method, path string, headers ...string) Response {
	client.T.Helper()
	a, err := client.TryRequest(method, path, headers...)
	if err != nil {
		client.T.Fatalf("%s %s %q: %v", method, path, headers, err)
	}
	return a
}

// Get sends a GET request and returns the response body. It fails the test if the status is not
// 200.
func (client *Client) Get(path string, headers ...string) string {
	client.T.Helper()
	a := client.Request(http.MethodGet, path, headers...)
	if a.Code != http.StatusOK {
		client.T.Fatalf("GET %s %q: status %d: %s", path, headers, a.Code, a.Body)
	}
	return a.Body
}

// AwaitCode sends GET requests until the response has the given status code.
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

// AwaitDegraded waits until /healthz reports "degraded" and contains all of the words, or reports
// "healthy" if no words are given.
func AwaitDegraded(t T, words ...string) {
	t.Helper()
	client := NewClient(t, HTTPAddress)
	Eventually(t, Timeout, func() string {
		r, err := client.TryRequest(http.MethodGet, "/healthz")
		code, body := r.Code, r.Body
		want := "healthy\n"
		if len(words) > 0 {
			want = "degraded\n"
		}
		problem := fmt.Sprintf("/healthz answers %d %q, %v, want %q with %q", code, body, err, want, words)
		if code != http.StatusOK || !strings.HasPrefix(body, want) {
			return problem
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				return problem
			}
		}
		return ""
	})
}

// Fetch requests a URL and returns the response body. It returns an error if the status is not 200.
func Fetch(url string) (string, error) {
	client := http.Client{Timeout: requestTimeout}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, resp.Status, body)
	}
	return string(body), err
}

// RawRequest connects to a TCP address, sends text, and returns everything that the server sends
// until it closes the connection.
func RawRequest(t T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(requestTimeout))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}
