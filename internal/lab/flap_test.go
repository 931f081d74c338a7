package lab

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// TestFlapper checks that ports are changed at the rate and restored at the end.
func TestFlapper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := NewSimKernel()
		var ports []string
		for i := range 4 {
			port := PortName(i)
			ports = append(ports, port)
			for _, err := range []error{kernel.AddVeth(port, PeerName(port)), kernel.SetUp(port, true),
				kernel.SetUp(PeerName(port), true), kernel.SetMTU(port, 9100)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		before := simLinks(t, kernel)
		changes, mtus, flaps := 0, 0, make(map[string]int)
		f := &Flapper{Links: kernel, Ports: ports, MTU: 9100, Rate: 100, Seed: 1, Report: func(e FlapEvent) {
			changes++
			if e.Err != nil {
				t.Errorf("%+v", e)
			}
			now := simLinks(t, kernel)[e.Port]
			if now.running != e.Carrier || e.MTU != 0 && int(now.mtu) != e.MTU {
				t.Errorf("reported %+v, but the link is %v", e, now)
			}
			if e.MTU != 0 {
				mtus++
			} else if !e.Carrier {
				flaps[e.Port]++
			}
		}}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		f.Run(ctx)
		// 1000 changes, and at most two more for each port to restore it.
		if changes < 999 || changes > 1008 {
			t.Errorf("%d changes in 10 s at 100 a second", changes)
		}
		if mtus < 50 || mtus > 200 || len(flaps) != len(ports) {
			t.Errorf("%d changes of the MTU, flaps %v", mtus, flaps)
		}
		if after := simLinks(t, kernel); !maps.Equal(before, after) {
			t.Errorf("not restored:\nbefore %v\n after %v", before, after)
		}
	})
}

// TestFlapperReportsErrors checks the reports for a port without an interface.
func TestFlapperReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		errs := 0
		f := &Flapper{Links: NewSimKernel(), Ports: []string{"Ethernet0"}, MTU: 9100, Rate: 10, Report: func(e FlapEvent) {
			if e.Err != nil {
				errs++
			}
			if errs == 20 {
				cancel()
			}
		}}
		f.Run(ctx)
		if errs != 20 {
			t.Errorf("%d errors reported, want 20 and none from restoring", errs)
		}
	})
}

// TestFlapperWithoutPorts checks that Run without ports waits for its context.
func TestFlapperWithoutPorts(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	(&Flapper{Links: NewSimKernel(), Rate: 1}).Run(ctx)
}
