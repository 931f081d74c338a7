package cli

import (
	"strings"
	"testing"
	"time"
)

// TestParseSince checks the forms of --since, and that others are refused with the expected forms.
func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"":                          {},
		"7d":                        now.AddDate(0, 0, -7),
		"2w":                        now.AddDate(0, 0, -14),
		"0d":                        now,
		"90m":                       now.Add(-90 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"2026-11-01":                time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local),
		"2026-11-01T08:00":          time.Date(2026, 11, 1, 8, 0, 0, 0, time.Local),
		"2026-11-01 08:00:01":       time.Date(2026, 11, 1, 8, 0, 1, 0, time.Local),
		"2026-11-01T08:00:00+02:00": time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, bad := range []string{"d", "-1d", "1", "tomorrow", "2026-13-01", "2027-01-01", "99999999999d", "65535w", "-1h", "0001-01-01T00:00:00Z", " 1d"} {
		if got, err := parseSince(bad, now); err == nil || !strings.Contains(err.Error(), "must ") {
			t.Errorf("%q: got %v, %v, want an error that says what it must be", bad, got, err)
		}
	}
}
