package lab

import "os"

// T is what the helpers for tests need of *testing.T.
type T interface {
	Helper()
	Name() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Unavailable ends a test that cannot run here, with the reason: it is
// skipped, or failed if PORTSYNCD_REQUIRE_INTEGRATION=1, so that a CI cannot
// be green by skipping.
func Unavailable(t T, why string) {
	t.Helper()
	if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf("%s, and PORTSYNCD_REQUIRE_INTEGRATION=1", why)
	}
	t.Skipf("%s", why)
}
