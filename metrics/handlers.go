package metrics

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// Content types.
const (
	// typePrometheus is the content type that Prometheus 3 requires for the text format.
	typePrometheus = "text/plain; version=0.0.4; charset=utf-8"
	typeText       = "text/plain; charset=utf-8"
	typeJSON       = "application/json"
	typeHTML       = "text/html; charset=utf-8"
)

var (
	// offerText is the Prometheus text format. Scrapers that accept a later Prometheus format also
	// accept this format.
	offerText = mediaType{"text/plain", "0.0.4", []string{"application/openmetrics-text", "application/vnd.google.protobuf"}}
	offerJSON = mediaType{name: "application/json"}
)

// Health is the response of /healthz and /readyz.
type Health struct {
	OK      bool     `json:"ok"`     // the HTTP status is 200 if true, else 503
	Status  string   `json:"status"` // one word: "healthy", "degraded", "starting"...
	Reasons []string `json:"reasons"`
	// Detail is shown below the status in the text form, unless it is empty.
	Detail string `json:"-"`
	// Document, if not nil, replaces this struct in the JSON form.
	Document any `json:"-"`
}

// route is the handler for a path, with its request counters.
type route struct {
	handle   http.HandlerFunc // nil: status 404
	requests map[int]*Counter // by HTTP status
}

// protocolErrorCodes lists the status codes of responses that net/http itself sends, without
// calling ServeHTTP, because it cannot parse the request.
var protocolErrorCodes = []int{http.StatusBadRequest, http.StatusExpectationFailed, http.StatusRequestHeaderFieldsTooLarge,
	http.StatusNotImplemented, http.StatusHTTPVersionNotSupported}

// countProtocolError counts an error response that net/http sent without calling a handler. It is
// counted under the path "other".
func (s *Server) countProtocolError(code int) {
	if counter := s.other.requests[code]; counter != nil {
		counter.Inc()
	}
}

// addRoutes registers the paths and, for each possible combination of path and status code, a
// series of portsyncd_http_requests_total.
func (s *Server) addRoutes() {
	add := func(path string, handle http.HandlerFunc, codes ...int) *route {
		rt := &route{handle: handle, requests: make(map[int]*Counter)}
		codes = append(codes, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest)
		slices.Sort(codes)
		for _, code := range codes {
			rt.requests[code] = s.src.Set.NewCounter("portsyncd_http_requests_total",
				"Total number of HTTP responses sent, by path and status code. Unknown paths and malformed requests have path \"other\".",
				Label{"path", path}, Label{"code", strconv.Itoa(code)})
		}
		return rt
	}
	const ok, notFound, unavailable = http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable
	s.routes = map[string]*route{
		"/metrics":      add("/metrics", s.handleMetrics, ok, unavailable),
		"/metrics.json": add("/metrics.json", s.handleMetricsJSON, ok, unavailable),
		"/healthz":      add("/healthz", handleHealth(s.src.Health), ok, unavailable),
		"/readyz":       add("/readyz", handleHealth(s.src.Ready), ok, unavailable),
	}
	if s.src.Page != nil {
		s.routes["/"] = add("/", s.handlePage, ok, unavailable)
	}
	if s.src.PortPage != nil {
		s.portPage = add(portPagePath, s.handlePortPage, ok, notFound, unavailable)
	}
	if s.src.Ports != nil {
		s.routes["/ports"] = add("/ports", s.handlePorts, ok, unavailable)
	}
	if s.src.Status != nil {
		s.routes["/status"] = add("/status", s.handleStatus, ok, unavailable)
	}
	if s.src.Events != nil {
		s.routes["/events"] = add("/events", s.handleEvents, ok, http.StatusBadRequest, unavailable)
	}
	if s.cfg.Profiling {
		s.pprof = add(profilePath, s.handleProfiling, ok,
			http.StatusBadRequest, notFound, http.StatusInternalServerError, unavailable)
	}
	s.other = add("other", nil, append(protocolErrorCodes, notFound)...)
}

// ServeHTTP handles one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := connOf(r.Context())
	if !c.startRequest() {
		panic(http.ErrAbortHandler) // the connection is being closed
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
		w.Header().Set("Connection", "close") // so that net/http does not wait for the body
	}
	auth := &s.live.Load().auth
	switch {
	case !c.unix && !s.servesHost(r.Host):
		reply(sw, r, http.StatusMisdirectedRequest, typeText, "unknown host name in the Host header: add the name to metrics.host_names, or use an IP address\n")
		return
	case !c.unix && !auth.allows(r):
		auth.challenge(w.Header())
		w.Header().Set("Connection", "close") // so that the client keeps no connection
		reply(sw, r, http.StatusUnauthorized, typeText, "credentials required\n")
		return
	}
	if auth.needed() {
		c.setAuthenticated()
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		reply(sw, r, http.StatusMethodNotAllowed, typeText, "method not allowed; use GET or HEAD\n")
	case rt.handle == nil:
		reply(sw, r, http.StatusNotFound, typeText, "not found\n")
	default:
		rt.handle(sw, r)
	}
}

