package statusview

import (
	"strings"
	"testing"
	"time"

	"portsyncd/portsync"
)

// TestPlotsCoverHour checks that the plots of the last hour begin with the first of 60 minutes and end
// with the last one.
func TestPlotsCoverHour(t *testing.T) {
	now := noon.Truncate(time.Minute)
	for _, c := range []struct {
		minute int // 0 is the oldest
		bar    string
	}{
		{0, "M1.67 "}, {30, "M501.67 "}, {59, "M985 "}, // in thousandths of the width, 6 s after the minute began
	} {
		minutes := make([]portsync.Minute, 60)
		for i := range minutes {
			minutes[i].From = now.Add(time.Duration(i-60) * time.Minute)
		}
		minutes[c.minute].Events = 4
		_, bar, _ := strings.Cut(string(newHour(minutes, now).Rate), `<path class="area events" d="`)
		if !strings.HasPrefix(bar, c.bar) {
			t.Errorf("the bar of minute %d is %.40q, want it to begin with %q", c.minute, bar, c.bar)
		}
	}
}
