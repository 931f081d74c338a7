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

// configuredTargets returns the addresses of metrics.listen. Unix sockets come first because they
// require no credentials.
func configuredTargets(m *config.Metrics, a *access) ([]target, error) {
	if !m.Enabled {
		return nil, errors.New("metrics.enabled is false: the daemon has no listener")
	}
	if len(m.Listen) == 0 {
		return nil, errors.New("metrics.listen is empty: the daemon listens only on sockets that systemd passed; use --address")
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
			continue // the port was chosen by the kernel
		}
		others = append(others, a.target(e.Address, &url.URL{Scheme: scheme, Host: net.JoinHostPort(reachable(host), port)}))
	}
	if len(sockets)+len(others) == 0 {
		return nil, errors.New("metrics.listen has only port 0, which the kernel replaces by a free port; use --address")
	}
	return slices.Concat(sockets, others), nil
}

// reachable returns the host to which a client on this machine can connect if the daemon listens on
// host. If the daemon listens on all addresses, this is the loopback address.
func reachable(host string) string {
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		return "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		return "::1"
	}
	return host
}

// givenTarget returns the target of --address: unix:/PATH, HOST:PORT, or a URL.
func givenTarget(address string, a *access) (target, error) {
	const expected = "must be unix:/PATH, HOST:PORT or http[s]://HOST[:PORT]"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return target{}, fmt.Errorf("invalid address %q: %s", address, expected)
		}
		return socketTarget(path), nil
	}
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "" {
			return target{}, fmt.Errorf("invalid address %q: %s", address, expected)
		}
		address = "http://" + net.JoinHostPort(reachable(host), port)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return target{}, fmt.Errorf("invalid address %q: %s", address, expected)
	}
	if u.User != nil {
		return target{}, errors.New("credentials in the address are visible to all users of this host; set them in the environment")
	}
	return a.target(u.Scheme+"://"+u.Host+strings.TrimSuffix(u.Path, "/"), u), nil
}

// statusPath is the URL path of the status document.
const statusPath = "/status"

// socketTarget returns the target for a unix socket.
func socketTarget(path string) target {
	var d net.Dialer
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}}
	return target{name: "unix:" + path, socket: path, url: "http://portsyncd" + statusPath, client: newClient(transport)}
}

// target returns the target for an http or https URL.
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
		t.dialPlain = func(ctx context.Context) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		}
	}
	return t
}

// maxHeader is the maximum size of a response header in bytes.
const maxHeader = 64 << 10

// newClient returns an HTTP client that uses no proxy and follows no redirects, because both could
// send the credentials elsewhere.
func newClient(t *http.Transport) *http.Client {
	t.MaxResponseHeaderBytes = maxHeader
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