// reportPanic recovers from a handler's panic, logs the first panic and aborts the connection.
// Otherwise net/http would log the panic to ErrorLog at debug level.
func (s *Server) reportPanic(r *http.Request) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		s.panicked.Do(func() {
			s.log.Error("panic in HTTP handler; closing the connection",
				"path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		})
		panic(http.ErrAbortHandler)
	}
}

// route returns the handler and counters for a request path that was received on connection c.
func (s *Server) route(path string, c *conn) *route {
	if rt := s.routes[path]; rt != nil {
		return rt
	}
	if s.portPage != nil && strings.HasPrefix(path, portPagePath) {
		return s.portPage
	}
	if s.pprof != nil && c.local && strings.HasPrefix(path, profilePath) {
		return s.pprof
	}
	return s.other
}

// handleMetrics serves the metrics as text or JSON. Like other exporters, it sends text if the
// client accepts neither.
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
	s.respond(w, r, typePrometheus, s.src.Set.AppendText)
}

func (s *Server) handleMetricsJSON(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, typeJSON, s.src.Set.AppendJSON)
}

func (s *Server) handlePorts(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, typeJSON, s.src.Ports)
}

func (s *Server) handleStatus(w http.ResponseWriter, r *http.Request) {
	s.respond(w, r, typeJSON, s.src.Status)
}

// handleEvents serves the events selected by the query. It sends status 400 for an invalid query.
func (s *Server) handleEvents(w http.ResponseWriter, r *http.Request) {
	appendTo, err := s.src.Events(r.URL.RawQuery)
	if err != nil {
		reply(w, r, http.StatusBadRequest, typeText, "invalid query: "+strings.ReplaceAll(validText(err.Error()), "\n", " ")+"\n")
		return
	}
	s.respond(w, r, typeJSON, appendTo)
}

// respond sends a large response, which is rendered by appendTo. It sends status 503 if no memory
// for the response becomes available within responseTimeout.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, contentType string, appendTo func([]byte) []byte) {
	c := connOf(r.Context())
	if !s.renderer.acquire(r.Context(), c) {
		s.rejected.At(rejectRequests).Inc()
		w.Header().Set("Retry-After", "1")
		reply(w, r, http.StatusServiceUnavailable, typeText, "too many concurrent requests\n")
		return
	}
	defer s.renderer.release(c)
	b := s.renderer.getBuffer()
	defer s.renderer.putBuffer(b)
	compress := acceptsGzip(r.Header["Accept-Encoding"])
	body := s.renderer.render(b, appendTo, compress)
	w.Header().Add("Vary", "Accept-Encoding")
	if compress {
		w.Header().Set("Content-Encoding", "gzip")
	}
	send(w, r, http.StatusOK, contentType, body)
}

// json returns the JSON form of h.
func (h *Health) json() []byte {
	document := h.Document
	if document == nil {
		if h.Reasons == nil {
			h.Reasons = []string{} // [] instead of null
		}
		document = h
	}
	body, err := json.Marshal(document)
	if err != nil {
		panic(err) // a bug: Document has a field without a JSON form
	}
	return asciiJSON(body)
}

// handleHealth returns a handler that serves the result of current as text or JSON. If current is
// nil, the handler sends status 503.
func handleHealth(current func() Health) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		health := Health{Status: "starting", Reasons: []string{"no state is known yet"}}
		if current != nil {
			health = current()
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

// handlePage serves the HTML page regardless of the Accept header.
func (s *Server) handlePage(w http.ResponseWriter, r *http.Request) {
	s.respondPage(w, r, s.src.Page)
}

// portPagePath is the path of the ports' pages. The rest of a path, decoded, is the name of the port.
const portPagePath = "/ports/"

// handlePortPage serves the HTML page of a port. It sends status 404 for an unknown port.
func (s *Server) handlePortPage(w http.ResponseWriter, r *http.Request) {
	appendTo := s.src.PortPage(strings.TrimPrefix(r.URL.Path, portPagePath))
	if appendTo == nil {
		reply(w, r, http.StatusNotFound, typeText, "port not found\n")
		return
	}
	s.respondPage(w, r, appendTo)
}

// respondPage sends an HTML page, rendered by appendTo.
func (s *Server) respondPage(w http.ResponseWriter, r *http.Request, appendTo func([]byte) []byte) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Content-Security-Policy", s.src.PagePolicy)
	s.respond(w, r, typeHTML, appendTo)
}

// reply sends a short response.
func reply(w http.ResponseWriter, r *http.Request, status int, contentType, body string) {
	send(w, r, status, contentType, []byte(body))
}

// send writes the status, headers and body of a response. The caller must set additional headers
// before calling send.
func send(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // an error means that the client is gone
	}
}

// statusWriter is a ResponseWriter that records the status.
type statusWriter struct {
	http.ResponseWriter
	status int // 0 before WriteHeader or Write
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK // as net/http does; only profiles omit WriteHeader
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
