package portsync

import (
	"fmt"
	"testing"

	"portsyncd/netlinkraw"
)

// BenchmarkRecordPorts measures the part of the loop in a save of the ports.
func BenchmarkRecordPorts(b *testing.B) {
	for _, ports := range []int{32, 512} {
		b.Run(fmt.Sprint(ports), func(b *testing.B) {
			got := new(countingRecorder)
			l := NewLoop(Options{Recorder: got, Open: new(Connector), Status: new(Status)})
			for n := range ports {
				name := fmt.Sprintf("Ethernet%d", 4*n)
				l.state.ports[name] = &Port{Name: name, LinkState: netlinkraw.LinkState{Index: int32(n + 1)}, Accepted: true}
			}
			b.ReportAllocs()
			for b.Loop() {
				l.records.write(0)
			}
			if len(got.last) != ports {
				b.Fatalf("%d ports are handed over, want %d", len(got.last), ports)
			}
		})
	}
}
