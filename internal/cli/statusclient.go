package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// fetchTimeout is the time allowed for querying all targets. A daemon normally responds within milliseconds.
	fetchTimeout = 5 * time.Second
	// MaxResponse is the maximum size of a response body in bytes. A port takes about 300 bytes.
	MaxResponse = 8 << 20
)

// target is an address at which the daemon may be listening, with the HTTP client for it.
type target struct {
	name   string // as written in the configuration or on the command line
	socket string // path of a unix socket; "": TCP
	url    string
	client *http.Client
	// dialPlain opens an unencrypted TCP connection. It is nil for TLS and for unix sockets.
	dialPlain func(ctx context.Context) (net.Conn, error)
}

// errNoDaemon is returned if no daemon responds.
var errNoDaemon = errors.New("no daemon")

// fetch requests the document from each target in turn and returns the first response of a daemon.
// If no target responds, the error wraps errNoDaemon.
func fetch(ctx context.Context, targets []target, c *credentials) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var tried []string
	for i := range targets {
		body, err := targets[i].fetch(ctx, c)
		if !errors.Is(err, errNoDaemon) {
			return body, err
		}
		tried = append(tried, err.Error())
	}
	return nil, fmt.Errorf("%w at %s", errNoDaemon, strings.Join(tried, ", nor at "))
}

// fetch sends a request to the target and returns the response body. Credentials are sent over TLS,
// or unencrypted to a portsyncd on this host; a unix socket requires none. Errors include the name
// of the target.
func (t *target) fetch(ctx context.Context, c *credentials) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", t.name, err)
	}
	req.Header.Set("Accept", "application/json")
	client, withheld := t.client, error(nil)
	switch {
	case t.socket != "" || !c.any():
	case t.dialPlain != nil:
		conn, err := t.dialPlain(ctx)
		if err != nil {
			return nil, t.explainError(err)
		}
		defer conn.Close()
		client = newClient(&http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }})
		if withheld = verifyPeer(ctx, conn); withheld == nil {
			c.add(req)
		}
	default:
		c.add(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, t.explainError(err)
	}
	defer resp.Body.Close()
	if err := t.checkStatus(resp, withheld); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponse+1))
	if err != nil {
		return nil, t.explainError(err)
	}
	if len(body) > MaxResponse {
		return nil, fmt.Errorf("response of %s is longer than %d bytes", t.name, MaxResponse)
	}
	return body, nil
}

// unreachableError wraps errNoDaemon for one target.
type unreachableError struct {
	target string
	err    error
}

func (e *unreachableError) Error() string        { return fmt.Sprintf("%s (%v)", e.target, e.err) }
func (e *unreachableError) Is(target error) bool { return target == errNoDaemon }

// explainError converts the error of a request. It returns an errNoDaemon if there is no daemon or
// the daemon does not respond. For other errors it adds the options that may solve the problem.
func (t *target) explainError(err error) error {
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return &unreachableError{t.name, op.Err}
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return &unreachableError{t.name, fmt.Errorf("daemon did not respond within %v", fetchTimeout)}
	case errors.Is(err, errUntrusted):
		err = fmt.Errorf("%w; use --ca FILE to trust another authority", err)
	case strings.Contains(err.Error(), "tls: certificate required"), strings.Contains(err.Error(), "tls: bad certificate"):
		err = fmt.Errorf("%w; use --cert FILE and --key FILE for a client certificate", err)
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) && err == error(inner) {
		err = inner.Err // the text of the outer error repeats the target
	}
	return fmt.Errorf("request to %s: %w", t.name, err)
}

// checkStatus returns nil if the status code of a response is 200, or an error that explains the
// code. withheld is the reason why the credentials were not sent, or nil.
func (t *target) checkStatus(resp *http.Response, withheld error) error {
	hint := "expected /status of portsyncd"
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		if withheld != nil {
			return fmt.Errorf("%s returned HTTP status %q; credentials were not sent: %w; use https://, a unix socket, or a portsyncd on this host that is run by root or by this user", t.name, resp.Status, withheld)
		}
		hint = "set a token in PORTSYNCD_TOKEN or --token-file, or use --user with PORTSYNCD_PASSWORD"
	case http.StatusBadRequest:
		hint = "if the daemon uses TLS, the address is https://HOST:PORT"
	case http.StatusMisdirectedRequest:
		hint = "host name not accepted by the daemon; use an IP address, or add the name to metrics.host_names"
	case http.StatusServiceUnavailable:
		hint = "the daemon has too many clients"
	}
	return fmt.Errorf("%s returned HTTP status %q: %s", t.name, resp.Status, hint)
}
