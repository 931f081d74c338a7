package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/smallfile"
	"portsyncd/internal/transport"
)

// outcome is how a request went.
type outcome int

const (
	delivered    outcome = iota
	unreachable          // no connection, no answer in time, no answer of HTTP
	overloaded           // the receiver asks for patience, or is broken: it may take the batch later
	unauthorized         // credentials or the name of the database: who runs it may mend that
	refused              // the receiver will never take this batch
)

// String spells the outcome as the label reason does.
func (o outcome) String() string {
	return [...]string{"delivered", "unreachable", "overloaded", "unauthorized", "refused"}[o]
}

// result is the outcome of sending one batch.
type result struct {
	batch      *batch
	outcome    outcome
	err        error         // nil if delivered
	retryAfter time.Duration // as the receiver asks; 0: it does not
}

// sender makes the requests.
type sender struct {
	url           string
	authorization string // file, "" if there is none
	gzip          bool
	userAgent     string
	client        *http.Client
}

func newSender(c *Config) (*sender, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("push: the address is not an http:// or https:// URL")
	}
	s := &sender{url: c.URL, authorization: c.AuthorizationFile, gzip: c.Gzip, userAgent: c.UserAgent}
	d := newDialer(c.Device)
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // whatever the environment says
			DialContext:            d.DialContext,
			DialTLSContext:         dialTLS(d, c.CAFile),
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 will do
			MaxIdleConns:           1,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
		},
		// Nobody but the configured receiver gets samples and credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// dialTLS returns a function that opens TLS connections. The function reads caFile for each
// connection, so that a replaced file takes effect without a restart. If caFile is "", it uses the
// certificate authorities of the system.
func dialTLS(d *net.Dialer, caFile string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c := transport.TLSConfig()
		if caFile != "" {
			text, err := smallfile.Read(ctx, caFile, transport.MaxPEMFile)
			if err != nil {
				return nil, fmt.Errorf("read certificate authorities: %w", err)
			}
			if c.RootCAs, err = transport.ParseCertPool(text); err != nil {
				return nil, fmt.Errorf("read certificate authorities %q: %w", caFile, err)
			}
		}
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, network, address)
	}
}

// newDialer returns a dialer whose connections, including those to name servers, are bound to a
// device. Binding to a VRF uses its routing table (Documentation/networking/vrf.rst in the kernel).
func newDialer(device string) *net.Dialer {
	if device == "" {
		return &net.Dialer{}
	}
	bind := transport.BindToDevice(device)
	return &net.Dialer{
		Control:  bind,
		Resolver: &net.Resolver{PreferGo: true, Dial: (&net.Dialer{Control: bind}).DialContext},
	}
}

// post sends a batch and waits for the answer.
func (s *sender) post(ctx context.Context, b *batch) result {
	r := result{batch: b}
	request, err := s.request(ctx, b)
	if err != nil {
		r.outcome, r.err = unauthorized, err
		return r
	}
	response, err := s.client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address, which the log line has
		}
		r.outcome, r.err = unreachable, err
		return r
	}
	defer response.Body.Close()
	// Read to its end, an answer leaves the connection fit for the next request.
	answer, _ := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	r.outcome = judge(response.StatusCode)
	if r.outcome != delivered {
		r.err = fmt.Errorf("status %d: %.200q", response.StatusCode, answer)
		r.retryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return r
}

// answerLimit is enough for any word of complaint.
const answerLimit = 4 << 10

func (s *sender) request(ctx context.Context, b *batch) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", s.userAgent)
	// To net/http only, an empty list sends nothing: the same points twice are the
	// same points, so a request that met a closed connection may be sent again.
	request.Header["Idempotency-Key"] = []string{}
	if s.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if s.authorization != "" {
		secret, err := readAuthorization(ctx, s.authorization)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", secret)
	}
	return request, nil
}

// readAuthorization reads the value of a header from a file. No error repeats
// any of it.
func readAuthorization(ctx context.Context, name string) (string, error) {
	const most = 8 << 10
	text, err := smallfile.Read(ctx, name, most)
	if err != nil {
		return "", fmt.Errorf("read the authorization: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	unfit := func(r rune) bool { return r < ' ' || r > '~' }
	if secret == "" || strings.ContainsFunc(secret, unfit) {
		return "", fmt.Errorf("read the authorization: %q has not one line of at most %d printable ASCII characters", name, most)
	}
	return secret, nil
}

// judge says what a status means for a batch. InfluxDB answers 204; 400 to lines
// it cannot read or of which it took a part, 404 where there is no such
// database or bucket, 429 and 503 with Retry-After when it is busy
// (https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/).
// VictoriaMetrics answers 204, and 503 when it is busy.
func judge(status int) outcome {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound,
		status >= 300 && status < 400: // a redirect is not followed: the address is to be corrected
		return unauthorized
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests,
		status >= 500:
		return overloaded
	}
	return refused
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3); what is neither
// asks for nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
