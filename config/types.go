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

// LogLevel is a syslog severity (RFC 5424 section 6.2.1, table 2): 0 is the most
// urgent.
type LogLevel uint8

// The levels, under the names of SONiC's LOGGER table in lower case
// (sonic-swss-common, common/logger.cpp, Logger::priorityStringMap).
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

// String returns the name as the file spells it.
func (l LogLevel) String() string { return logLevels[l] }

// ExportFormat says which files are written under metrics.storage_path.
type ExportFormat uint8

// The formats: text for node_exporter's textfile collector, JSON, or both.
const (
	Prometheus ExportFormat = iota
	JSON
	Both
)

var exportFormats = []string{"prometheus", "json", "both"}

// String returns the name as the file spells it.
func (f ExportFormat) String() string { return exportFormats[f] }

// Digest is a SHA-256, kept instead of a secret. The zero Digest is "not set":
// no text is known that has it.
type Digest [sha256.Size]byte

// IsSet reports whether there is a digest to compare with.
func (d Digest) IsSet() bool { return d != Digest{} }

// String returns 64 hexadecimal digits, or "" if not set.
func (d Digest) String() string {
	if !d.IsSet() {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Endpoint is an address to listen on, in the terms of [net.Listen].
type Endpoint struct {
	Network string // "tcp" or "unix"
	Address string // "host:port", ":port", "[ipv6]:port", or an absolute path
}

const unixPrefix = "unix:"

// String returns the endpoint as the file spells it.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return unixPrefix + e.Address
	}
	return e.Address
}

// IsLocal reports whether only this machine can connect: a unix socket, a
// loopback address, or localhost.
func (e Endpoint) IsLocal() bool {
	if e.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(e.Address)
	return err == nil && isLoopback(host)
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// parseEndpoint reads "host:port", ":port", "[::1]:port" or "unix:/path". Port 0
// leaves the choice to the kernel.
func parseEndpoint(s string) (e Endpoint, problem string) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if !isSocketPath(path) {
			return e, "a socket's path is absolute and has at most 107 bytes"
		}
		return Endpoint{"unix", path}, ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		var bad *net.AddrError
		if errors.As(err, &bad) {
			return e, bad.Err // without the address, which the message has
		}
		return e, err.Error()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return e, "a port is a number from 0 to 65535"
	}
	if host != "" && !isHost(host) {
		return e, "the host is neither a name nor an IP address"
	}
	return Endpoint{"tcp", s}, ""
}

// isHost accepts IP addresses and host names (RFC 1123 section 2.1, and the
// underscore that container networks use). Digits and dots that are no address
// are a mistyped one.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	return s != "" && len(s) <= 253 && strings.Trim(s, "0123456789.") != "" &&
		strings.Trim(s, letters+"0123456789.") == ""
}

// isSocketPath: struct sockaddr_un has 108 bytes for the path and its final NUL
// (unix(7)).
func isSocketPath(s string) bool { return isPath(s) && len(s) <= 107 }

// isPath wants an absolute path, because a daemon's working directory is nobody's
// choice; PATH_MAX (linux/limits.h) bounds it.
func isPath(s string) bool {
	return filepath.IsAbs(s) && len(s) < 4096 && isPrintable(s)
}

// isDevice follows dev_valid_name in the kernel's net/core/dev.c; IFNAMSIZ
// (linux/if.h) is 16 with the final NUL.
func isDevice(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) < 16 && !strings.ContainsAny(s, "/: ") && isPrintable(s)
}

// isUsername: RFC 7617 section 2 forbids the colon, which ends the name on the
// wire, and control characters.
func isUsername(s string) bool {
	return s != "" && len(s) <= 255 && !strings.Contains(s, ":") && isPrintable(s)
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}
