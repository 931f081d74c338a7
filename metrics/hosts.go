package metrics

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"portsyncd/internal/smallfile"
)

// A browser sends the name that it looked up as the Host header. A web page can have
// its own name resolve to this host (DNS rebinding) and could then read every answer
// as if the page came from here; the header is what gives such a request away.

// servesHost reports whether a request with this Host header is for this host: it has
// an IP address, localhost, one of the configured names, a name that the server listens
// at, a name of the certificate, or one of the host's own names. Only a client of HTTP/1.0 sends no header; browsers
// do not.
func (s *Server) servesHost(header string) bool {
	name := hostOf(header)
	if header == "" || name == "localhost" {
		return true
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return slices.Contains(s.live.Load().hostNames, name) ||
		slices.Contains(s.listenNames, name) ||
		s.certs != nil && s.certs.isFor(name) ||
		isOwnName(name)
}

// hostOf returns the name or address in a Host header, in lower case, without the
// port, the brackets of IPv6 and the dot of the DNS root.
func hostOf(header string) string {
	name := header
	if host, _, err := net.SplitHostPort(header); err == nil {
		name = host
	} else if inner, ok := strings.CutPrefix(header, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// isOwnName reports whether name is the current host name, its first label, the host
// name in one of the domains of resolv.conf(5), or an alias that hosts(5) gives to one
// of these.
func isOwnName(name string) bool {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return false
	}
	host = strings.ToLower(host)
	short, _, _ := strings.Cut(host, ".")
	own := []string{host, short}
	for fields := range linesOf("/etc/resolv.conf") {
		if fields[0] == "search" || fields[0] == "domain" {
			for _, domain := range fields[1:] {
				own = append(own, host+"."+strings.Trim(domain, "."))
			}
		}
	}
	if slices.Contains(own, name) {
		return true
	}
	for fields := range linesOf("/etc/hosts") {
		names := fields[1:]
		if slices.Contains(names, name) && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(own, n) }) {
			return true
		}
	}
	return false
}

// linesOf yields the words of each line of a file of the system, in lower case,
// without comments. A file that cannot be read has none.
func linesOf(path string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		text, err := smallfile.Read(context.Background(), path, 1<<20)
		if err != nil {
			return
		}
		for line := range strings.Lines(strings.ToLower(string(text))) {
			line, _, _ = strings.Cut(line, "#")
			if fields := strings.Fields(line); len(fields) > 0 && !yield(fields) {
				return
			}
		}
	}
}
