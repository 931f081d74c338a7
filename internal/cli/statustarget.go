package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"portsyncd/config"
	"portsyncd/internal/transport"
)

// configuredTargets are where the configuration says that the daemon listens:
// unix sockets first, on which no credentials are asked.
func configuredTargets(m *config.Metrics, a *access) ([]target, error) {
	if !m.Enabled {
		return nil, errors.New("metrics.enabled is false: the daemon listens nowhere")
	}
	if len(m.Listen) == 0 {
		return nil, errors.New("metrics.listen is empty: the daemon listens nowhere but on sockets that were handed over; --address names one")
	}
	scheme := "http"
	if m.TLSCertFile != "" {
		scheme = "https"
	}
	var sockets, others []target
	for _, e := range m.Listen {
		if e.Network == "unix" {
			sockets = append(sockets, socketTarget(e.Address))
			continue
		}
		host, port, err := net.SplitHostPort(e.Address)
		if err != nil || port == "0" {
			continue // the kernel knows the port, nobody else
		}
		others = append(others, a.target(e.Address, &url.URL{Scheme: scheme, Host: net.JoinHostPort(reachable(host), port)}))
	}
	if len(sockets)+len(others) == 0 {
		return nil, errors.New("metrics.listen leaves the port to the kernel; --address names it")
	}
	return slices.Concat(sockets, others), nil
}

// reachable is the host to connect to where a listener has all addresses.
func reachable(host string) string {
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		return "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		return "::1"
	}
	return host
}

// givenTarget is the one that was named: unix:/path, HOST:PORT, or a URL.
func givenTarget(address string, a *access) (target, error) {
	const expected = "expected unix:/PATH, HOST:PORT or http[s]://HOST[:PORT]"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return target{}, fmt.Errorf("address %q: %s", address, expected)
		}
		return socketTarget(path), nil
	}
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "" {
			return target{}, fmt.Errorf("address %q: %s", address, expected)
		}
		address = "http://" + net.JoinHostPort(reachable(host), port)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return target{}, fmt.Errorf("address %q: %s", address, expected)
	}
	if u.User != nil {
		return target{}, errors.New("the address has credentials in it, which anyone could read in the list of processes: expected them in the environment")
	}
	return a.target(u.Scheme+"://"+u.Host+strings.TrimSuffix(u.Path, "/"), u), nil
}

const statusPath = "/status"

func socketTarget(path string) target {
	var d net.Dialer
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}}
	return target{name: "unix:" + path, socket: path, url: "http://portsyncd" + statusPath, client: newClient(transport)}
}

// target is one that is reached by TCP.
func (a *access) target(name string, u *url.URL) target {
	d := net.Dialer{Control: transport.BindToDevice(a.device)}
	page := *u
	if !strings.HasSuffix(page.Path, statusPath) {
		page.Path = strings.TrimSuffix(page.Path, "/") + statusPath
	}
	t := target{name: name, url: page.String(), client: newClient(&http.Transport{DialContext: d.DialContext, TLSClientConfig: a.tls(u.Hostname())})}
	if u.Scheme == "http" {
		port := u.Port()
		if port == "" {
			port = "80"
		}
		t.plain = func(ctx context.Context) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		}
	}
	return t
}

// mostHeader bounds the header of an answer, in bytes.
const mostHeader = 64 << 10

// newClient returns a client that goes nowhere but where it is sent: through no
// proxy, and not after a redirection, which would take credentials along.
func newClient(t *http.Transport) *http.Client {
	t.MaxResponseHeaderBytes = mostHeader
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
