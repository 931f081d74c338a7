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
	// askFor bounds one question to the daemon, which answers in milliseconds.
	askFor = 5 * time.Second
	// MostAnswer bounds what is read of an answer. One port takes some 300 bytes.
	MostAnswer = 8 << 20
)

// target is where a daemon may be asked.
type target struct {
	name   string // as it is written in a configuration
	socket string // path of a unix socket; "": by TCP
	url    string
	client *http.Client
	plain  func(ctx context.Context) (net.Conn, error) // opens a connection without TLS; nil for TLS and unix sockets
}

// errNobody means that no daemon answers.
var errNobody = errors.New("no daemon")

// Ask returns the status document of the first of the targets that can be
// reached. Is(errNobody) tells that none can.
func ask(ctx context.Context, targets []target, c *credentials) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var tried []string
	for i := range targets {
		body, err := targets[i].ask(ctx, c)
		if !errors.Is(err, errNobody) {
			return body, err
		}
		tried = append(tried, err.Error())
	}
	return nil, fmt.Errorf("%w at %s", errNobody, strings.Join(tried, ", nor at "))
}

// Ask asks one target. An error names the target.
func (t *target) ask(ctx context.Context, c *credentials) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", t.name, err)
	}
	req.Header.Set("Accept", "application/json")
	client, withheld := t.client, error(nil)
	switch {
	case t.socket != "" || !c.any(): // nobody asks for any on a unix socket
	case t.plain != nil:
		conn, err := t.plain(ctx)
		if err != nil {
			return nil, t.explain(err)
		}
		defer conn.Close()
		client = newClient(&http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }})
		if withheld = vouchFor(ctx, conn); withheld == nil {
			c.add(req)
		}
	default:
		c.add(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, t.explain(err)
	}
	defer resp.Body.Close()
	if err := t.refusal(resp, withheld); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MostAnswer+1))
	if err != nil {
		return nil, t.explain(err)
	}
	if len(body) > MostAnswer {
		return nil, fmt.Errorf("%s answers with more than %d bytes", t.name, MostAnswer)
	}
	return body, nil
}

// nobody is an error that is errNobody and reads as a place with a reason.
type nobody struct {
	at  string
	why error
}

func (n *nobody) Error() string        { return fmt.Sprintf("%s (%v)", n.at, n.why) }
func (n *nobody) Is(target error) bool { return target == errNobody }

// explain tells a daemon that is not there, or hangs, from one that will not
// have us.
func (t *target) explain(err error) error {
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return &nobody{t.name, op.Err}
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return &nobody{t.name, fmt.Errorf("no answer within %v", askFor)}
	case errors.Is(err, errNotBelieved):
		err = fmt.Errorf("%w; --ca FILE names the authority to believe", err)
	case strings.Contains(err.Error(), "tls: certificate required"), strings.Contains(err.Error(), "tls: bad certificate"):
		err = fmt.Errorf("%w; --cert FILE and --key FILE are shown to the daemon", err)
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) && err == error(inner) {
		err = inner.Err // the URL says nothing that the name does not
	}
	return fmt.Errorf("ask %s: %w", t.name, err)
}

// refusal is what an answer that is not the document means; withheld says why it was
// asked for without the credentials that there are.
func (t *target) refusal(resp *http.Response, withheld error) error {
	what := "expected a portsyncd with /status"
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		if withheld != nil {
			return fmt.Errorf("%s answers %q; the credentials were not sent: %w; expected https://, a unix socket, or a portsyncd of root or of this user on this host", t.name, resp.Status, withheld)
		}
		what = "expected a token in PORTSYNCD_TOKEN or --token-file, or --user with PORTSYNCD_PASSWORD"
	case http.StatusBadRequest:
		what = "where TLS is spoken the address is https://HOST:PORT"
	case http.StatusMisdirectedRequest:
		what = "the daemon does not know that host name: expected an IP address, or the name in its metrics.host_names"
	case http.StatusServiceUnavailable:
		what = "the daemon has too many clients"
	}
	return fmt.Errorf("%s answers %q: %s", t.name, resp.Status, what)
}
