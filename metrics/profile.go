package metrics

import (
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"
)

const (
	profileTime = 5 * time.Minute // maximum duration of a profile or trace
	maxProfiles = 2               // maximum number at the same time; each keeps a connection open

	profilePath = "/debug/pprof/"

	// defaultProfile and defaultTrace are the durations that net/http/pprof uses.
	defaultProfile = 30 * time.Second
	defaultTrace   = time.Second
)

// handleProfiling serves Go profiles at the paths of net/http/pprof, for "go tool pprof" and "go tool
// trace". The package itself would add 0.3 MB to the binary and register its handlers at each start.
// "symbol" and differences of two profiles are not served; profiles contain their symbols.
func (s *Server) handleProfiling(w http.ResponseWriter, r *http.Request) {
	select {
	case s.profiles <- struct{}{}:
		defer func() { <-s.profiles }()
	default:
		w.Header().Set("Retry-After", "30")
		reply(w, r, http.StatusServiceUnavailable, typeText, "too many profiles are running\n")
		return
	}
	// The client chooses the duration.
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(profileTime + writeTimeout))
	switch name := strings.TrimPrefix(r.URL.Path, profilePath); name {
	case "":
		reply(w, r, http.StatusOK, typeText, profileList())
	case "cmdline":
		reply(w, r, http.StatusOK, typeText, strings.Join(os.Args, "\x00"))
	case "profile":
		record(w, r, defaultProfile, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		record(w, r, defaultTrace, trace.Start, trace.Stop)
	default:
		writeProfile(w, r, name)
	}
}

// profileList returns the paths that handleProfiling serves, one per line.
func profileList() string {
	var b strings.Builder
	for _, name := range []string{"cmdline", "profile", "trace"} {
		b.WriteString(profilePath + name + "\n")
	}
	for _, p := range pprof.Profiles() {
		b.WriteString(profilePath + p.Name() + "\n")
	}
	return b.String()
}

// record sends what start writes within the number of seconds in the query, at most profileTime. It
// ends early if the client disconnects.
func record(w http.ResponseWriter, r *http.Request, duration time.Duration, start func(io.Writer) error, stop func()) {
	if text := r.FormValue("seconds"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds <= profileTime.Seconds()) {
			reply(w, r, http.StatusBadRequest, typeText, "seconds must be a number from 0 to "+strconv.Itoa(int(profileTime.Seconds()))+"\n")
			return
		}
		duration = time.Duration(seconds * float64(time.Second))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := start(w); err != nil { // nothing has been written
		reply(w, r, http.StatusInternalServerError, typeText, err.Error()+"\n")
		return
	}
	defer stop()
	select {
	case <-time.After(duration):
	case <-r.Context().Done():
	}
}

// writeProfile sends a profile of package runtime/pprof. The query may contain debug=1 for text, and
// gc=1 to run the garbage collector first.
func writeProfile(w http.ResponseWriter, r *http.Request, name string) {
	p := pprof.Lookup(name)
	if p == nil {
		reply(w, r, http.StatusNotFound, typeText, "unknown profile\n")
		return
	}
	if r.FormValue("gc") == "1" {
		runtime.GC()
	}
	debug, _ := strconv.Atoi(r.FormValue("debug"))
	contentType := "application/octet-stream"
	if debug != 0 {
		contentType = typeText
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	p.WriteTo(w, debug) // an error means that the client is gone
}
