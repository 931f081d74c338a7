package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Content types.
const (
	// typePrometheus is what Prometheus 3 wants to see before it reads text.
	typePrometheus = "text/plain; version=0.0.4; charset=utf-8"
	typeText       = "text/plain; charset=utf-8"
	typeJSON       = "application/json"
	typeHTML       = "text/html; charset=utf-8"
)

var (
	// offerText is the exposition format. Whoever accepts a later format of
	// Prometheus reads this one too, as every scraper does.
	offerText = mediaType{"text/plain", "0.0.4", []string{"application/openmetrics-text", "application/vnd.google.protobuf"}}
	offerJSON = mediaType{name: "application/json"}
)

// Health is an answer to "are you well?".
type Health struct {
	OK      bool     `json:"ok"`     // status 200, else 503
	Status  string   `json:"status"` // one word: "healthy", "degraded", "starting"...
	Reasons []string `json:"reasons"`
	// Detail, unless empty, is a line below the status in the form for people.
	Detail string `json:"-"`
	// Document, unless nil, is the form for programs in place of this one.
	Document any `json:"-"`
}

// route is a path with what answers it and its counters.
type route struct {
	handle   http.HandlerFunc // nil: nothing to be found here
	requests map[int]*Counter // by status
}

// ownCodes are the statuses that net/http answers with by itself, to what it cannot
// read as a request.
var ownCodes = []int{http.StatusBadRequest, http.StatusExpectationFailed, http.StatusRequestHeaderFieldsTooLarge,
	http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}

// countOwn counts such an answer. There is no path to count it under.
func (s *Server) countOwn(code int) {
	if counter := s.other.requests[code]; counter != nil {
		counter.Inc()
	}
}

// addRoutes sets up the paths. Every combination of path and status that can
// happen has its series of portsyncd_http_requests_total.
func (s *Server) addRoutes() {
	add := func(path string, handle http.HandlerFunc, codes ...int) *route {
		rt := &route{handle: handle, requests: make(map[int]*Counter)}
		codes = append(codes, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest)
		slices.Sort(codes)
		for _, code := range codes {
			rt.requests[code] = s.src.Set.NewCounter("portsyncd_http_requests_total",
				"HTTP requests answered, by path and status; path is \"other\" for what is not served and for requests that cannot be read. Connections that were closed before their request was read are in portsyncd_http_rejected_total.",
				Label{"path", path}, Label{"code", strconv.Itoa(code)})
		}
		return rt
	}
	const (
		ok, absent, unavailable = http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable
	)
	s.routes = map[string]*route{
		"/":             add("/", s.handlePage, ok, unavailable),
		"/metrics":      add("/metrics", s.handleMetrics, ok, unavailable),
		"/metrics.json": add("/metrics.json", s.handleMetricsJSON, ok, unavailable),
		"/healthz":      add("/healthz", handleHealth(s.src.Health), ok, unavailable),
		"/readyz":       add("/readyz", handleHealth(s.src.Ready), ok, unavailable),
	}
	if s.src.Ports != nil {
		s.routes["/ports"] = add("/ports", s.handlePorts, ok, unavailable)
	}
	if s.src.Status != nil {
		s.routes["/status"] = add("/status", s.handleStatus, ok, unavailable)
	}
	if s.cfg.Profiling {
		s.pprof = add("/debug/pprof/", s.handleProfiling, ok,
			http.StatusBadRequest, absent, http.StatusInternalServerError, unavailable)
	}
	s.other = add("other", nil, append(ownCodes, absent)...)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	if !c.begin() {
		panic(http.ErrAbortHandler) // its connection is being closed
	}
	defer s.reportPanic(r)

	rt := s.route(r.URL.Path, c)
	sw := &statusWriter{ResponseWriter: w}
	defer func() {
		if counter := rt.requests[sw.status]; counter != nil {
			counter.Inc()
		}
	}()
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // rather than wait for a body
	}
	auth := &s.live.Load().auth
	switch {
	case !c.unix && !s.servesHost(r.Host):
		reply(sw, r, http.StatusMisdirectedRequest, typeText, "this host is not called that in its configuration: add the name to metrics.host_names, or use an IP address\n")
		return
	case !c.unix && !auth.allows(r):
		auth.challenge(w.Header())
		w.Header().Set("Connection", "close") // its place is for others
		reply(sw, r, http.StatusUnauthorized, typeText, "credentials wanted\n")
		return
	}
	if auth.needed() {
		c.trust()
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		reply(sw, r, http.StatusMethodNotAllowed, typeText, "only GET and HEAD\n")
	case rt.handle == nil:
		reply(sw, r, http.StatusNotFound, typeText, "nothing here; / has links\n")
	default:
		rt.handle(sw, r)
	}
}

