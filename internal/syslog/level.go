package syslog

import (
	"fmt"
	"log/slog"
	"strings"
)

// The levels of SONiC's LOGGER table. The four levels of package slog keep their values; the others
// are in the order of RFC 5424.
const (
	LevelEmerg  slog.Level = 20
	LevelAlert  slog.Level = 16
	LevelCrit   slog.Level = 12
	LevelError             = slog.LevelError // 8
	LevelWarn              = slog.LevelWarn  // 4
	LevelNotice slog.Level = 2
	LevelInfo              = slog.LevelInfo  // 0
	LevelDebug             = slog.LevelDebug // -4
)

// Severity is a syslog severity (RFC 5424 section 6.2.1; LOG_EMERG to LOG_DEBUG of syslog(3)). 0 is
// the most severe.
type Severity uint8

// Severities in the order of syslog.
const (
	Emerg Severity = iota
	Alert
	Crit
	Error
	Warn
	Notice
	Info
	Debug

	// Severities is the number of severities.
	Severities = 8
)

// severities contains, for each severity, the name in SONiC's LOGGER table (sonic-swss-common
// common/logger.cpp, priorityStringMap) and the minimum level.
var severities = [Severities]struct {
	name  string
	level slog.Level
}{
	Emerg:  {"EMERG", LevelEmerg},
	Alert:  {"ALERT", LevelAlert},
	Crit:   {"CRIT", LevelCrit},
	Error:  {"ERROR", LevelError},
	Warn:   {"WARN", LevelWarn},
	Notice: {"NOTICE", LevelNotice},
	Info:   {"INFO", LevelInfo},
	Debug:  {"DEBUG", LevelDebug},
}

// SeverityOf returns the severity for a level. A level between two named levels is given the less
// severe of the two.
func SeverityOf(level slog.Level) Severity {
	for s := range Debug {
		if level >= severities[s].level {
			return s
		}
	}
	return Debug
}

// String returns the severity's name in SONiC's LOGGER table, such as "NOTICE".
func (s Severity) String() string {
	if s >= Severities {
		return fmt.Sprintf("Severity(%d)", uint8(s))
	}
	return severities[s].name
}

// LevelName returns a level's name in SONiC's LOGGER table, such as "NOTICE". For that level, slog
// itself would print "INFO+2".
func LevelName(level slog.Level) string { return SeverityOf(level).String() }

// ParseLevel parses the LOGLEVEL field of SONiC's LOGGER table: EMERG, ALERT, CRIT, ERROR, WARN,
// NOTICE, INFO or DEBUG. Like the C++ daemons, it accepts only upper case.
func ParseLevel(name string) (slog.Level, error) {
	for _, s := range severities {
		if name == s.name {
			return s.level, nil
		}
	}
	return 0, fmt.Errorf("invalid log level %q: must be EMERG, ALERT, CRIT, ERROR, WARN, NOTICE, INFO or DEBUG", name)
}

// ParseLevelFold is like ParseLevel but ignores case.
func ParseLevelFold(name string) (slog.Level, error) {
	if level, err := ParseLevel(strings.ToUpper(name)); err == nil {
		return level, nil
	}
	return 0, fmt.Errorf("invalid log level %q: must be emerg, alert, crit, error, warn, notice, info or debug", name)
}

// Output is the destination of log lines.
type Output uint8

// Outputs in SONiC's LOGGER table. The zero value is SONiC's default.
const (
	Syslog Output = iota // datagrams to the syslog daemon
	Stdout
	Stderr
)

var outputNames = [...]string{Syslog: "SYSLOG", Stdout: "STDOUT", Stderr: "STDERR"}

// String returns the output's name in SONiC's LOGGER table, such as "SYSLOG".
func (o Output) String() string {
	if int(o) >= len(outputNames) {
		return fmt.Sprintf("Output(%d)", uint8(o))
	}
	return outputNames[o]
}

// ParseOutput parses the LOGOUTPUT field of SONiC's LOGGER table: SYSLOG, STDOUT or STDERR, in
// upper case.
func ParseOutput(name string) (Output, error) {
	for o, n := range outputNames {
		if name == n {
			return Output(o), nil
		}
	}
	return 0, fmt.Errorf("invalid log output %q: must be SYSLOG, STDOUT or STDERR", name)
}
