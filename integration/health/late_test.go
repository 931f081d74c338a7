package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// repeatUntilReason repeats an action until a reason is shown.
func (h *healthTest) repeatUntilReason(code string, limit time.Duration, something func()) {
	h.Switch.T.Helper()
	switchtest.Eventually(h.Switch.T, limit, func() string {
		something()
		a, err := h.TryRequest("GET", "/healthz")
		if err != nil || !strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %s", a.Code, a.Body, err, code)
		}
		return ""
	})
}

// awaitReasonGone waits until a reason is not shown any more.
func (h *healthTest) awaitReasonGone(code string, limit time.Duration) {
	h.Switch.T.Helper()
	switchtest.Eventually(h.Switch.T, limit, func() string {
		if a, err := h.TryRequest("GET", "/healthz"); err != nil || strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
}

// TestHealthInitDoneLate withholds the interface of one port for longer than the minute after
// which a missing PortInitDone is a reason.
func TestHealthInitDoneLate(t *testing.T) {
	if !switchtest.LongRun() && !lab.Inside() {
		t.Skip("takes a minute: with PORTSYNCD_REQUIRE_INTEGRATION=1 only; TestHealthInitDoneLate in portsync waits for less")
	}
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	d := sw.StartWith("")
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(1))
	h := newHealthTest(sw, d)
	h.checkFault(healthFault{code: "port_init_late",
		begin: func() { h.repeatUntilReason("port_init_late", time.Minute+switchtest.Timeout, func() {}) },
		end: func() {
			sw.AddPort(switchtest.PortName(0))
			sw.AwaitInitDone()
		},
		recurs: true})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}