// reportPanic logs the first panic of a handler, which is a mistake in the
// program, and ends the connection after any. Left alone, net/http would log it
// among what clients do wrong.
func (s *Server) reportPanic(r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		s.panicked.Do(func() {
			s.log.Error("panic while answering an HTTP request",
				"path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		})
		panic(http.ErrAbortHandler)
	}
}

// route returns what answers path on connection c.
func (s *Server) route(path string, c *conn) *route {
	if rt := s.routes[path]; rt != nil {
		return rt
	}
	if s.pprof != nil && c.local && strings.HasPrefix(path, "/debug/pprof/") {
		return s.pprof
	}
	return s.other
}

// handleMetrics answers every client: one whose Accept header names nothing that
// there is gets text, as from other exporters.
func (s *Server) handleMetrics(w http.ResponseWriter, r *http.Request) {
	offers := []mediaType{offerText, offerJSON}
	if s.live.Load().json {
		slices.Reverse(offers)
	}
	w.Header().Add("Vary", "Accept")
	if i := negotiate(r.Header["Accept"], offers...); i >= 0 && offers[i].name == offerJSON.name {
		s.handleMetricsJSON(w, r)
		return
	}
	s.answer(w, r, typePrometheus, s.src.Set.AppendText)
}

func (s *Server) handleMetricsJSON(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, typeJSON, s.src.Set.AppendJSON)
}

func (s *Server) handlePorts(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, typeJSON, s.src.Ports)
}

func (s *Server) handleStatus(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, typeJSON, s.src.Status)
}

// answer sends a large answer, made by render, when there is memory for it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, contentType string, render func([]byte) []byte) {
	c := connOf(r.Context())
	if !s.answers.enter(r.Context(), c) {
		s.rejected.At(rejectRequests).Inc()
		w.Header().Set("Retry-After", "1")
		reply(w, r, http.StatusServiceUnavailable, typeText, "too many requests at once\n")
		return
	}
	defer s.answers.leave(c)
	b := s.answers.buffer()
	defer s.answers.keep(b)
	compress := acceptsGzip(r.Header["Accept-Encoding"])
	body := s.answers.render(b, render, compress)
	w.Header().Add("Vary", "Accept-Encoding")
	if compress {
		w.Header().Set("Content-Encoding", "gzip")
	}
	send(w, r, http.StatusOK, contentType, body)
}

// json is the answer for programs.
func (h *Health) json() []byte {
	document := h.Document
	if document == nil {
		if h.Reasons == nil {
			h.Reasons = []string{} // [] rather than null
		}
		document = h
	}
	body, err := json.Marshal(document)
	if err != nil {
		panic(err) // words, numbers and times always have a JSON form
	}
	return asciiJSON(body)
}

// handleHealth answers with what ask says; it may be nil.
func handleHealth(ask func() Health) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		health := Health{Status: "starting", Reasons: []string{"nothing is known yet"}}
		if ask != nil {
			health = ask()
		}
		status := http.StatusOK
		if !health.OK {
			status = http.StatusServiceUnavailable
		}
		if negotiate(r.Header["Accept"], mediaType{name: "text/plain"}, offerJSON) == 1 {
			reply(w, r, status, typeJSON, string(health.json())+"\n")
			return
		}
		body := health.Status + "\n"
		if health.Detail != "" {
			body += validText(health.Detail) + "\n"
		}
		for _, reason := range health.Reasons {
			body += "- " + strings.ReplaceAll(validText(reason), "\n", " ") + "\n"
		}
		reply(w, r, status, typeText, body)
	}
}

// handlePage answers browsers, which all take HTML, without asking what they
// accept.
func (s *Server) handlePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	if s.src.Page != nil {
		h.Set("Content-Security-Policy", s.src.PagePolicy)
		s.answer(w, r, typeHTML, s.src.Page)
		return
	}
	var page bytes.Buffer
	if err := landingPage().Execute(&page, s.cfg.Version); err != nil {
		panic(err) // the template is ours and the buffer takes everything
	}
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	send(w, r, http.StatusOK, typeHTML, page.Bytes())
}

const (
	profileTime = 5 * time.Minute // bounds a profile or trace
	maxProfiles = 2               // at the same time: each holds a connection for as long as it takes
)

// handleProfiling serves what net/http/pprof has. A profile runs for as long as
// asked, so the server's write timeout makes room for a longer one, also where
// pprof looks for it.
func (s *Server) handleProfiling(w http.ResponseWriter, r *http.Request) {
	select {
	case s.profiles <- struct{}{}:
		defer func() { <-s.profiles }()
	default:
		w.Header().Set("Retry-After", "30")
		reply(w, r, http.StatusServiceUnavailable, typeText, "other profiles are being taken\n")
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(profileTime))
	r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey,
		&http.Server{WriteTimeout: profileTime}))
	switch strings.TrimPrefix(r.URL.Path, "/debug/pprof/") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}

// reply sends a short answer.
func reply(w http.ResponseWriter, r *http.Request, status int, contentType, body string) {
	send(w, r, status, contentType, []byte(body))
}

// send sends an answer whose headers of its own are set already.
func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // a client that is gone has nobody to tell
	}
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	status int // 0: no answer yet
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK // as net/http does; only pprof leaves it to it
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
