package statusview

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file in testdata, or writes the file with -update.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, text, want)
	}
}

// midday is the time of the fixtures.
var midday = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// before returns the time d before midday.
func before(d time.Duration) *time.Time { return new(midday.Add(-d)) }

// switchOf returns the status of a healthy switch with n ports, some of them with issues if n >
// 100.
func switchOf(n int) *Status {
	s := &Status{
		Schema: StatusSchema, Time: midday, Version: "0.2.0", Host: "leaf1", PID: 1234, Process: *before(75 * time.Hour),
		Health: portsync.Health{Status: portsync.Healthy, Score: 100, Since: *before(74 * time.Hour)},
		View: portsync.View{
			Start: portsync.StartView{Kind: "warm", Reason: "only portsyncd was restarted; its saved state is used", Ready: true, SyncNanos: 12_345_678,
				ConfigDone: true, InitDone: true, LastResync: before(75 * time.Hour), LastAudit: before(12 * time.Second)},
			Counts: portsync.CountsView{Configured: int64(n), Present: int64(n), Up: int64(n), Events: 1_234_567, Writes: 99,
				Reconnects: 1, LastWritten: before(3 * time.Second)},
		},
		Restarts: []warmrestart.Restart{
			{At: *before(50 * 24 * time.Hour), Kind: warmrestart.Cold, Reason: "SONiC did not request a warm restart", Duration: 90 * time.Millisecond, EOIU: true},
			{At: *before(75 * time.Hour), Kind: warmrestart.Warm, Reason: "only portsyncd was restarted; its saved state is used", Duration: 12_345_678, EOIU: true},
		},
	}
	for _, name := range []string{"APPL_DB", "STATE_DB", "CONFIG_DB"} {
		s.Databases = append(s.Databases, portsync.DatabaseView{Name: name, Address: "unix:/var/run/redis/redis.sock", Up: true, Since: *before(74 * time.Hour)})
	}
	for i := range n {
		s.Ports = append(s.Ports, portsync.PortView{Name: fmt.Sprintf("Ethernet%d", 4*i), State: "present", Present: true, Written: true, Admin: "up", Oper: "up",
			MTU: 9100, Index: int64(10 + i), CarrierUp: 2, CarrierDown: 1, LastChange: before(time.Duration(i*i) * time.Second)})
	}
	if n > 100 {
		s.Ports[7].Oper = "down"
		s.Ports[99].Flapping, s.Ports[99].Penalty, s.Ports[99].CarrierDown = true, 4321.7, 1_000_000
		s.Ports[100].Admin, s.Ports[100].Oper = "down", "down"
		s.Counts.Up -= 2
	}
	return s
}

// hostileNames are names of interfaces that need escapes. All but one are short enough for the
// kernel.
var hostileNames = []string{
	"Eth\x1b[2J\x1b[31mx", "Ethernet\r0", "Ethernet\xff\xfe", "Ethernet\xff\xfd", "Ethernet\u202e1", "Ethernet\u009b1m",
	"<script>", `Ethernet\n`, "Ethernet端口", "Ethernetשל", "Ethernetä", "Ethernete\u0301", "Ethernet\u200b0", "Ethernet\U000e0041",
	"Ethernet\x00\x01\x02\x03\x04\x05\x06\x07\x0e", `"Ethernet&"`,
}

// troubled returns the status of a switch with many problems, with control characters in its texts.
func troubled() *Status {
	s := switchOf(0)
	s.Instance = "asic\x1b]0;0\a"
	s.Host = "leaf\u202e1"
	s.Health = portsync.Health{Status: portsync.Unhealthy, Score: 35, Since: *before(90 * time.Second), Reasons: []portsync.HealthReason{
		{Code: "database_down", Severity: portsync.Unhealthy, Deduction: 50, Text: "no connection to the databases: dial unix /var/run/redis/redis.sock: connect: connection refused", Since: *before(90 * time.Second)},
		{Code: "disk\x07", Severity: portsync.Degraded, Deduction: 15, Text: "no space\nleft \u2028on device", Since: *before(time.Hour)},
	}}
	s.Start = portsync.StartView{Kind: "cold", Reason: "no row PortInitDone in APPL_DB", SyncNanos: 0}
	for i := range s.Databases {
		d := &s.Databases[i]
		d.Up, d.Since, d.Error = false, *before(90 * time.Second), "LOADING Redis\tis \x1b[1mloading"
	}
	s.Backlog = portsync.BacklogView{Ports: 3, Events: 1, WaitSeconds: 1.25}
	s.Counts.Pending, s.Counts.Mismatches, s.Counts.Repairs = int64(len(hostileNames)), 1, 1
	s.Pending = []portsync.Pending{{What: "PortInitDone", Why: "16 of 16 ports are pending", From: *before(75 * time.Hour)}}
	for _, name := range hostileNames {
		s.Pending = append(s.Pending, portsync.Pending{What: name, Why: "no interface", From: *before(time.Minute)})
		s.Ports = append(s.Ports, portsync.PortView{Name: name, InitPending: true})
	}
	s.Ports[3].Present, s.Ports[3].Index, s.Ports[3].Admin, s.Ports[3].Oper = true, 3, "up\x1b[0m", "\u202edn"
	s.Restarts[0].Reason, s.Restarts[0].TimedOut = "\x1b[31mred", true
	return s
}
