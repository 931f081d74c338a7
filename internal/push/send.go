package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/smallfile"
	"portsyncd/metrics"
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
	d := dialer(c.Device)
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // whatever the environment says
			DialContext:            d.DialContext,
			DialTLSContext:         secureDial(d, c.CAFile),
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

// mostAuthorities bounds the file of authorities in bytes. That of a system, with
// all the public ones, has some 200 KiB.
const mostAuthorities = 1 << 20

// secureDial returns a function that opens TLS connections. It reads the file of
// authorities for each connection, so that a file that was replaced or repaired needs
// no restart; caFile "" stands for the authorities of the system.
func secureDial(d *net.Dialer, caFile string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: metrics.CipherSuites}
		if caFile != "" {
			pem, err := smallfile.Read(ctx, caFile, mostAuthorities)
			if err != nil {
				return nil, fmt.Errorf("read authorities: %w", err)
			}
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("read authorities: no certificate in %q", caFile)
			}
		}
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, network, address)
	}
}

// dialer binds its connections, those of the search for an address too, to a
// device: SO_BINDTODEVICE of socket(7), which for a VRF is the way into it
// (Documentation/networking/vrf.rst in the kernel).
func dialer(device string) *net.Dialer {
	if device == "" {
		return &net.Dialer{}
	}
	bind := func(_, _ string, conn syscall.RawConn) error {
		var err error
		if controlErr := conn.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }); controlErr != nil {
			return controlErr
		}
		if err != nil {
			return fmt.Errorf("bind to device %q: %w", device, err)
		}
		return nil
	}
	resolver := &net.Resolver{
		PreferGo: true,
		Dial:     (&net.Dialer{Control: bind}).DialContext,
	}
	return &net.Dialer{Control: bind, Resolver: resolver}
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
