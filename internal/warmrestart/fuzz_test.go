package warmrestart

import (
	"encoding/json"
	"testing"
	"time"

	"portsyncd/metrics"
)

// FuzzCheckMetrics checks that an accepted body can be used, changed and read again.
func FuzzCheckMetrics(f *testing.F) {
	b := newMetricsBody()
	f.Add(encode(&b))
	b.add(Restart{At: time.Unix(1e9, 0), Kind: Warm, Reason: "r", Duration: time.Second, EOIU: true})
	f.Add(encode(&b))
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkMetrics(metricsSchema, body) != nil {
			return
		}
		var b metricsBody
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatalf("accepted, but cannot be decoded: %v", err)
		}
		buckets := len(b.Sync.Counts)
		if len(b.Sync.Bounds) > 0 && len(b.Sync.Bounds) <= 64 {
			h := metrics.NewSet().NewHistogram("x_seconds", "X.", b.Sync.Bounds)
			if err := h.Restore(b.Sync.Counts, b.Sync.Sum); err != nil {
				t.Fatalf("accepted, but cannot be exposed: %v", err)
			}
		}
		before := b.Counters.ColdStarts
		b.add(Restart{Kind: Cold, Duration: time.Minute})
		b.trim(2)
		if b.Counters.ColdStarts != before+1 || len(b.Sync.Counts) != buckets || len(b.Restarts) > 2 {
			t.Fatalf("after one more start: %+v", b)
		}
		if err := checkMetrics(metricsSchema, encode(&b)); err != nil {
			t.Fatalf("not accepted again: %v", err)
		}
	})
}

// FuzzCheckPorts checks that an accepted body has valid and unique names, and can be read again.
func FuzzCheckPorts(f *testing.F) {
	f.Add(encode(portsBody{Ports: somePorts(9100)}))
	f.Add([]byte(`{"ports":[{"name":"Ethernet0"},{"name":"Ethernet0"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkPorts(portsSchema, body) != nil {
			return
		}
		var b portsBody
		if err := json.Unmarshal(body, &b); err != nil {
			t.Fatalf("accepted, but cannot be decoded: %v", err)
		}
		names := make(map[string]bool)
		for _, p := range b.Ports {
			if len(p.Name) < 1 || len(p.Name) > 15 || names[p.Name] {
				t.Fatalf("accepted with port %q", p.Name)
			}
			names[p.Name] = true
		}
		if err := checkPorts(portsSchema, encode(&b)); err != nil {
			t.Fatalf("not accepted again: %v", err)
		}
	})
}

// FuzzSampleTime checks that sampleTime returns false exactly if the time is zero.
func FuzzSampleTime(f *testing.F) {
	f.Add([]byte(`{"time":"2026-10-05T10:11:12Z"}`))
	f.Add([]byte(`{"time":7}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if at, ok := sampleTime(line); ok == at.IsZero() {
			t.Fatalf("%q: %v, %v", line, at, ok)
		}
	})
}
