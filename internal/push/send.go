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

// outcome is the outcome of a request.
type outcome int

const (
	delivered    outcome = iota
	unreachable          // no connection or no HTTP response before the timeout
	overloaded           // the receiver is busy or failing; it may accept the batch later
	unauthorized         // wrong credentials, database or URL, which the operator can correct
	refused              // the receiver will never accept the batch
)

// String returns the outcome as used in the label "reason".
func (o outcome) String() string {
	return [...]string{"delivered", "unreachable", "overloaded", "unauthorized", "refused"}[o]
}

// result is the result of sending a batch.
type result struct {
	batch      *batch
	outcome    outcome
	err        error         // nil if the batch was delivered
	retryAfter time.Duration // from the Retry-After header; 0 if absent
}

// sender sends batches over HTTP.
type sender struct {
	url           string
	authorization string // path of the authorization file, or ""
	gzip          bool
	userAgent     string
	client        *http.Client
}

func newSender(c *Config) (*sender, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("push: URL must start with http:// or https://")
	}
	s := &sender{url: c.URL, authorization: c.AuthorizationFile, gzip: c.Gzip, userAgent: c.UserAgent}
	d := newDialer(c.Device)
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // ignore proxy environment variables
			DialContext:            d.DialContext,
			DialTLSContext:         dialTLS(d, c.CAFile),
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 only
			MaxIdleConns:           1,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
		},
		// Do not follow redirects: samples and credentials must be sent only to the configured
		// receiver.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// dialTLS returns a function that opens TLS connections. The function reads caFile for each
// connection, so that a replaced file takes effect without a restart. If caFile is "", it uses the
// system's certificate authorities.
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

// newDialer returns a dialer that binds connections to a device, including connections to name
// servers. Binding to a VRF selects its routing table (Documentation/networking/vrf.rst in the
// kernel).
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

// post sends a batch and waits for the response.
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
			err = wrapped.Err // omit the URL, which is logged separately
		}
		r.outcome, r.err = unreachable, err
		return r
	}
	defer response.Body.Close()
	// The connection can be reused only if the response is read to its end.
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	r.outcome = outcomeOf(response.StatusCode)
	if r.outcome != delivered {
		r.err = fmt.Errorf("status %d: %.200q", response.StatusCode, body)
		r.retryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return r
}

// maxResponse is the maximum number of bytes read from a response, which is enough for an error
// message.
const maxResponse = 4 << 10

func (s *sender) request(ctx context.Context, b *batch) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", s.userAgent)
	// Sending a batch twice is harmless. The empty header is not sent, but it tells net/http that
	// the request may be retried if a reused connection has been closed.
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

// readAuthorization reads the value of the Authorization header from a file. Its errors do not
// contain the value.
func readAuthorization(ctx context.Context, name string) (string, error) {
	const most = 8 << 10
	text, err := smallfile.Read(ctx, name, most)
	if err != nil {
		return "", fmt.Errorf("read authorization file: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	invalid := func(r rune) bool { return r < ' ' || r > '~' }
	if secret == "" || strings.ContainsFunc(secret, invalid) {
		return "", fmt.Errorf("invalid authorization file %q: must be one line of at most %d printable ASCII characters", name, most)
	}
	return secret, nil
}

// outcomeOf returns the outcome for an HTTP status. InfluxDB returns 204 on success, 400 for lines
// that are invalid or partially accepted, 404 for an unknown database or bucket, and 429 or 503
// with Retry-After if it is busy
// (https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/). VictoriaMetrics returns 204
// on success and 503 if it is busy.
func outcomeOf(status int) outcome {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound,
		status >= 300 && status < 400: // redirects are not followed; the URL must be corrected
		return unauthorized
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests,
		status >= 500:
		return overloaded
	}
	return refused
}

// retryAfter parses the value of a Retry-After header, a number of seconds or a date (RFC 9110,
// section 10.2.3). It returns 0 if the value is invalid.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
