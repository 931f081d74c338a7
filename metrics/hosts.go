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

// A web page can make its own host name resolve to this host (DNS rebinding). The browser then lets
// the page read all responses. The server detects such requests by the Host header, which contains
// the name of the page's host.

// servesHost reports whether the server accepts requests with the given Host header. It accepts IP
// addresses, localhost, local host names, and names from HostNames, Listen and the certificate. It
// also accepts an empty header, which only HTTP/1.0 clients send, but browsers never do.
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
		s.certs != nil && s.certs.validFor(name) ||
		isLocalName(name)
}

// hostOf returns the host in a Host header in lower case, without the port, the brackets of an IPv6
// address, and a trailing dot.
func hostOf(header string) string {
	name := header
	if host, _, err := net.SplitHostPort(header); err == nil {
		name = host
	} else if inner, ok := strings.CutPrefix(header, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// isLocalName reports whether name is this machine's host name, its first label, the host name in a
// domain of resolv.conf(5), or an alias of any of these in hosts(5).
func isLocalName(name string) bool {
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

// linesOf yields the words of each line of a file in lower case. It omits comments and empty lines.
// It yields nothing if the file cannot be read.
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
