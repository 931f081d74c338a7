package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

// LogLevel is a syslog severity (RFC 5424 section 6.2.1, table 2). 0 is the most severe.
type LogLevel uint8

// The log levels. Their names are those of SONiC's LOGGER table in lower case (sonic-swss-common,
// common/logger.cpp, Logger::priorityStringMap).
const (
	Emerg LogLevel = iota
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug
)

var logLevels = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

// String returns the level's name in the configuration file.
func (l LogLevel) String() string { return logLevels[l] }

// LogFormat is the format of log lines on standard output and standard error.
type LogFormat uint8

// Log formats: "severity :- component: text" lines, or one JSON object per line as slog.JSONHandler
// writes.
const (
	TextLog LogFormat = iota
	JSONLog
)

var logFormats = []string{"text", "json"}

// String returns the format's name in the configuration file.
func (f LogFormat) String() string { return logFormats[f] }

// ExportFormat selects the files that are exported to metrics.storage_path.
type ExportFormat uint8

// Export formats: text for node_exporter's textfile collector, JSON, or both.
const (
	Prometheus ExportFormat = iota
	JSON
	Both
)

var exportFormats = []string{"prometheus", "json", "both"}

// String returns the format's name in the configuration file.
func (f ExportFormat) String() string { return exportFormats[f] }

// Digest is the SHA-256 of a secret. The zero Digest means "not set": no input with this digest is
// known.
type Digest [sha256.Size]byte

// IsSet reports whether the digest is set.
func (d Digest) IsSet() bool { return d != Digest{} }

// String returns the digest as 64 hexadecimal digits, or "" if it is not set.
func (d Digest) String() string {
	if !d.IsSet() {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Endpoint is an address to listen on. Its fields are the arguments of [net.Listen].
type Endpoint struct {
	Network string // "tcp" or "unix"
	Address string // "host:port", ":port", "[ipv6]:port", or an absolute path
}

const unixPrefix = "unix:"

// String returns the endpoint as written in the configuration file.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return unixPrefix + e.Address
	}
	return e.Address
}

// IsLocal reports whether only processes on this machine can connect to the endpoint, that is,
// whether it is a unix socket, a loopback address or localhost.
func (e Endpoint) IsLocal() bool {
	if e.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(e.Address)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether host is a loopback address or localhost.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// parseEndpoint parses "host:port", ":port", "[::1]:port" or "unix:/path". If the port is 0, the
// kernel chooses a port.
func parseEndpoint(s string) (e Endpoint, problem string) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if !isSocketPath(path) {
			return e, "the path of a socket must be absolute and at most 107 bytes long"
		}
		return Endpoint{"unix", path}, ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		var bad *net.AddrError
		if errors.As(err, &bad) {
			return e, bad.Err // omit the address, which the caller adds
		}
		return e, err.Error()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return e, "the port must be a number from 0 to 65535"
	}
	if host != "" && !isHost(host) {
		return e, "the host is neither a name nor an IP address"
	}
	return Endpoint{"tcp", s}, ""
}

// isHost reports whether s is an IP address or a host name (RFC 1123, section 2.1, plus
// underscores, which container networks use). A name that consists only of digits and dots is
// invalid, because it is a mistyped address.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	return s != "" && len(s) <= 253 && strings.Trim(s, "0123456789.") != "" &&
		strings.Trim(s, letters+"0123456789.") == ""
}

// isSocketPath reports whether s is a valid path of a unix socket. struct sockaddr_un has 108 bytes
// for the path, including the terminating NUL (unix(7)).
func isSocketPath(s string) bool { return isPath(s) && len(s) <= 107 }

// isPath reports whether s is an absolute path shorter than PATH_MAX (linux/limits.h). Relative
// paths are rejected because they would depend on the daemon's working directory.
func isPath(s string) bool {
	return filepath.IsAbs(s) && len(s) < 4096 && isPrintable(s)
}

// isDevice reports whether s is a valid interface name, like dev_valid_name in the kernel's
// net/core/dev.c. IFNAMSIZ (linux/if.h) is 16, including the terminating NUL.
func isDevice(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) < 16 && !strings.ContainsAny(s, "/: ") && isPrintable(s)
}

// isUsername reports whether s is a valid user name. RFC 7617, section 2, does not allow colons and
// control characters.
func isUsername(s string) bool {
	return s != "" && len(s) <= 255 && !strings.Contains(s, ":") && isPrintable(s)
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}
