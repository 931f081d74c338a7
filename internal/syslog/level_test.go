package syslog

import (
	"log/slog"
	"testing"
)

// TestSeverityOf checks the severity of levels, also between and outside of the named ones.
func TestSeverityOf(t *testing.T) {
	tests := []struct {
		level slog.Level
		want  Severity
		name  string
	}{
		{1000, Emerg, "EMERG"},
		{LevelEmerg, Emerg, "EMERG"},
		{LevelAlert, Alert, "ALERT"},
		{LevelCrit, Crit, "CRIT"},
		{LevelCrit - 1, Error, "ERROR"},
		{slog.LevelError, Error, "ERROR"},
		{slog.LevelWarn, Warn, "WARN"},
		{LevelNotice + 1, Notice, "NOTICE"},
		{LevelNotice, Notice, "NOTICE"},
		{LevelNotice - 1, Info, "INFO"},
		{slog.LevelInfo, Info, "INFO"},
		{slog.LevelInfo - 1, Debug, "DEBUG"},
		{slog.LevelDebug, Debug, "DEBUG"},
		{-1000, Debug, "DEBUG"},
	}
	for _, tt := range tests {
		if got := SeverityOf(tt.level); got != tt.want {
			t.Errorf("SeverityOf(%d) = %v, want %v", tt.level, got, tt.want)
		}
		if got := LevelName(tt.level); got != tt.name {
			t.Errorf("LevelName(%d) = %q, want %q", tt.level, got, tt.name)
		}
	}
}

// TestParseLevel checks which names ParseLevel and ParseLevelFold accept.
func TestParseLevel(t *testing.T) {
	for s := range Severity(Severities) {
		level, err := ParseLevel(s.String())
		if err != nil || SeverityOf(level) != s {
			t.Errorf("ParseLevel(%q) = %v, %v", s, level, err)
		}
	}
	tests := []struct {
		name   string
		strict bool // accepted by ParseLevel
		fold   bool // accepted by ParseLevelFold
	}{
		{"NOTICE", true, true},
		{"notice", false, true},
		{"Notice", false, true},
		{"", false, false},
		{" NOTICE", false, false},
		{"WARNING", false, false},
		{"INFO+2", false, false},
		{"4", false, false},
	}
	for _, tt := range tests {
		if level, err := ParseLevel(tt.name); (err == nil) != tt.strict || err == nil && level != LevelNotice {
			t.Errorf("ParseLevel(%q) = %v, %v", tt.name, level, err)
		}
		if level, err := ParseLevelFold(tt.name); (err == nil) != tt.fold || err == nil && level != LevelNotice {
			t.Errorf("ParseLevelFold(%q) = %v, %v", tt.name, level, err)
		}
	}
}

// TestParseOutput checks valid and invalid outputs.
func TestParseOutput(t *testing.T) {
	for _, want := range []Output{Syslog, Stdout, Stderr} {
		if got, err := ParseOutput(want.String()); got != want || err != nil {
			t.Errorf("ParseOutput(%q) = %v, %v", want, got, err)
		}
	}
	for _, name := range []string{"", "syslog", "FILE", "Output(3)"} {
		if got, err := ParseOutput(name); err == nil {
			t.Errorf("ParseOutput(%q) = %v, want an error", name, got)
		}
	}
}

// TestStringOutOfRange checks the names of invalid values.
func TestStringOutOfRange(t *testing.T) {
	if got := Severity(8).String(); got != "Severity(8)" {
		t.Errorf("Severity(8) = %q", got)
	}
	if got := Output(3).String(); got != "Output(3)" {
		t.Errorf("Output(3) = %q", got)
	}
}
